"""What a file holds: streams, timing, color, shots, people, and what it says of its making."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from faceswap_cli.cast.file import Entry, write_cast
from faceswap_cli.cast.make import cast_entries
from faceswap_cli.cast.sheet import TILE_PX, TILES_PER_PERSON, cast_sheet, people_tiles
from faceswap_cli.config import SwapOptions
from faceswap_cli.errors import NoFaceFound
from faceswap_cli.events import NEVER, Listener, StopRequest, ignore
from faceswap_cli.provenance.mark import Mark, read_mark, sheet_packet
from faceswap_cli.provenance.verify import Statement, read_statement
from faceswap_cli.provenance.watermark import Detection
from faceswap_cli.records import F32, I64, U8, Analysis, Clip

_TIMING_FRAMES = 250
"""Frames looked at for the timing when the whole clip is not analyzed."""

PRIMARIES = {1: "BT.709", 5: "BT.601 PAL", 6: "BT.601 NTSC", 9: "BT.2020", 12: "Display P3"}
MATRICES = {0: "RGB", 1: "BT.709", 5: "BT.601", 6: "BT.601", 7: "SMPTE 240M", 9: "BT.2020", 14: "ICtCp"}
TRANSFERS = {
    1: "BT.709",
    4: "gamma 2.2",
    6: "BT.601",
    8: "linear",
    13: "sRGB",
    16: "PQ (HDR)",
    18: "HLG (HDR)",
}


@dataclass(frozen=True, slots=True)
class Timing:
    """When frames are shown."""

    frames: int
    variable: bool
    """True when the steps differ by more than the rounding to the time base."""
    shortest_s: float
    longest_s: float
    exact: bool
    """False when only the first frames were looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class VideoReport:
    """Of a video."""

    clip: Clip
    timing: Timing
    analysis: Analysis | None = field(repr=False)
    mark: Mark | None = None
    statement: Statement | None = None
    """The signed C2PA manifest, in the file or beside it"""
    watermark: Detection | None = None
    """The search for the invisible mark; None when people were left out"""
    glasses: tuple[float, ...] = ()
    """Share of the frames looked at in which each person wears glasses"""

    @property
    def synthetic(self) -> bool:
        """True when a mark says that a model made it; without any nothing is known: that is not genuine."""
        return _synthetic(self.mark, self.statement, self.watermark)


@dataclass(frozen=True, slots=True, eq=False)
class PictureReport:
    """Of a picture."""

    path: Path
    format: str
    width: int
    height: int
    bits: int
    alpha: bool
    boxes: tuple[tuple[float, float, float, float], ...]
    """x0, y0, x1, y1 of each face, the largest first"""
    glasses: tuple[bool, ...] = ()
    """Whether each of them wears glasses"""
    mark: Mark | None = None
    statement: Statement | None = None
    watermark: Detection | None = None

    @property
    def synthetic(self) -> bool:
        """As of a :class:`VideoReport`."""
        return _synthetic(self.mark, self.statement, self.watermark)


def _synthetic(mark: Mark | None, statement: Statement | None, watermark: Detection | None) -> bool:
    told = any(one is not None and one.synthetic for one in (mark, statement))
    return told or (watermark is not None and watermark.found)


@dataclass(frozen=True, slots=True, eq=False)
class CastFiles:
    """What was written for a cast."""

    path: Path
    sheet: Path
    entries: tuple[Entry, ...]


def inspect_picture(path: Path, options: SwapOptions) -> PictureReport:
    """Decode ``path`` and look for faces."""
    from faceswap_cli.faces.detect import find_faces
    from faceswap_cli.provenance.search import search_picture
    from faceswap_cli.video.picture import read_picture

    picture = read_picture(path, options.detect.max_pixels)
    found = find_faces(picture.rgb, options.detect)
    height, width = picture.rgb.shape[:2]
    return PictureReport(
        path=path,
        format=picture.format,
        width=width,
        height=height,
        bits=16 if picture.deep is not None else 8,
        alpha=picture.alpha is not None,
        boxes=tuple(_box(face.box) for face in found),
        glasses=tuple(_wears_glasses(picture.rgb, face.landmarks) for face in found),
        mark=read_mark(path),
        statement=read_statement(path),
        watermark=search_picture(picture.rgb, found),
    )


def _wears_glasses(rgb: U8, landmarks: F32) -> bool:
    from faceswap_cli.faces.crops import cut
    from faceswap_cli.geometry import align
    from faceswap_cli.nets.occluder import SIDE
    from faceswap_cli.swap.sightings import look_at

    matrix = align.scaled(align.unit_from_points(landmarks), SIDE)
    points = np.asarray(align.apply(matrix, landmarks) / SIDE, np.float32)
    return look_at(cut(rgb, matrix, SIDE), points)[0]


def _box(box: Any) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (round(float(edge), 1) for edge in box)
    return x0, y0, x1, y1


def inspect_video(
    path: Path,
    options: SwapOptions,
    *,
    people: bool = True,
    listen: Listener = ignore,
    stop: StopRequest = NEVER,
) -> VideoReport:
    """Probe ``path`` and, with ``people``, run the whole first pass on it."""
    from faceswap_cli.video.probe import probe

    clip = probe(path, options.detect.max_pixels)
    analysis = watermark = None
    glasses: tuple[float, ...] = ()
    if people:
        from faceswap_cli.provenance.search import search_clip
        from faceswap_cli.tracking.analyse import analyse_clip

        analysis = analyse_clip(clip, options.detect, options.track, options.smooth, listen, stop)
        watermark = search_clip(clip, analysis, stop)
        glasses = _glasses_of_people(clip, analysis, stop)
    pts = analysis.pts if analysis is not None else _first_pts(clip)
    timing = timing_of(pts, clip.time_base, clip.average_rate, exact=people)
    mark, statement = read_mark(path, clip.metadata), read_statement(path)
    return VideoReport(clip, timing, analysis, mark, statement, watermark, glasses)


def _glasses_of_people(clip: Clip, analysis: Analysis, stop: StopRequest) -> tuple[float, ...]:
    from faceswap_cli.swap.sightings import glasses_share, sightings

    seen = list(sightings(clip, analysis, analysis.people, stop=stop))
    return tuple(glasses_share(seen, person.person) for person in analysis.people)


def _first_pts(clip: Clip) -> I64:
    from faceswap_cli.video.reader import read_frames

    found: list[int] = []
    with closing(read_frames(clip)) as frames:
        for frame in frames:
            found.append(frame.pts)
            if len(found) == _TIMING_FRAMES:
                break
    return np.array(found, dtype=np.int64)


def timing_of(pts: I64, time_base: Fraction, rate: Fraction, *, exact: bool) -> Timing:
    """(T,) times -> timing.  A constant rate shows as steps that differ by rounding only."""
    steps = np.diff(pts)
    if not steps.size:
        length = float(1 / rate) if rate else 0.0
        return Timing(len(pts), False, length, length, exact)
    shortest, longest = int(steps.min()), int(steps.max())
    variable = longest - shortest > 1
    return Timing(len(pts), variable, float(shortest * time_base), float(longest * time_base), exact)


def contact_sheet(clip: Clip, analysis: Analysis) -> U8:
    """(rows, columns, 3): a row of tiles for every person, the order of ``analysis.people``."""
    shape = (max(1, len(analysis.people)) * TILE_PX, TILES_PER_PERSON * TILE_PX, 3)
    sheet = np.full(shape, 32, np.uint8)
    for row, tiles in enumerate(people_tiles(clip, analysis)):
        for column, tile in enumerate(tiles):
            y, x = row * TILE_PX, column * TILE_PX
            sheet[y : y + TILE_PX, x : x + TILE_PX] = tile
    return sheet


def write_cast_and_sheet(path: Path, clip: Clip, analysis: Analysis) -> CastFiles:
    """Write the cast file ``path``, to be filled in, and beside it a picture of the people in it."""
    from faceswap_cli.video.picture import Picture, write_picture

    if not analysis.people:
        raise NoFaceFound(f"no face was found in {clip.path.name}: there are no people to cast")
    entries = cast_entries(analysis, clip.time_base)
    sheet = cast_sheet_path(path)
    tiles = cast_sheet(people_tiles(clip, analysis), entries)
    write_picture(sheet, Picture(rgb=tiles, xmp=sheet_packet()))
    write_cast(path, clip.path.name, sheet.name, entries)
    return CastFiles(path, sheet, entries)


def cast_sheet_path(path: Path) -> Path:
    """The picture beside a cast file."""
    return path.with_suffix(".png")
