"""Stop a pipeline when a swap is not good enough.

    python examples/quality_gate.py PHOTO CLIP RESULT

Ends with 0 when the result passes, 10 when it does not; looks at every fifth frame.
"""

from __future__ import annotations

import sys
from pathlib import Path

from faceswap_cli.errors import FaceswapError
from faceswap_cli.metrics.evaluate import evaluate

LEAST = {"likeness": 0.4}
MOST = {"gaze": 8.0}
"""Likeness is the cosine to the source; gaze in % of the eye's width."""


def main() -> int:
    if len(sys.argv) != 4:
        print(__doc__, file=sys.stderr)
        return 2
    photo, clip, result = map(Path, sys.argv[1:])
    try:
        found = evaluate(result, [photo], clip, stride=5).figures
    except FaceswapError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return error.exit_code
    missed = [name for name, least in LEAST.items() if not found.get(name, float("nan")) >= least]
    missed += [name for name, most in MOST.items() if not found.get(name, float("nan")) <= most]
    for name in (*LEAST, *MOST):
        print(f"{name}: {found.get(name, float('nan')):.3f}, {'missed' if name in missed else 'reached'}")
    return 10 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
