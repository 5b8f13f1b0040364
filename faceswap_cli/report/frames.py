"""The pictures of a report: the same frame of target and result, as JPEG of bounded size."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from faceswap_cli.config import RangeOptions
from faceswap_cli.errors import InputError
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.identity.people import SUFFIX
from faceswap_cli.identity.photos import picture_files
from faceswap_cli.metrics.pairs import display_rgb
from faceswap_cli.provenance.mark import xmp_packet
from faceswap_cli.records import U8, Clip, Frame
from faceswap_cli.report.moments import Moment
from faceswap_cli.video.picture import read_picture
from faceswap_cli.video.probe import probe
from faceswap_cli.video.ranges import pts_range
from faceswap_cli.video.reader import read_frames

WHOLE_SIDE, WHOLE_BYTES = 1120, 84_000
"""Long side in pixels and largest size of a whole frame; eight pairs stay below 2 MB as text."""
FACE_SIDE, FACE_BYTES = 440, 34_000
_FACE_ROOM = 1.7
"""Side of the square around a face, in widths (or heights) of its mesh."""
PORTRAITS = 6
"""Sources whose faces are shown"""
_QUALITIES = (86, 78, 68, 58, 46)
_XMP_HEADER = b"http://ns.adobe.com/xap/1.0/\x00"


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One picture, ready for the page."""

    data: bytes = field(repr=False)
    width: int
    height: int

    @property
    def uri(self) -> str:
        return "data:image/jpeg;base64," + base64.b64encode(self.data).decode("ascii")


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A moment before and after: the whole frame, and the face alone."""

    moment: Moment
    whole: tuple[Shown, Shown]
    face: tuple[Shown, Shown]


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """Whose face was put in."""

    name: str
    face: Shown


def clip_pairs(target: Path, result: Path, chosen: RangeOptions, moments: Sequence[Moment]) -> Iterator[Pair]:
    """The frames of ``moments`` out of both files, in their order.

    A moment whose frame cannot be read in the result (damage) is left out.
    """
    theirs, ours = probe(target), probe(result)
    first, _ = pts_range(theirs, chosen)
    begin = theirs.start_pts if first is None else first
    shift = ours.start_pts * ours.time_base - begin * theirs.time_base
    for moment in moments:
        time = moment.pts * theirs.time_base
        before, after = _frame_at(theirs, time), _frame_at(ours, time + shift)
        if before is not None and after is not None:
            yield _pair(moment, display_rgb(before, theirs), display_rgb(after, ours))


def picture_pairs(target: Path, result: Path, moments: Sequence[Moment]) -> Iterator[Pair]:
    """The same for two still pictures: every moment is a face of the one frame."""
    before, after = read_picture(target).rgb, read_picture(result).rgb
    for moment in moments:
        yield _pair(moment, before, after)


def portraits(sources: Sequence[Path]) -> Iterator[Portrait]:
    """The largest face in the first usable photograph of each source; enrolled people have none."""
    for source in sources[:PORTRAITS]:
        if source.suffix != SUFFIX and (face := _first_face(source)) is not None:
            yield Portrait(source.name, face)


def _first_face(source: Path) -> Shown | None:
    with suppress(InputError):
        for path in picture_files([source]):
            rgb = read_picture(path).rgb
            if found := find_faces(rgb):
                points = found[0].landmarks[:, :2]
                (x0, y0), (x1, y1) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
                return _shown(_face(rgb, (x0, y0, x1, y1)), FACE_BYTES, ai=False)
    return None


def _frame_at(clip: Clip, time: Fraction) -> Frame | None:
    """The frame shown at ``time`` seconds; half a frame of tolerance for containers with coarse clocks."""
    half = Fraction(1, 2) / clip.average_rate if clip.average_rate else Fraction(1, 100)
    low, high = (round(t / clip.time_base) for t in (time - half, time + half))
    exact = round(time / clip.time_base)
    with closing(read_frames(clip, first_pts=low, end_pts=high + 1)) as frames:
        return min(frames, key=lambda frame: abs(frame.pts - exact), default=None)


def _pair(moment: Moment, before: U8, after: U8) -> Pair:
    if before.shape != after.shape:  # a clip whose size changes half-way
        after = np.asarray(cv2.resize(after, before.shape[1::-1], interpolation=cv2.INTER_AREA), np.uint8)
    whole = _shown(_bounded(before), WHOLE_BYTES, ai=False), _shown(_bounded(after), WHOLE_BYTES, ai=True)
    crops = (_face(picture, moment.box) for picture in (before, after))
    target, result = crops
    return Pair(moment, whole, (_shown(target, FACE_BYTES, ai=False), _shown(result, FACE_BYTES, ai=True)))


def _bounded(rgb: U8) -> U8:
    scale = WHOLE_SIDE / max(rgb.shape[:2])
    if scale >= 1:
        return rgb
    return np.asarray(cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def _face(rgb: U8, box: tuple[float, float, float, float]) -> U8:
    """(S, S, 3) around the face; what lies outside the picture is dark."""
    x0, y0, x1, y1 = box
    side = max(_FACE_ROOM * max(x1 - x0, y1 - y0), 24.0)
    out = int(min(FACE_SIDE, max(round(side), FACE_SIDE // 2)))
    scale = out / side
    shift = [out / 2 - scale * (x0 + x1) / 2, out / 2 - scale * (y0 + y1) / 2]
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    source = rgb
    if scale < 0.5:  # shrink by area first: a warp alone would show stairs
        source = np.asarray(cv2.resize(rgb, None, fx=2 * scale, fy=2 * scale, interpolation=cv2.INTER_AREA))
        matrix[:, :2] = np.eye(2) * 0.5
    return np.asarray(
        cv2.warpAffine(source, matrix, (out, out), flags=cv2.INTER_CUBIC, borderValue=(24, 24, 24)), np.uint8
    )


def _shown(rgb: U8, most: int, *, ai: bool) -> Shown:
    """JPEG of at most ``most`` bytes: first the quality goes down, then the size."""
    mark = _app1(xmp_packet()) if ai else b""
    while True:
        for quality in _QUALITIES:
            data = _jpeg(rgb, quality)
            if len(data) + len(mark) <= most or max(rgb.shape[:2]) < 64:
                return Shown(data[:2] + mark + data[2:], rgb.shape[1], rgb.shape[0])
        rgb = np.asarray(cv2.resize(rgb, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA), np.uint8)


def _jpeg(rgb: U8, quality: int) -> bytes:
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1, cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), flags)
    return data.tobytes()


def _app1(packet: bytes) -> bytes:
    """The XMP segment of a JPEG, for behind its first two bytes: who saves the picture keeps the mark."""
    content = _XMP_HEADER + packet
    return b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content
