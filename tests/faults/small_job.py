"""A small job whose first pass is done: what is tested is what happens to the rest."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faceswap_cli.config import DetectOptions, EncodeOptions, JobOptions, SwapOptions
from faceswap_cli.events import Event
from faceswap_cli.jobs.seal import folder_of
from faceswap_cli.pipeline import swap_video
from faceswap_cli.records import Report
from tests.jobs.example import EXAMPLES, small_example

FRAMES, SEGMENTS = 12, 3
OPTIONS = SwapOptions(
    method="mesh",
    detect=DetectOptions(workers=1),
    encode=EncodeOptions(preset="ultrafast"),
    job=JobOptions(segment_s=FRAMES / 25 / SEGMENTS, workers=1),
)


@dataclass(frozen=True)
class SmallJob:
    """A clip, its output, and the analysis of an earlier run beside it."""

    clip: Path
    output: Path

    @property
    def segments_done(self) -> int:
        return len(list(folder_of(self.output).glob("segment_*.json")))

    def run(self, **given: Any) -> Report:
        return swap_video(
            [EXAMPLES / "source.jpg"], self.clip, self.output, given.pop("options", OPTIONS), **given
        )

    def names(self) -> list[str]:
        """Of all that is not the job folder."""
        return sorted(path.name for path in self.clip.parent.iterdir() if not path.name.endswith(".faceswap"))


def at_segment(number: int, action: Any) -> Any:
    """A listener that acts once, when ``number`` segments are rendered."""
    acted: list[bool] = []

    def listen(event: Event) -> None:
        done = event.data.get("done", 0) if event.data.get("stage") == "render" else 0
        if not acted and done > number * FRAMES // SEGMENTS:
            acted.append(True)
            action()

    return listen


def analysed(folder: Path) -> Path:
    """A folder with the clip and the job folder of a run that was stopped after its first pass."""
    clip = folder / "in.mp4"
    small_example(clip, FRAMES, audio=1, options={"x264-params": "keyint=4"})
    job = SmallJob(clip, folder / "out.mp4")

    class Stopped(Exception):
        pass

    def listen(event: Event) -> None:
        if event.kind == "plan":
            raise Stopped

    try:
        job.run(listen=listen)
    except Stopped:
        return folder
    raise AssertionError("the job was not stopped")


def copy_of(folder: Path, place: Path) -> SmallJob:
    """``folder`` with its times, which are part of a job's key."""
    shutil.copytree(folder, place, copy_function=shutil.copy2)
    return SmallJob(place / "in.mp4", place / "out.mp4")
