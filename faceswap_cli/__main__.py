"""``python -m faceswap_cli``."""

import sys

from faceswap_cli.cli import main

if __name__ == "__main__":
    sys.exit(main())
