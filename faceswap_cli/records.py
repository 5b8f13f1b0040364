"""The values that flow between the stages.

Axes: ``T`` frames of a track, ``N`` batch, ``S`` crop side, ``H``, ``W`` picture.
Points are ``(x, y)`` float32 pixels with pixel centers at integer + 0.5.  Matrices are
3x3, act on column vectors ``(x, y, 1)`` and are named ``dst_from_src``.

Three pixel spaces occur: *frame* (as decoded and stored), *display* (upright, square
pixels: rotation and sample aspect ratio applied; what detection sees and what the ledger
reports) and *crop* (a face, aligned).  ``Clip.display_from_frame`` links the first two.
Left and right are the subject's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from faceswap_cli.limits import CLIP_PIXELS

if TYPE_CHECKING:
    from faceswap_cli.identity.enrolled import Enrolled

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Samples = NDArray[Any]
"""Plane samples: uint8 for 8 bit, uint16 above."""

MESH_POINTS = 478
"""Points of the face mesh: 468 of the surface, 5 for each iris."""


Tint = tuple[tuple[float, float], ...]
"""Of a picture of one hue: (Cb, Cr) minus neutral, in codes of 8 bit, at evenly spaced levels of luma."""


@dataclass(frozen=True, slots=True)
class ColorTags:
    """How the samples of a stream are to be read; the integers are those of ITU-T H.273."""

    matrix: int = 1
    """1 BT.709, 5 and 6 BT.601, 9 BT.2020; 2 means unspecified and is resolved by ``probe``."""
    full_range: bool = False
    primaries: int = 2
    transfer: int = 2
    tagged: bool = False
    """True when the file itself named the matrix; otherwise it was inferred from the size."""
    tint: Tint | None = None
    """Of a clip that turned out to be of one hue (black and white, sepia); None for one with colors."""


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """One picture as decoded: planar Y, Cb, Cr."""

    y: Samples = field(repr=False)
    """(H, W)"""
    cb: Samples = field(repr=False)
    """(H / 2 or H, W / 2 or W), rounded up"""
    cr: Samples = field(repr=False)
    bit_depth: int = 8

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the luma plane."""
        return self.y.shape[0], self.y.shape[1]

    @property
    def chroma_step(self) -> tuple[int, int]:
        """(vertical, horizontal) luma samples per chroma sample: (2, 2), (1, 2) or (1, 1)."""
        height, width = self.shape
        down = 2 if self.cb.shape[0] < height else 1
        return down, 2 if self.cb.shape[1] < width else 1


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One decoded frame and its place in time."""

    index: int
    """Position in the clip, counted in presentation order from 0."""
    pts: int
    """In units of ``time_base``; never a float rate."""
    time_base: Fraction
    planes: Planes = field(repr=False)
    alpha: Samples | None = field(repr=False, default=None)
    """(H, W) opacity in the depth of ``planes``, full range; None when opaque, or not wanted"""
    mask: Planes | None = field(repr=False, default=None)
    """The user's mask at this time, where there is one (``video.user_mask``)"""
    scaled_from: tuple[int, int] | None = None
    """(width, height) as stored, where that is not the clip's size: ``planes`` are scaled to the clip's"""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """One stream of a container, for reports."""

    index: int
    kind: str
    """video, audio, subtitle, attachment or data"""
    codec: str
    language: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """What ``probe`` learns of a video file without decoding all of it."""

    path: Path
    container: str
    codec: str
    width: int
    height: int
    """Of the stored frame, before rotation."""
    pixel_format: str
    """As stored in the file, e.g. ``yuv420p10le``."""
    work_format: str
    """The planar Y'CbCr format frames are handed out in and encoded from."""
    bit_depth: int
    time_base: Fraction
    start_pts: int
    average_rate: Fraction
    frames: int
    """Estimated number of frames; exact when the container says so."""
    duration_s: float
    rotation: int
    """Degrees counter-clockwise, a multiple of 90, by which the frame is turned for display."""
    sample_aspect: Fraction
    color: ColorTags
    streams: tuple[StreamInfo, ...]
    video_stream: int
    bit_rate: int = 0
    metadata: dict[str, str] = field(default_factory=dict)
    profile: str = ""
    """Of the codec, e.g. ``High`` or ``HQ``."""
    mastering_display: str = ""
    """HDR mastering display in the notation of x265 (``G(x,y)B(x,y)R(x,y)WP(x,y)L(max,min)``)."""
    light_level: str = ""
    """HDR content light level as ``max_cll,max_fall``."""
    codec_header: bytes = field(default=b"", repr=False)
    """Parameter sets as the container stores them (``avcC``, ``hvcC`` and the like)."""
    notes: tuple[str, ...] = ()
    """What cannot be kept of this clip, in plain words."""
    restarts: tuple[tuple[int, int], ...] = ()
    """Where the file's clock starts again: (place in the file, ticks to add to all times from there on)."""
    interlaced: str = ""
    """Which field of its pictures comes first: ``tff`` or ``bff``; empty when they are progressive."""
    deinterlace: bool = False
    """Pictures are handed out as progressive ones."""
    transparent: bool = False
    """The file has an alpha channel that is not opaque throughout."""
    alpha: bool = False
    """Frames are handed out with their alpha channel: the output keeps it."""
    mirrored: bool = False
    """Left and right of the turned frame are exchanged for display."""
    max_pixels: int = CLIP_PIXELS
    """Frames that turn out larger than this are not decoded."""

    def seconds(self, pts: int) -> float:
        """Seconds from the clip's first frame: the clock of ``--start``, ledger, events and report."""
        return float((pts - self.start_pts) * self.time_base)

    @property
    def display_size(self) -> tuple[int, int]:
        """(width, height) upright with square pixels."""
        width, height = round(self.width * float(self.sample_aspect)), self.height
        return (height, width) if self.rotation % 180 else (width, height)

    @property
    def display_from_frame(self) -> F64:
        """(3, 3): stored pixels to upright, square pixels, as players show them."""
        scaled = np.diag([float(self.sample_aspect), 1.0, 1.0])
        width, height = self.width * float(self.sample_aspect), float(self.height)
        turns: dict[int, list[list[float]]] = {
            0: [[1, 0, 0], [0, 1, 0]],
            90: [[0, 1, 0], [-1, 0, width]],
            180: [[-1, 0, width], [0, -1, height]],
            270: [[0, -1, height], [1, 0, 0]],
        }
        turn = np.array([*turns[self.rotation % 360], [0, 0, 1]], dtype=np.float64)
        if self.mirrored:
            shown = height if self.rotation % 180 else width
            turn = np.array([[-1.0, 0, shown], [0, 1, 0], [0, 0, 1]]) @ turn
        return turn @ scaled

    def upright(self, stored: NDArray[Any]) -> NDArray[Any]:
        """A stored picture (H, W[, C]) turned, and mirrored, as players show it; pixels keep their shape."""
        turned = np.rot90(stored, self.rotation // 90 % 4)
        return np.ascontiguousarray(turned[:, ::-1] if self.mirrored else turned)


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One face found in one picture, in display pixels."""

    box: F32 = field(repr=False)
    """(4,) x0, y0, x1, y1: bounds of the mesh"""
    landmarks: F32 = field(repr=False)
    """(478, 3): x, y in display pixels, z in the same unit (smaller is nearer)"""
    score: float = 1.0


F = TypeVar("F")


@dataclass(frozen=True, slots=True, eq=False)
class WithFaces(Generic[F]):
    """A frame and what is known of its faces at this stage."""

    frame: Frame
    faces: tuple[F, ...]


@dataclass(frozen=True, slots=True, eq=False)
class FaceCrop:
    """A face cut out and aligned."""

    track_id: int
    rgb: U8 = field(repr=False)
    """(S, S, 3)"""
    crop_from_frame: F64 = field(repr=False)
    """(3, 3)"""
    landmarks: F32 = field(repr=False)
    """(478, 3): x, y in crop pixels, z in the same unit"""
    opacity: float = 1.0
    """1 where the face is swapped fully; lower while a track fades in or out."""
    open_eyes: tuple[float, float] = (0.3, 0.3)
    """How far this person's left and right eye are usually open, as a share of their width"""
    before: FaceCrop | None = None
    """As it is in the frame, where ``swap.edits`` has moved things in ``rgb`` and ``landmarks``"""
    neutral: F32 | None = field(repr=False, default=None)
    """(478, 3) canonical shape of the person over the whole track; None: of this crop alone"""
    shape_mix: float | None = None
    """Share of the source's proportions inside the face; None leaves it to the job's options"""
    outline: float | None = None
    """The same of jaw and cheeks"""
    room: float = 1.0
    """Share of ``outline`` for which the frame has room"""
    color_px: float = 0.0
    """Pixels of the crop per color sample of the frame; 0 where the frame has one for each pixel"""
    user_mask: U8 | None = field(repr=False, default=None)
    """(S, S) 255 where the user's own mask keeps the target"""


@dataclass(frozen=True, slots=True, eq=False)
class Bend:
    """How the frame around a face is bent before the face is pasted."""

    move: F32 = field(repr=False)
    """(n, n, 2): the bent square shows at p what lies at p + move(p), in its unit coordinates"""
    square_from_frame: F64 = field(repr=False)
    """(3, 3)"""
    side: float
    """Of the square, in the pixels of ``square_from_frame``"""


@dataclass(frozen=True, slots=True, eq=False)
class RenderedFace:
    """A swapped face, ready to be pasted back."""

    crop: FaceCrop
    rgb: U8 = field(repr=False)
    """(S, S, 3)"""
    mask: F32 = field(repr=False)
    """(S, S) in [0, 1]: share of ``rgb`` in the result"""
    occluded: float = 0.0
    """Share of the face's area where something in front of it was kept."""
    drawn: F32 | None = None
    """(478, 3) px: where the mesh was drawn, when that is not at ``crop.landmarks``"""
    bend: Bend | None = None
    """None: the frame around the face stays as it is"""
    in_front: dict[str, float] = field(default_factory=dict)
    """Share of the face's area by class of what is in front: rim, lens, hair, thing, mask"""


@dataclass(frozen=True, slots=True)
class Shot:
    """A run of frames between two cuts: ``first_pts <= pts < end_pts``."""

    first_pts: int
    end_pts: int


@dataclass(frozen=True, slots=True, eq=False)
class FaceTrack:
    """One person in one shot, smoothed.  Arrays run over the frames in which the face is shown."""

    track_id: int
    person: int
    pts: I64 = field(repr=False)
    """(T,) strictly increasing"""
    landmarks: F32 = field(repr=False)
    """(T, 478, 3) display pixels, smoothed"""
    crop_from_display: F64 = field(repr=False)
    """(T, 3, 3) similarity to the unit square [0, 1]^2, FFHQ convention, smoothed"""
    confidence: F32 = field(repr=False)
    """(T,) 0 where the face was not found and the track is bridged or faded"""
    opacity: F32 = field(repr=False)
    """(T,) in [0, 1]: below 1 only while fading in or out at a long gap"""
    embedding: F32 = field(repr=False)
    """(128,) mean identity embedding over the track's best frames"""
    sharpness: float = 1.0
    """in (0, 1], of the faces that ``embedding`` was taken from"""

    def at(self, pts: int) -> int | None:
        """Row of ``pts``, or None when the face is not shown then."""
        row = int(np.searchsorted(self.pts, pts))
        return row if row < len(self.pts) and self.pts[row] == pts else None


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """One person of the clip: all tracks voted to be the same."""

    person: int
    tracks: tuple[int, ...]
    frames: int
    mean_size_px: float
    """Mean mesh width in display pixels."""
    mean_x: float
    """Mean horizontal position in display pixels."""
    embedding: F32 = field(repr=False)


@dataclass(frozen=True, slots=True)
class SizeChange:
    """Frames are stored in another size from ``pts`` on."""

    pts: int
    width: int
    height: int


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """All that pass 1 leaves behind: landmarks and times, never pixels."""

    pts: I64 = field(repr=False)
    """(frames,) presentation times of every decoded frame"""
    shots: tuple[Shot, ...]
    tracks: tuple[FaceTrack, ...]
    people: tuple[Person, ...]
    damaged_packets: int = 0
    tint: Tint | None = None
    """Of a clip of one hue"""
    size_changes: tuple[SizeChange, ...] = ()
    """In order; empty for a clip whose frames all have one size"""


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of frames rendered and encoded on its own: ``first_pts <= pts < end_pts``."""

    index: int
    first_pts: int
    end_pts: int
    halo: int
    """Frames decoded beyond each edge for the temporal filters (never across a cut)."""
    frames: int
    touched: bool
    """False when nothing is swapped in it."""
    copied: bool = False
    """Untouched and on keyframes: its packets are taken over as they are."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Segments and who is swapped; arithmetic only."""

    segments: tuple[Segment, ...]
    cast: dict[int, int]
    """person -> index of the source that replaces it"""
    not_copied: str = ""
    """Why untouched frames are encoded again, where no packet can be taken over."""

    @property
    def frames(self) -> int:
        return sum(segment.frames for segment in self.segments)


@dataclass(frozen=True, slots=True, eq=False)
class SourcePhoto:
    """One picture of the source person."""

    path: Path
    rgb: U8 = field(repr=False)
    """(H, W, 3), upright"""
    landmarks: F32 = field(repr=False)
    """(478, 3) in its pixels"""
    embedding: F32 = field(repr=False)
    """(128,)"""
    quality: float = 1.0
    """in (0, 1]: sharpness, size, pose and exposure in one number"""


@dataclass(frozen=True, slots=True, eq=False)
class SourceIdentity:
    """What a swap needs to know of the source person, whatever the method."""

    name: str
    photos: tuple[SourcePhoto, ...]
    embedding: F32 = field(repr=False)
    """(128,) quality-weighted mean"""
    digest: str = ""
    """SHA-256 over the photographs"""
    notes: tuple[str, ...] = ()
    """Warnings for the user: photographs left out, doubtful ones"""
    enrolled: Enrolled | None = field(repr=False, default=None)
    """What an enrollment file knows of the person; then ``photos`` may be empty"""
    changes: tuple[tuple[str, float], ...] = ()
    """Edits of appearance that are asked for: name, amount"""


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """What happened to one face in one frame."""

    pts: int
    time_s: float
    """From the first frame of the target (:meth:`Clip.seconds`)"""
    track: int
    person: int
    swapped: bool
    reason: str
    """Why not, when ``swapped`` is false; empty otherwise."""
    box: tuple[float, float, float, float]
    yaw: float
    pitch: float
    roll: float
    """degrees"""
    identity_distance: float | None = None
    occluded: float = 0.0
    mask_area: float = 0.0
    """Pixels of the frame that were replaced, as a soft count."""
    source: str = ""
    """Name of the person whose face was put in; empty when ``swapped`` is false."""
    strength: float = 1.0
    in_front: dict[str, float] = field(default_factory=dict)
    """Share of the face that is covered, by what: rim, lens, hair, thing, mask."""


@dataclass(frozen=True, slots=True, eq=False)
class SegmentResult:
    """One rendered segment on disk."""

    segment: Segment
    path: Path
    frames: int
    swapped_faces: int
    ledger: tuple[LedgerRow, ...] = field(repr=False, default=())
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time by stage, for ``bench``."""


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """What a finished job returns to its caller."""

    output: Path
    frames: int
    frames_with_swap: int
    faces_swapped: int
    people: int
    damaged_packets: int
    seconds: dict[str, float]
    ledger: tuple[LedgerRow, ...] = field(repr=False, default=())
    notes: tuple[str, ...] = ()
    segments: tuple[Segment, ...] = field(repr=False, default=())
    """Which parts were swapped, encoded again, or copied."""
    shots: tuple[Shot, ...] = field(repr=False, default=())
    """Of the part of the clip that was worked on; empty for a picture."""
    consent: str = ""
    """SHA-256 of the consent file that the mark names; empty without one."""
    size_changes: int = 0
    """How often the frame size changes inside the clip; frames of another size are scaled to the first."""

    @property
    def people_swapped(self) -> int:
        """Of ``people``, those with at least one swapped face."""
        return len({row.person for row in self.ledger if row.swapped})
