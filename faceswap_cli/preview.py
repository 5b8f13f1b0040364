"""``--preview N``: before and after of the hardest frames, as one picture, before the long run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np

from faceswap_cli import color
from faceswap_cli.cast.make import moment
from faceswap_cli.config import SwapOptions
from faceswap_cli.events import NEVER, Event, Listener, StopRequest, ignore, progress
from faceswap_cli.identity.pose import pose
from faceswap_cli.outcome import Stopwatch
from faceswap_cli.pipeline import analyse, gather_sources, prepare, swapped_frames
from faceswap_cli.policy.consent import consent_digest
from faceswap_cli.policy.gate import check_clip, check_sources
from faceswap_cli.provenance.mark import xmp_packet
from faceswap_cli.provenance.signing import sealer
from faceswap_cli.records import U8, Analysis, Clip, Frame, LedgerRow, Report, Segment
from faceswap_cli.swap.engine import Scene, StageClock, Swapped
from faceswap_cli.swap.sightings import FRAMES, Sighting, sightings
from faceswap_cli.video.deinterlace import as_read
from faceswap_cli.video.picture import Picture, write_picture
from faceswap_cli.video.probe import probe
from faceswap_cli.video.ranges import pts_range
from faceswap_cli.video.user_mask import open_clip_mask

TILE = 320
"""Side of one picture of the sheet in pixels."""
_COLUMNS = 3
_COVERED = 0.05
"""Share of a face under glasses, hair, hands or objects from which a frame counts as covered"""
LINE_PX = 22
"""Height of a line of text below a picture"""


def preview(
    sources: Sequence[Path],
    target: Path,
    output: Path,
    options: SwapOptions,
    count: int,
    listen: Listener = ignore,
    stop: StopRequest = NEVER,
) -> Report:
    """Write a contact sheet of the ``count`` hardest frames, each before and after, and stop."""
    clock = Stopwatch()
    clip = as_read(probe(target, options.detect.max_pixels), options.encode)
    listen(Event("start", {"target": str(target), "frames": clip.frames, "seconds": clip.duration_s}))
    agreed = consent_digest(options.mark.consent)
    sign = sealer(output, target, options.mark.c2pa_cert, options.mark.c2pa_key, agreed)
    first, end = pts_range(clip, options.range)
    open_clip_mask(options.paste.occlusion_mask, clip, end)
    people = gather_sources(sources, options, listen)
    check_sources(people.people, options.policy)
    analysis = analyse(clip, options, listen, stop, (first, end))
    check_clip(clip, analysis, options.policy, listen, stop)
    clock.lap("analyse")
    scene, _ = prepare(clip, analysis, people, options, listen)
    tiles: list[U8] = []
    rows: list[LedgerRow] = []
    chosen = [person for person in analysis.people if person.person in scene.prepared]
    seen = tuple(sightings(clip, analysis, chosen, max(3 * count, FRAMES), stop)) if count > 1 else ()
    hardest = hardest_frames(analysis, scene, count, seen)
    for number, (pts, reason) in enumerate(hardest):
        stop.check("drawing the preview")
        item = _one_frame(scene, pts, options)
        tiles.append(labeled(_pair(item, scene), f"{moment(clip.seconds(pts))}  {reason}", _put_in(item)))
        rows += item.ledger
        listen(progress("render", number + 1, len(hardest)))
    write_picture(output, Picture(rgb=_sheet(tiles), xmp=xmp_packet()), seal=sign)
    clock.lap("render")
    swapped = [row for row in rows if row.swapped]
    return Report(
        output=output,
        frames=len(hardest),
        frames_with_swap=len({row.pts for row in swapped}),
        faces_swapped=len(swapped),
        people=len(analysis.people),
        damaged_packets=analysis.damaged_packets,
        size_changes=len(analysis.size_changes),
        seconds=clock.seconds,
        ledger=tuple(rows),
        notes=_fewer(len(hardest), count, target),
        consent=agreed,
    )


def _fewer(shown: int, asked: int, target: Path) -> tuple[str, ...]:
    """Why a sheet shows less than was asked for."""
    if shown == asked:
        return ()
    return (
        f"{target.name} is short: the sheet shows {shown} frames instead of {asked}, one every half second",
    )


def hardest_frames(
    analysis: Analysis, scene: Scene, count: int, seen: Sequence[Sighting] = ()
) -> list[tuple[int, str]]:
    """(time, why) of the frames that are hardest to swap: turned, small, fast (blurred), uncertain.

    A third are those of ``seen`` in which most of a face is covered.  At most one in half a second, so that
    the sheet does not show one moment many times; where the strength is 0 only when it is so everywhere.
    """
    scored: list[tuple[float, int, str]] = []
    for track in analysis.tracks:
        if track.person not in scene.prepared:
            continue
        angles = pose(track.landmarks)
        width = np.ptp(track.landmarks[..., 0], axis=1)
        center = track.landmarks[..., :2].mean(axis=1)
        speed = np.linalg.norm(np.gradient(center, axis=0), axis=1) if len(center) > 1 else np.zeros(1)
        parts = {
            "turned aside": np.abs(angles.yaw) / 45.0,
            "looking up or down": np.abs(angles.pitch) / 45.0,
            "small face": 60.0 / np.maximum(width, 1.0),
            "moving fast": 4.0 * speed / np.maximum(width, 1.0),
            "hardly seen": 1.0 - track.confidence,
        }
        table = np.stack(list(parts.values()))
        # What a whole track has in common, such as small faces, singles out no frame of it.
        unusual = table - np.median(table, axis=1, keepdims=True) * (len(track.pts) > 1)
        reasons = [list(parts)[row] for row in unusual.argmax(axis=0)]
        scored += list(zip(table.sum(axis=0).tolist(), track.pts.tolist(), reasons, strict=True))
    frames = analysis.pts
    gap = max(int(np.median(np.diff(frames))) * 12, 1) if len(frames) > 1 else 1
    asked = [row for row in scored if scene.amounts(row[1]).strength > 0] or scored
    times = {pts for _, pts, _ in asked}
    covered = [
        (one.covered, one.pts, "covered") for one in seen if one.covered >= _COVERED and one.pts in times
    ]
    chosen: dict[int, str] = {}
    for candidates, most in ((covered, max(count // 3, 1)), (asked, count)):
        for _, pts, reason in sorted(candidates, reverse=True):
            if len(chosen) == most:
                break
            if all(abs(pts - other) >= gap for other in chosen):
                chosen[pts] = reason
    return sorted(chosen.items())


def _one_frame(scene: Scene, pts: int, options: SwapOptions) -> Swapped:
    halo = scene.smooth.code_radius if scene.smooth.strength > 0 else 0
    segment = Segment(0, pts, pts + 1, halo, 1, True)
    with closing(swapped_frames(segment, scene, options, StageClock())) as frames:
        return next(iter(frames))


def _pair(item: Swapped, scene: Scene) -> U8:
    """Before and after side by side, cut around the swapped faces."""
    tiles = [_cut(frame, item, scene.clip) for frame in (item.original, item.frame)]
    return np.concatenate(tiles, axis=1)


def _put_in(item: Swapped) -> str:
    """Whose faces were put in; or why none was."""
    names = sorted({row.source for row in item.ledger if row.swapped})
    if names:
        return f"source: {', '.join(names)}"
    return f"not swapped: {next((row.reason for row in item.ledger if row.reason), 'unknown')}"


def labeled(tile: U8, *lines: str) -> U8:
    """``tile`` (H, W, 3) with lines of text below it; what does not fit is cut off."""
    from PIL import Image, ImageDraw, ImageFont

    width = tile.shape[1]
    canvas = Image.new("RGB", (width, LINE_PX * len(lines) + 6), (24, 24, 24))
    font = ImageFont.load_default(size=LINE_PX * 0.72)
    for row, line in enumerate(lines):
        # Its few glyphs do not cover every name; a question mark is better than an empty box.
        text = line.encode("latin-1", "replace").decode("latin-1")
        ImageDraw.Draw(canvas).text((6, 2 + LINE_PX * row), text, fill=(225, 225, 220), font=font)
    return np.concatenate([tile, np.asarray(canvas, np.uint8)])


def _cut(frame: Frame, item: Swapped, clip: Clip) -> U8:
    rgb = color.rgb_from_planes(frame.planes, clip.color)
    upright = cv2.resize(clip.upright(rgb), clip.display_size, interpolation=cv2.INTER_AREA)
    boxes = np.array([row.box for row in item.ledger if row.swapped] or [(0, 0, *clip.display_size)])
    center = (boxes[:, :2].min(axis=0) + boxes[:, 2:].max(axis=0)) / 2
    half = 0.85 * max(float((boxes[:, 2:].max(axis=0) - boxes[:, :2].min(axis=0)).max()), 16.0)
    scale = TILE / (2 * half)
    shift = TILE / 2 - scale * center
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    flags = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_CUBIC
    return np.asarray(cv2.warpAffine(upright, matrix, (TILE, TILE), flags=flags, borderValue=(24, 24, 24)))


def _sheet(tiles: Sequence[U8]) -> U8:
    columns = min(_COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    height, width = tiles[0].shape[:2]
    sheet = np.full((rows * (height + 4), columns * (width + 4), 3), 24, np.uint8)
    for k, tile in enumerate(tiles):
        y, x = (k // columns) * (height + 4), (k % columns) * (width + 4)
        sheet[y : y + height, x : x + width] = tile
    return sheet
