"""Pictures of the people of a clip: several faces of each, in a row with the name."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import cv2
import numpy as np

from faceswap_cli.cast.file import Entry
from faceswap_cli.cast.make import tracks_of
from faceswap_cli.geometry.align import unit_from_points
from faceswap_cli.records import F64, U8, Analysis, Clip, FaceTrack

TILE_PX = 128
TILES_PER_PERSON = 6
LABEL_PX = 132
_WIDER = 1.15
"""Tiles show the face with some of its surroundings."""
_GAP = 4
_BACK, _TEXT, _QUIET = (24, 24, 24), (240, 240, 240), (150, 150, 150)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_CUT_LINE = 17
"""Letters that fit beside the tiles."""


def people_tiles(clip: Clip, analysis: Analysis) -> list[list[U8]]:
    """For each person up to ``TILES_PER_PERSON`` pictures (TILE_PX, TILE_PX, 3), in order of time."""
    from faceswap_cli.color import warp_rgb
    from faceswap_cli.video.reader import read_frames

    places = _places(analysis)
    tiles: list[dict[int, U8]] = [{} for _ in analysis.people]
    if places:
        last = max(places)
        with closing(read_frames(clip, first_pts=min(places), end_pts=last + 1)) as frames:
            for frame in frames:
                for row, column, tile_from_display in places.get(frame.pts, ()):
                    matrix = tile_from_display @ clip.display_from_frame
                    tiles[row][column] = warp_rgb(frame.planes, clip.color, matrix, TILE_PX)
    return [[own[column] for column in sorted(own)] for own in tiles]


def _places(analysis: Analysis) -> dict[int, list[tuple[int, int, F64]]]:
    """pts -> (row, column, tile_from_display) of every tile."""
    places: dict[int, list[tuple[int, int, F64]]] = {}
    scale = TILE_PX / _WIDER
    tile = np.array([[scale, 0, TILE_PX / 2], [0, scale, TILE_PX / 2], [0, 0, 1]])
    centered = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
    for row, person in enumerate(analysis.people):
        for column, (track, index) in enumerate(spread_frames(tracks_of(analysis, person), TILES_PER_PERSON)):
            unit = unit_from_points(track.landmarks[index])
            places.setdefault(int(track.pts[index]), []).append((row, column, tile @ centered @ unit))
    return places


def spread_frames(tracks: Sequence[FaceTrack], count: int) -> list[tuple[FaceTrack, int]]:
    """Up to ``count`` well seen frames of a person, evenly over their time."""
    seen = [(t, int(i)) for t in tracks for i in np.flatnonzero(t.confidence > 0)]
    seen.sort(key=lambda entry: int(entry[0].pts[entry[1]]))
    if len(seen) <= count:
        return seen
    return [seen[int((k + 0.5) * len(seen) / count)] for k in range(count)]


def cast_sheet(tiles: Sequence[Sequence[U8]], entries: Sequence[Entry]) -> U8:
    """One picture: a row for each entry, its name and remarks on the left."""
    height = TILE_PX + _GAP
    width = LABEL_PX + TILES_PER_PERSON * (TILE_PX + _GAP)
    sheet = np.full((max(len(entries), 1) * height + _GAP, width + _GAP, 3), _BACK, np.uint8)
    for row, (own, entry) in enumerate(zip(tiles, entries, strict=True)):
        top = _GAP + row * height
        _label(sheet[top : top + TILE_PX, :LABEL_PX], entry)
        for column, tile in enumerate(own):
            left = _GAP + LABEL_PX + column * (TILE_PX + _GAP)
            sheet[top : top + TILE_PX, left : left + TILE_PX] = tile
    return sheet


def _label(area: U8, entry: Entry) -> None:
    """Name, and below it why it is in doubt or when the person is first seen."""
    canvas = np.ascontiguousarray(area)
    name = entry.role.name
    size = 1.6 if len(name) <= 3 else 0.6
    cv2.putText(canvas, name[:12], (8, 52), _FONT, size, _TEXT, 2, cv2.LINE_AA)
    words = entry.role.doubt or entry.remarks[0].split(",")[0].split(";")[0]
    for k, line in enumerate(_wrapped(words)[:3]):
        cv2.putText(canvas, line, (8, 78 + 16 * k), _FONT, 0.38, _QUIET, 1, cv2.LINE_AA)
    area[:] = canvas


def _wrapped(text: str) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > _CUT_LINE and lines[-1]:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
