"""``python -m fastcount.export``: the same as ``fastcount export``."""

import sys

from fastcount.cli import main

if __name__ == "__main__":
    sys.exit(main(["export", *sys.argv[1:]]))
