"""A stack of outputs alone; FAIL makes it fail, WAIT lets it write a file and wait for ever."""

import os
import time
from pathlib import Path

import pulumi

if os.environ.get("FAIL"):
    raise RuntimeError("this update is to fail")
if wait := os.environ.get("WAIT"):
    Path(wait).touch()
    while True:
        time.sleep(60)
models = pulumi.Config("stellwerk").require_object("models")
pulumi.export("models", {name: model["release"] or None for name, model in models.items()})
