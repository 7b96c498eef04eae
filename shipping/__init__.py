"""What training and serving ship their log lines with, where the environment says so: the standard library alone."""

from shipping.settings import start
from shipping.shipper import Shipper

__all__ = ["Shipper", "start"]
