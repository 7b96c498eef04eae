"""`python -m training.check` for models of tests, which need no framework."""

import sys

from tests.support import linear
from training.check import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], lambda _: linear))
