"""``python -m fastcount``."""

import sys

from fastcount.cli import main

if __name__ == "__main__":
    sys.exit(main())
