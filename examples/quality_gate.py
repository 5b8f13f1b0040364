"""Stop a pipeline when a swap is not good enough.

    python examples/quality_gate.py PHOTO CLIP RESULT

Ends with 0 when the result passes, 10 when it does not; looks at every fifth frame.
"""

from __future__ import annotations

import sys
from pathlib import Path

from faceswap_cli.errors import FaceswapError
from faceswap_cli.metrics.evaluate import evaluate

MOST = {"identity": 0.60, "pose": 5.0}
"""Distance to the source (0.6 is the network's limit for one person), degrees against the target."""


def main() -> int:
    if len(sys.argv) != 4:
        print(__doc__, file=sys.stderr)
        return 2
    photo, clip, result = map(Path, sys.argv[1:])
    try:
        found = evaluate(result, [photo], clip, stride=5)
    except FaceswapError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return error.exit_code
    missed = {name: most for name, most in MOST.items() if not found.figures[name] <= most}
    for name, most in MOST.items():
        print(f"{name}: {found.figures[name]:.3f}, at most {most:g}: {'no' if name in missed else 'yes'}")
    return 10 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
