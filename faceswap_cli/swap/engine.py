"""Rendering: frames in, frames with swapped faces out.

Three stages over a stream of frames: cut and encode the chosen faces, smooth their codes over
a centered window, draw and paste.  Per-frame work runs on a few threads, in order; what a frame
becomes depends on the frames around it within the window, never on how the stream was cut.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np

from faceswap_cli import color
from faceswap_cli.config import EditOptions, SmoothOptions
from faceswap_cli.errors import InputError
from faceswap_cli.faces.landmarks import OVAL, eye_apertures
from faceswap_cli.geometry import align
from faceswap_cli.geometry.paste import paste_into_planes
from faceswap_cli.numerics import NotFinite, finite, told
from faceswap_cli.provenance.watermark import watermarked
from faceswap_cli.records import (
    F32,
    F64,
    Analysis,
    Clip,
    FaceCrop,
    FaceTrack,
    Frame,
    LedgerRow,
    RenderedFace,
    Segment,
)
from faceswap_cli.stream import centered, flattened, grouped, ordered_map
from faceswap_cli.swap.kernel import smoothing_kernel
from faceswap_cli.swap.ledger import drawn_of, ledger_rows
from faceswap_cli.swap.method import SwapMethod, Task, batches_of, encode_all, render_all
from faceswap_cli.swap.proportions import facing, neutral_shape
from faceswap_cli.swap.selective import Amounts, Selection, selected
from faceswap_cli.video.user_mask import UserMask

BEND_ROOM = 0.45
"""What the frame must show around jaw and cheeks for the outline to be bent, as a share of the oval."""
A = TypeVar("A")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """All that rendering needs besides the frames; shared by every segment of a job."""

    clip: Clip
    analysis: Analysis
    method: SwapMethod
    prepared: dict[int, Any]
    """person -> what the method prepared of the source that replaces it"""
    smooth: SmoothOptions
    seed: int = 0
    source_embeddings: dict[int, F32] = field(default_factory=dict)
    """person -> source embedding; where given, the ledger holds identity distances"""
    source_names: dict[int, str] = field(default_factory=dict)
    """person -> name of the source, for the ledger"""
    sides: dict[int, int] = field(default_factory=dict)
    """track -> crop side"""
    open_eyes: dict[int, tuple[float, float]] = field(default_factory=dict)
    """track -> usual apertures of the left and right eye"""
    neutrals: dict[int, F32] = field(default_factory=dict)
    """track -> (478, 3) canonical shape of the person over the whole track"""
    selection: Selection = field(default_factory=Selection)
    mask: UserMask | None = None
    """Where the user keeps the target"""

    def amounts(self, pts: int) -> Amounts:
        """How far the swap goes at ``pts``, and what stays the target's own."""
        return self.selection.at((pts - self.clip.start_pts) * self.clip.time_base)

    def chosen(self, pts: int) -> list[tuple[FaceTrack, int]]:
        """Tracks to swap at ``pts`` with the row of that frame, those behind before those in front.

        Where two faces overlap, the one that is found and larger is taken for the one in front.
        """
        rows = ((track, track.at(pts)) for track in self.analysis.tracks if track.person in self.prepared)
        shown = [(track, row) for track, row in rows if row is not None]
        return sorted(shown, key=lambda one: (one[0].confidence[one[1]] > 0, _width(*one)))


def _width(track: FaceTrack, row: int) -> float:
    return float(np.ptp(track.landmarks[row, :, 0]))


def build_scene(
    clip: Clip, analysis: Analysis, method: SwapMethod, prepared: dict[int, Any], smooth: SmoothOptions
) -> Scene:
    """A scene with one crop side per track: the size of a face must not step from frame to frame."""
    sides, open_eyes, neutrals = {}, {}, {}
    for track in analysis.tracks:
        if track.person in prepared:
            left, right = np.percentile(eye_apertures(track.landmarks), 75, axis=0)
            open_eyes[track.track_id] = (float(left), float(right))
            neutrals[track.track_id] = neutral_shape(track.landmarks, track.confidence)
            _, _, half = align.square_from_unit(track.crop_from_display @ clip.display_from_frame)
            sides[track.track_id] = method.crop_side(2.0 * float(np.percentile(half, 75)))
    return Scene(
        clip, analysis, method, prepared, smooth, sides=sides, open_eyes=open_eyes, neutrals=neutrals
    )


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """A frame, its crops and their codes."""

    frame: Frame
    crops: tuple[FaceCrop, ...]
    codes: tuple[F32, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Swapped:
    """A finished frame and what happened in it."""

    frame: Frame
    original: Frame
    ledger: tuple[LedgerRow, ...]
    faces: int


class StageClock:
    """Seconds of work by stage, summed over threads; for ``bench``."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def add(self, stage: str, since: float) -> float:
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - since
        return now


Window = tuple[tuple[Encoded, ...], int]
"""Frames in order, and the position of the one that is meant"""


def render_frames(
    frames: Iterable[Frame],
    scene: Scene,
    first_pts: int,
    end_pts: int,
    workers: int,
    clock: StageClock,
) -> Generator[Swapped, None, None]:
    """Swap the frames with ``first_pts <= pts < end_pts``; the others only serve as neighbors."""
    radius = scene.smooth.code_radius if scene.smooth.strength > 0 else 0
    batches = batches_of(scene.method)
    # Frames go through in groups of a batch; in flight are enough of them to keep the other cores busy.
    ahead = None if batches.size == 1 else max(workers // 2, 2)

    def begin(some: tuple[Frame, ...]) -> list[Encoded]:
        return _encode(some, scene, clock)

    encoded = flattened(ordered_map(begin, grouped(frames, lambda: batches.size), workers, ahead))
    windows = (
        (window, center)
        for window, center in centered(encoded, radius)
        if first_pts <= window[center].frame.pts < end_pts
    )

    def finish(some: tuple[Window, ...]) -> list[Swapped]:
        return _render(some, scene, clock)

    done = flattened(ordered_map(finish, grouped(windows, lambda: batches.size), workers, ahead))
    with closing(encoded), closing(done):
        yield from done


def _where(frame: Frame, scene: Scene) -> str:
    seconds = float(frame.pts * frame.time_base)
    return f"(method {scene.method.name}, frame at {seconds:.3f} s, pts {frame.pts})"


def named(
    work: Callable[[Sequence[A]], list[R]], tasks: Sequence[A], frames: Sequence[Frame], scene: Scene
) -> list[R]:
    """``work(tasks)``, one per entry of ``frames``; NaN and infinity are reported with their frame."""
    if len({frame.pts for frame in frames}) > 1:
        try:
            return work(tasks)
        except NotFinite:
            pass  # each alone says which it is
        return [named(work, [t], [f], scene)[0] for t, f in zip(tasks, frames, strict=True)]
    if not tasks:
        return []
    with told(_where(frames[0], scene)):
        return work(tasks)


def _encode(frames: Sequence[Frame], scene: Scene, clock: StageClock) -> list[Encoded]:
    start = time.perf_counter()
    chosen = [scene.chosen(frame.pts) for frame in frames]
    crops = [
        tuple(cut_crop(frame, scene, track, row) for track, row in shown)
        for frame, shown in zip(frames, chosen, strict=True)
    ]
    start = clock.add("crop", start)
    tasks = [
        Task(scene.prepared[track.person], crop)
        for shown, cut in zip(chosen, crops, strict=True)
        for (track, _), crop in zip(shown, cut, strict=True)
    ]

    def measured(some: Sequence[Task]) -> list[F32]:
        return [finite(code, "the code of a target face") for code in encode_all(scene.method, some)]

    of = [frame for frame, cut in zip(frames, crops, strict=True) for _ in cut]
    codes = iter(named(measured, tasks, of, scene))
    clock.add("encode faces", start)
    return [
        Encoded(frame, cut, tuple(next(codes) for _ in cut)) for frame, cut in zip(frames, crops, strict=True)
    ]


def crop_matrix(scene: Scene, track: FaceTrack, row: int) -> F64:
    """(3, 3) ``crop_from_display`` of one track in one frame."""
    unit = align.rescaled(track.crop_from_display[row], align.SWAP_SCALE, scene.method.crop_scale)
    return align.scaled(unit, scene.sides[track.track_id])


def cut_crop(frame: Frame, scene: Scene, track: FaceTrack, row: int) -> FaceCrop:
    """The aligned crop of one track in one frame."""
    side = scene.sides[track.track_id]
    crop_from_display = crop_matrix(scene, track, row)
    crop_from_frame = crop_from_display @ scene.clip.display_from_frame
    crop = FaceCrop(
        track_id=track.track_id,
        rgb=color.warp_rgb(frame.planes, scene.clip.color, crop_from_frame, side),
        crop_from_frame=crop_from_frame,
        landmarks=align.apply(crop_from_display, track.landmarks[row]),
        opacity=float(track.opacity[row]) * facing(track.landmarks[row]),
        open_eyes=scene.open_eyes[track.track_id],
        neutral=scene.neutrals.get(track.track_id),
        room=_room(track.landmarks[row], scene.clip),
        color_px=_color_px(frame, crop_from_frame),
        user_mask=scene.mask.cut(frame.mask, crop_from_display, side) if scene.mask and frame.mask else None,
    )
    return made_ready(crop, scene.amounts(int(track.pts[row])))


def _color_px(frame: Frame, crop_from_frame: F64) -> float:
    """Pixels of the crop per color sample of the frame; 0 where the frame has one for each pixel."""
    down, across = frame.planes.chroma_step
    if down * across == 1:
        return 0.0
    return float(np.sqrt(abs(np.linalg.det(crop_from_frame[:2, :2])) * down * across))


def _room(points: F32, clip: Clip) -> float:
    """Share of the outline that may be bent, 0 to 1: near the frame's border there is nothing to bend.

    ``points`` (478, 3) in display pixels.
    """
    oval = points[list(OVAL), :2]
    center, width = oval.mean(axis=0), float(np.ptp(oval[:, 0]))
    jaw = oval[oval[:, 1] > center[1]]
    beside = jaw + (jaw - center) * np.float32(BEND_ROOM)
    across, down = clip.display_size
    inside = np.minimum(beside, np.array([across, down], np.float32) - beside).min()
    return float(np.clip(inside / max(0.15 * width, 1.0) + 1.0, 0.0, 1.0))


def made_ready(crop: FaceCrop, amounts: Amounts) -> FaceCrop:
    """``crop`` as a method is to see it."""
    if (amounts.shape_mix, amounts.outline) != (None, None):
        crop = replace(crop, shape_mix=amounts.shape_mix, outline=amounts.outline)
    return with_edits(crop, amounts.edits)


def finished_face(face: RenderedFace, amounts: Amounts) -> RenderedFace:
    """What a method drew, with what stays the target's own, and the edits of lids and irises."""
    return with_looks(selected(face, amounts), amounts.edits)


def with_edits(crop: FaceCrop, edits: EditOptions) -> FaceCrop:
    """``crop`` after ``edits``; what edits need is imported only where there are some."""
    if not edits.any:
        return crop
    from faceswap_cli.swap.edits import edited

    return edited(crop, edits)


def with_looks(face: RenderedFace, edits: EditOptions) -> RenderedFace:
    """A drawn face after the edits of lids and irises."""
    if not edits.any:
        return face
    from faceswap_cli.swap.edits import looking

    return looking(face, edits)


def _smoothed(window: Window, track_id: int, code: F32, scene: Scene) -> F32:
    """``code`` averaged with those of the same track in the window."""
    if scene.smooth.strength <= 0:
        return code
    rate = float(scene.clip.average_rate) or 25.0
    scale = (scene.smooth.strength / 0.5) ** 2 * (rate / 25.0) ** 2
    betas = np.broadcast_to(np.asarray(scene.method.smoothing.beta, np.float32), code.shape).ravel()
    offsets, codes = [], []
    items, center = window
    for position, item in enumerate(items):
        for crop, other in zip(item.crops, item.codes, strict=True):
            if crop.track_id == track_id:
                offsets.append(position - center)
                codes.append(other.reshape(-1))
    out = code.flatten()
    edges = [0, *(np.flatnonzero(np.diff(betas)) + 1).tolist(), len(betas)]
    radius = scene.smooth.code_radius
    for low, high in itertools.pairwise(edges):
        if betas[low] > 0:
            weights = smoothing_kernel(float(betas[low]) * scale, radius)[np.array(offsets) + radius]
            out[low:high] = (weights / weights.sum()) @ np.stack([other[low:high] for other in codes])
    return out.reshape(code.shape)


def _render(windows: Sequence[Window], scene: Scene, clock: StageClock) -> list[Swapped]:
    start = time.perf_counter()
    items = [window[center] for window, center in windows]
    tasks = [[Task(*one) for one in asked(window, scene)] for window in windows]
    of = [item.frame for item, some in zip(items, tasks, strict=True) for _ in some]

    def drawn(some: Sequence[Task]) -> list[RenderedFace]:
        faces = render_all(scene.method, some)
        for face in faces:
            finite(face.mask, "the mask of a drawn face")
        return faces

    faces = iter(named(drawn, [task for some in tasks for task in some], of, scene))
    clock.add("render faces", start)
    return [
        _pasted(item, [next(faces) for _ in some], scene, clock)
        for item, some in zip(items, tasks, strict=True)
    ]


def asked(window: Window, scene: Scene) -> list[tuple[Any, FaceCrop, F32, int]]:
    """What is to be drawn in the middle frame of ``window``: the prepared person, the crop, its smoothed code
    and the seed."""
    item = window[0][window[1]]
    if scene.amounts(item.frame.pts).strength <= 0:
        return []
    people = {track.track_id: track.person for track in scene.analysis.tracks}
    found = []
    for crop, code in zip(item.crops, item.codes, strict=True):
        smooth = _smoothed(window, crop.track_id, code, scene)
        seed = noise_seed(scene.seed, item.frame.pts, scene.clip, crop.track_id)
        found.append((scene.prepared[people[crop.track_id]], crop, smooth, seed))
    return found


def noise_seed(seed: int, pts: int, clip: Clip, track_id: int) -> int:
    """Seed of the noise of one face in one frame.

    By milliseconds from the first frame, never by ticks: in another container, whose clock ticks differently
    or begins elsewhere, the same frames get the same noise.
    """
    milliseconds = math.floor((pts - clip.start_pts) * clip.time_base * 1000 + Fraction(1, 2))
    return abs(hash((seed, milliseconds, track_id))) % (1 << 63)


def _pasted(item: Encoded, drawn: Sequence[RenderedFace], scene: Scene, clock: StageClock) -> Swapped:
    start = time.perf_counter()
    amounts, scale = scene.amounts(item.frame.pts), scene.method.crop_scale
    with told(_where(item.frame, scene)):
        faces = [finished_face(face, amounts) for face in drawn]
    start = clock.add("render faces", start)
    crops = item.crops if faces else ()
    marked = [watermarked(face, crop, scale) for face, crop in zip(faces, crops, strict=True)]
    start = clock.add("mark", start)
    planes = paste_into_planes(item.frame.planes, scene.clip.color, marked)
    clock.add("paste", start)
    rows = ledger_rows(item.frame.pts, drawn_of(faces, scene), scene)
    return Swapped(replace(item.frame, planes=planes), item.frame, rows, len(faces))


def check_complete(frames: int, segment: Segment, clip: Clip) -> None:
    """A segment with other frames than pass 1 saw means that the file changed, or that its disk fails."""
    if frames != segment.frames:
        raise InputError(
            f"{clip.path} gave {frames} instead of {segment.frames} frames of segment {segment.index}: it "
            "changed while it was being worked on, or its disk fails; start again"
        )


def check_known(pts: int, analysis: Analysis, clip: Clip) -> None:
    """A frame that pass 1 did not see means that the file changed under us."""
    row = int(np.searchsorted(analysis.pts, pts))
    if row >= len(analysis.pts) or int(analysis.pts[row]) != pts:
        raise InputError(
            f"{clip.path} changed while it was being worked on (frame at pts {pts}); start again"
        )
