"""Stand-ins for rendering that the nodes of a test cluster import; nothing heavy in here."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from faceswap_cli.config import JobOptions, SwapOptions
from faceswap_cli.errors import InputError, WeightsError
from faceswap_cli.records import Segment, SegmentResult

SEGMENTS = tuple(Segment(k, k * 40, (k + 1) * 40, 0, 5, True) for k in range(6))
Tell = Callable[[int], None]


@dataclass(frozen=True)
class Place:
    """A scene that only knows where its file is."""

    clip: Path | None
    part: int = -1


def move(scene: Place, places: Mapping[Path, Path], job: JobOptions) -> Place:
    return replace(scene, clip=None if scene.clip is None else places[scene.clip])


def number(segment: Segment) -> int:
    """What goes with a segment."""
    return 10 * segment.index


def join(scene: Place, part: int) -> Place:
    return replace(scene, part=part)


def move_with_weights(scene: Place, places: Mapping[Path, Path], job: JobOptions) -> Place:
    if not any(path.name == "net.bin" for path in places):
        raise WeightsError("net.bin is missing")
    (found,) = (place for path, place in places.items() if path.name == "net.bin")
    assert found.read_bytes() == b"net"
    return move(scene, places, job)


def render(segment: Segment, scene: Place, path: Path, options: SwapOptions, tell: Tell) -> SegmentResult:
    """Writes down what it was given."""
    time.sleep(0.3)
    tell(5)
    size = None if scene.clip is None else len(scene.clip.read_bytes())
    assert scene.part == 10 * segment.index
    path.write_text(f"{segment.index} {options.job.workers} {options.job.device} {size}")
    return SegmentResult(segment, path, 5, 1, (str(scene.clip),), {"pid": float(os.getpid())})  # type: ignore[arg-type]


def take_time(segment: Segment, scene: Place, path: Path, options: SwapOptions, tell: Tell) -> SegmentResult:
    time.sleep(1.0)
    return render(segment, scene, path, options, tell)


def refuse(segment: Segment, scene: Place, path: Path, options: SwapOptions, tell: Tell) -> SegmentResult:
    raise InputError("clip.mp4 is odd; try another")


def stumble(segment: Segment, scene: Place, path: Path, options: SwapOptions, tell: Tell) -> SegmentResult:
    raise ZeroDivisionError("a bug")


def die(segment: Segment, scene: Place, path: Path, options: SwapOptions, tell: Tell) -> SegmentResult:
    os._exit(9)


def die_once(segment: Segment, scene: Place, path: Path, options: SwapOptions, tell: Tell) -> SegmentResult:
    """The first worker that takes a segment dies of it."""
    assert scene.clip is not None
    told = scene.clip.parent / f"died_{segment.index}"
    if not told.exists():
        told.touch()
        os._exit(9)
    return render(segment, scene, path, options, tell)
