"""What of a clip is not as it was: everything but the pictures in which a face was swapped.

    python -m tests.jobs.intact BEFORE AFTER

Prints a line for each difference and ends with 1 when there is one: streams, languages, sound and subtitle
packets byte for byte, their times to one sample, chapters, rotation, shape of pixels, color tags, times of
frames, and the planes of every frame that ``--copied`` names (as ``12:18``).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from faceswap_cli.records import Clip, Frame
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames

_SAMPLE = Fraction(1, 44100)
"""MP4 counts sound in samples, Matroska in milliseconds"""
_KEPT = ("rotation", "sample_aspect", "color", "width", "height", "pixel_format")


def differences(before: Path, after: Path, copied: slice = slice(0)) -> Iterator[str]:
    """One line for each; frames in ``copied`` must have the same samples."""
    old, new = probe(before), probe(after)
    for name in _KEPT:
        if getattr(old, name) != getattr(new, name):
            yield f"{name}: {getattr(old, name)} became {getattr(new, name)}"
    kinds = [[(s.kind, s.codec, s.language) for s in clip.streams] for clip in (old, new)]
    if kinds[0] != kinds[1]:
        yield f"streams: {kinds[0]} became {kinds[1]}"
        return
    if _chapters(before) != _chapters(after):
        yield f"chapters: {_chapters(before)} became {_chapters(after)}"
    yield from _packet_differences(before, after)
    frames, made = _frames(old), _frames(new)
    times = [[frame.pts * frame.time_base for frame in part] for part in (frames, made)]
    if times[0] != times[1]:
        yield f"{len(times[0])} frame times became {len(times[1])} others"
        return
    for k in range(len(frames))[copied]:
        if any(
            not np.array_equal(*pair) for pair in zip(_samples(frames[k]), _samples(made[k]), strict=True)
        ):
            yield f"frame {k} is not the same"


def _packet_differences(before: Path, after: Path) -> Iterator[str]:
    for kind in ("audio", "subtitle"):
        for number, (old, new) in enumerate(zip(_packets(before, kind), _packets(after, kind), strict=True)):
            if [data for _, data in old] != [data for _, data in new]:
                yield f"{kind} {number}: {len(old)} packets became {len(new)} others"
            elif any(abs(a - b) > _SAMPLE for (a, _), (b, _) in zip(old, new, strict=True)):
                yield f"{kind} {number}: times have moved"


def _packets(path: Path, kind: str) -> list[list[tuple[Fraction, bytes]]]:
    with av.open(str(path)) as container:
        streams = [stream for stream in container.streams if stream.type == kind]
        found: dict[int, list[tuple[Fraction, bytes]]] = {stream.index: [] for stream in streams}
        for packet in container.demux(streams) if streams else ():
            if packet.size and packet.pts is not None:
                found[packet.stream.index].append((packet.pts * Fraction(packet.time_base), bytes(packet)))
    return list(found.values())


def _chapters(path: Path) -> list[tuple[Fraction, Fraction, str]]:
    with av.open(str(path)) as container:
        return [
            (c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"].get("title", ""))
            for c in container.chapters()
        ]


def _frames(clip: Clip) -> list[Frame]:
    with closing(read_frames(clip)) as frames:
        return list(frames)


def _samples(frame: Frame) -> tuple[np.ndarray, ...]:  # type: ignore[type-arg]
    return frame.planes.y, frame.planes.cb, frame.planes.cr


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--copied", default="0:0", help="frames that must be the same, FIRST:END")
    asked = parser.parse_args()
    first, end = map(int, asked.copied.split(":"))
    found = list(differences(asked.before, asked.after, slice(first, end)))
    sys.stdout.write("".join(f"{line}\n" for line in found) or "intact\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
