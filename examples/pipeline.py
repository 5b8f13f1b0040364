"""Swap a clip from Python and follow its progress.

    python examples/pipeline.py [PHOTO CLIP OUTPUT]

Without arguments it swaps the example of this folder into ``pipeline_out.mp4``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from faceswap_cli.config import EncodeOptions, SwapOptions, TrackOptions
from faceswap_cli.errors import FaceswapError
from faceswap_cli.events import Event
from faceswap_cli.pipeline import swap_video

HERE = Path(__file__).resolve().parent


class Show:
    """A line for every tenth of a stage; a program of your own would move its progress bar here."""

    def __init__(self) -> None:
        self.shown: set[tuple[str, int]] = set()

    def __call__(self, event: Event) -> None:
        if event.kind == "progress":
            percent = 100 * event.data["done"] // max(event.data["total"], 1) // 10 * 10
            step = (event.data["stage"], percent)
            if step not in self.shown:
                self.shown.add(step)
                print(f"{step[0]}: {percent} %", file=sys.stderr)
        elif event.kind == "warning":
            print(f"warning: {event.data['message']}", file=sys.stderr)


def main() -> int:
    given = [Path(name) for name in sys.argv[1:]]
    if len(given) not in (0, 3):
        print(__doc__, file=sys.stderr)
        return 2
    photo, clip, output = given or (HERE / "source.jpg", HERE / "target.mp4", Path("pipeline_out.mp4"))
    options = SwapOptions(track=TrackOptions(face="largest"), encode=EncodeOptions(crf=18))
    try:
        report = swap_video([photo], clip, output, options, listen=Show())
    except FaceswapError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return error.exit_code
    print(
        f"{report.output}: {report.faces_swapped} faces in {report.frames_with_swap}/{report.frames} frames"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
