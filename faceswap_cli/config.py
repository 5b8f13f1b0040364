"""Option groups: frozen, documented, checked once.

Every setting is here.  A stage takes its own group, never all of them.  The same field names
are the keys of ``faceswap.toml`` (``[detect] min_face_px = 32``) and, for everyday ones, flags.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field, fields
from pathlib import Path

from faceswap_cli import own_edits
from faceswap_cli.errors import UsageError
from faceswap_cli.keyframes import Level, keyframe_values, level_of, place_of
from faceswap_cli.option_fields import settle


def _check(ok: bool, message: str) -> None:
    if not ok:
        raise UsageError(message)


def _check_share(level: Level, name: str, most: float = 1.0) -> None:
    for value in keyframe_values(level):
        _check(0 <= value <= most, f"{name} must be 0 to {most:g}, not {value:g}")


@dataclass(frozen=True, kw_only=True)
class DetectOptions:
    """Finding faces in single frames."""

    min_face_px: int = 24
    """Faces narrower than this (display pixels) are ignored."""
    max_faces: int = 8
    """At most this many faces in one frame, the largest first."""
    workers: int = 0
    """Detection threads; 0 takes one per core."""
    source_face: str = "auto"
    """Of a source picture with several faces: ``auto`` (clearly the largest, or the one that the other
    pictures show), ``largest``, ``left``, or a number N from the left, from 1."""
    max_pixels: int = 0
    """Larger pictures and frames are refused; 0: 250 million for a picture, 67 million for a frame."""

    def __post_init__(self) -> None:
        settle(self)
        named = self.source_face in ("auto", "largest", "left")
        number = re.fullmatch(r"0*[1-9]\d{0,2}", self.source_face, re.ASCII) is not None
        _check(
            named or number, f"source_face must be largest, left or a number from 1, not {self.source_face!r}"
        )
        _check(self.min_face_px >= 8, f"min_face_px must be 8 or more, not {self.min_face_px}")
        _check(1 <= self.max_faces <= 64, f"max_faces must be 1 to 64, not {self.max_faces}")
        _check(self.workers >= 0, f"workers must be 0 or more, not {self.workers}")
        _check(self.max_pixels >= 0, f"max_pixels must be 0 or more, not {self.max_pixels}")


@dataclass(frozen=True, kw_only=True)
class TrackOptions:
    """Linking faces over time, and who is swapped."""

    face: str = "largest"
    """``largest``, ``left``, ``all`` or a number N: the N-th person from the left, from 1."""
    reference: Path | None = None
    """A photograph of the person to swap; overrides ``face``."""
    cast: Path | None = None
    """A file that maps each person to a source (``inspect --cast``); overrides ``face`` and ``reference``."""
    bridge_s: float = 0.3
    """Gaps up to this long are bridged; longer ones are faded."""
    fade_frames: int = 3
    """Length of a fade at a long gap or at the end of a track."""

    def __post_init__(self) -> None:
        settle(self)
        named = self.face in ("largest", "left", "all")
        number = re.fullmatch(r"0*[1-9]\d{0,5}", self.face, re.ASCII) is not None
        _check(named or number, f"face must be largest, left, all or a number from 1, not {self.face!r}")
        _check(0 <= self.bridge_s <= 2, f"bridge_s must be 0 to 2 seconds, not {self.bridge_s}")
        _check(0 <= self.fade_frames <= 30, f"fade_frames must be 0 to 30, not {self.fade_frames}")


@dataclass(frozen=True, kw_only=True)
class SmoothOptions:
    """Zero-lag smoothing over time (method: closed-form least squares, see ``tracking.smoothing``)."""

    strength: float = 0.5
    """0 turns smoothing off, 1 is the strongest."""
    code_radius: int = 8
    """Frames on each side used to smooth appearance codes; it is also the halo of a segment."""

    def __post_init__(self) -> None:
        settle(self)
        _check(0 <= self.strength <= 1, f"smooth must be 0 to 1, not {self.strength}")
        _check(0 <= self.code_radius <= 60, f"code_radius must be 0 to 60, not {self.code_radius}")


MASK_REGIONS = ("brows", "eyes", "nose", "mouth", "skin", "forehead")
"""Parts of a face that ``--mask-regions`` can name."""


@dataclass(frozen=True, kw_only=True)
class PasteOptions:
    """Mask and blending."""

    feather: float = 0.08
    """Width of the soft edge along the cheeks, as a share of the face's width; wider across the forehead."""
    occlusion: bool = True
    """Keep what passes in front of the face (hands, hair, microphones)."""
    glasses: str = "keep"
    """``keep`` the target's glasses in front of the new face, or ``remove`` them where the face is drawn."""
    beard: str = "keep"
    """``keep`` the target's beard, or ``remove`` it in the face; what grows below the jaw stays."""
    occlusion_mask: Path | None = None
    """A picture or video as large as the target; where it is white, the target stays."""
    mask_regions: str = ""
    """Parts of the face that are swapped, with commas, of :data:`MASK_REGIONS`; empty: the whole face."""

    def __post_init__(self) -> None:
        settle(self)
        _check(0.005 <= self.feather <= 0.5, f"feather must be 0.005 to 0.5, not {self.feather}")
        names = [name.strip() for name in self.mask_regions.split(",")] if self.mask_regions else []
        unknown = [name for name in names if name not in MASK_REGIONS]
        known = ", ".join(MASK_REGIONS)
        _check(not unknown, f"mask_regions does not know {', '.join(map(repr, unknown))}; known: {known}")
        for name in ("glasses", "beard"):
            value = getattr(self, name)
            _check(value in ("keep", "remove"), f"{name} must be keep or remove, not {value!r}")


EDIT_RANGES: dict[str, tuple[float, float]] = {
    "smile": (-1.0, 1.5),
    "mouth": (-1.0, 1.0),
    "brow": (-1.0, 1.5),
    "blink": (-0.5, 1.0),
    "gaze_x": (-1.0, 1.0),
    "gaze_y": (-1.0, 1.0),
    "yaw": (-15.0, 15.0),
    "pitch": (-10.0, 10.0),
    "roll": (-10.0, 10.0),
    "age": (-2.0, 2.0),
    "masculine": (-2.0, 2.0),
    "lips": (-2.0, 2.0),
}
APPEARANCE = ("age", "masculine", "lips")
"""Edits of what the source looks like; the others are of what the target does."""


@dataclass(frozen=True, kw_only=True)
class EditOptions:
    """Changes of expression, gaze and pose, added to what the target does in every frame, and of the source's
    appearance."""

    smile: float = 0.0
    """1 is a clear, full smile (lips as open as they were); below 0 the corners of the mouth sink."""
    mouth: float = 0.0
    """1 opens the mouth wide, below 0 it closes."""
    brow: float = 0.0
    """1 raises the brows as far as lively speech does, below 0 they sink."""
    blink: float = 0.0
    """1 shuts the eyes, 0.5 half; below 0 they open wider."""
    gaze_x: float = 0.0
    """1 looks far to the subject's left (the image's right)."""
    gaze_y: float = 0.0
    """1 looks up as far as the lids allow."""
    yaw: float = 0.0
    """Degrees, above 0 to the subject's left; hair and outline of the head stay where they are."""
    pitch: float = 0.0
    """Degrees, above 0 looks up."""
    roll: float = 0.0
    """Degrees, above 0 leans to the subject's left shoulder."""
    age: float = 0.0
    """1 makes the source's skin and brows some twenty years older, -1 younger."""
    masculine: float = 0.0
    """2 is the distance from the average woman's face to the average man's; -2 is the same, reversed."""
    lips: float = 0.0
    """Above 0 redder lips, below 0 paler ones; 1 is a deviation over people."""
    own: str = ""
    """Edits of the source's appearance that the user has taught, as ``beard=0.7`` (``own_edits``)."""

    def __post_init__(self) -> None:
        settle(self)
        for name, (low, high) in EDIT_RANGES.items():
            value = getattr(self, name)
            _check(low <= value <= high, f"edit {name} must be {low:g} to {high:g}, not {value:g}")
        own_edits.parsed(self.own)

    @property
    def appearance(self) -> tuple[tuple[str, float], ...]:
        """Names and values of the edits of the source's appearance, where there are any."""
        named = {name: getattr(self, name) for name in APPEARANCE} | own_edits.parsed(self.own)
        return tuple((name, value) for name, value in named.items() if value != 0.0)

    @property
    def any(self) -> bool:
        """Is anything changed at all?"""
        return bool(self.appearance) or any(getattr(self, name) != 0.0 for name in EDIT_RANGES)


def parse_edits(text: str, own: Collection[str] = ()) -> dict[str, float]:
    """``smile=+0.4,yaw=-10`` -> name -> value; their ranges are checked by :class:`EditOptions`.

    ``own``: further names, of edits that the user has taught.
    """
    _check(isinstance(text, str), f"--edit must be a text like smile=+0.4,yaw=-5, not {text!r}")
    found: dict[str, float] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, number = part.partition("=")
        name = name.strip()
        if name not in EDIT_RANGES and name not in own:
            ranges = {**EDIT_RANGES, **dict.fromkeys(own, own_edits.RANGE)}
            known = ", ".join(f"{one} ({low:g} to {high:g})" for one, (low, high) in ranges.items())
            raise UsageError(f"--edit does not know {name!r}; known: {known}")
        _check(name not in found, f"--edit names {name} twice")
        try:
            found[name] = float(number)
        except ValueError:
            raise UsageError(f"--edit {name} needs a number, as in {name}=0.4, not {number!r}") from None
    _check(bool(found), "--edit is empty; give something like smile=+0.4,yaw=-5")
    return found


@dataclass(frozen=True, kw_only=True)
class PreserveOptions:
    """How much of each part stays the target's own, 0 to 1; each may change over time."""

    mouth: Level = 0.0
    """Lips and what is between them."""
    eyes: Level = 0.0
    """Eyes and lids."""
    brows: Level = 0.0
    """Eyebrows."""
    skin: Level = 0.0
    """Tone and texture of the skin; its features are drawn all the same."""
    shape: Level = 0.0
    """Proportions of eyes, nose and mouth: the opposite of ``shape_mix``."""

    def __post_init__(self) -> None:
        settle(self)
        for item in fields(self):
            _check_share(getattr(self, item.name), f"preserve {item.name}")

    @property
    def any(self) -> bool:
        """Does anything stay?"""
        return any(keyframe_values(getattr(self, item.name)) != (0.0,) for item in fields(self))


def parse_preserved(text: str) -> dict[str, Level]:
    """``mouth,eyes=0.5`` -> part -> share; ``eyes=0s:0,2s:1`` changes over time."""
    _check(isinstance(text, str), f"--preserve must be a text like mouth,eyes=0.5, not {text!r}")
    pieces: list[str] = []
    for piece in filter(None, (piece.strip() for piece in text.split(","))):
        if pieces and not piece[0].isalpha():  # the next keyframe of the part before
            pieces[-1] += f",{piece}"
        else:
            pieces.append(piece)
    names = [item.name for item in fields(PreserveOptions)]
    found: dict[str, Level] = {}
    for piece in pieces:
        name, given, share = (part.strip() for part in piece.partition("="))
        _check(name in names, f"--preserve does not know {name!r}; known: {', '.join(names)}")
        _check(name not in found, f"--preserve names {name} twice")
        found[name] = level_of(share, f"--preserve {name}") if given else 1.0
    _check(bool(found), f"--preserve is empty; give some of {', '.join(names)}")
    return found


@dataclass(frozen=True, kw_only=True)
class EncodeOptions:
    """How the output is encoded; None follows the input."""

    codec: str | None = None
    """An encoder name of the video library, e.g. libx264, libx265, ffv1."""
    crf: float | None = None
    """Quality, 0 to 63; lower is better and larger."""
    preset: str | None = None
    """Speed preset of the encoder, e.g. fast."""
    lossless: bool = False
    """Encode losslessly (larger files), for example before grading."""
    hw: bool = False
    """Encode on the GPU: faster, larger files, and not the same bytes on every machine."""
    interlaced: str = "deinterlace"
    """Of interlaced footage: ``deinterlace``, or ``keep`` both fields in each frame."""
    copy_untouched: bool = True
    """Copy packets without a swapped face unchanged, where the codec allows it."""

    def __post_init__(self) -> None:
        settle(self)
        _check(self.crf is None or 0 <= self.crf <= 63, f"crf must be 0 to 63, not {self.crf}")
        known = self.interlaced in ("deinterlace", "keep")
        _check(known, f"interlaced must be deinterlace or keep, not {self.interlaced!r}")
        _check(not (self.hw and self.lossless), "--hw cannot encode without loss: leave out one of them")


@dataclass(frozen=True, kw_only=True)
class RangeOptions:
    """The part of the clip that is used; None means from the beginning or to the end."""

    start: str | None = None
    """seconds, ``hh:mm:ss.mmm`` or a frame number as ``123f``"""
    end: str | None = None
    """The same forms."""

    def __post_init__(self) -> None:
        settle(self)
        for flag, text in (("--start", self.start), ("--end", self.end)):
            if text is not None:
                place_of(text, flag)


@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """How the work is cut and run."""

    segment_s: float = 4.0
    """Length of a segment in seconds; shot cuts end one earlier."""
    device: str = "auto"
    """``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``."""
    batch: int = 0
    """Faces per network call; 0 lets the method choose."""
    workers: int = 0
    """Render processes or threads; 0 takes one per core, as far as memory allows."""
    cluster: str | None = None
    """Render on an existing Ray cluster: ``auto`` or ``HOST:PORT``; None renders on this machine."""
    max_ram_mb: int = 0
    """Memory of a whole job in MB, which bounds the number of workers; 0: 2 GB, or half of the machine's for
    methods with networks."""
    max_vram_mb: int = 0
    """Memory of an accelerator in MB that batches may take; 0: most of what is free there."""
    restart: bool = False
    """Discard the work of an interrupted run of this output."""
    keep: bool = False
    """Keep the job folder after success: analysis, segments, ledger, recipe."""
    seed: int = 0
    """Of the grain that is added to smooth skin; the same seed gives the same pixels."""
    profile: str = "auto"
    """Of the method ``fslsd``: ``256`` is the bundled network, ``1024`` runs the official checkpoints."""
    shape_mix: Level = 0.8
    """Share of the source's proportions that the inner face takes: 0 the target's, 1 the source's, up to 1.5
    (caricature).  May change over time."""
    outline: Level = 0.6
    """Share of the source's jaw and cheeks, 0 to 1; the frame around the face bends along.  May change over
    time."""
    mapper: str = "landmarks"
    """What the source is drawn from: ``landmarks`` its pictures, ``nitzan`` its identity embedding alone,
    ``blend:X`` between the two, X of the second."""
    appear_from: str = "released"
    """First latent row taken from the target: ``released`` (11), ``paper`` (7) or a number."""
    landmark_maps: str = "released"
    """Input of the landmark encoder: ``released`` (one pixel a point) or ``gaussian`` (as was meant)."""
    edit_strength: float = 2.0
    """Of the latent edit that takes hair away before drawing; 0 turns it off."""
    precision: str = "float32"
    """Of the official networks: ``float32`` or ``bfloat16`` (faster, coarser)."""
    parsing: Path | None = None
    """Label map of the target (PNG of the frame's size) that gives the mask instead of the mesh."""
    parsing_labels: str = "celebamask"
    """Numbering of the label map: ``celebamask`` or ``bisenet``."""
    measure_identity: bool = False
    """Measure the identity distance of every swapped face for the ledger (some milliseconds each)."""

    def __post_init__(self) -> None:
        settle(self)
        _check(self.segment_s > 0, f"segment_s must be above 0, not {self.segment_s}")
        _check(self.max_ram_mb == 0 or self.max_ram_mb >= 700, "max_ram must be 700 MB or more")
        _check(self.max_vram_mb >= 0, f"max_vram must be 0 or more, not {self.max_vram_mb}")
        _check_share(self.shape_mix, "shape_mix", most=1.5)
        _check_share(self.outline, "outline")
        mapper_share(self.mapper)
        _check(self.batch >= 0, f"batch must be 0 or more, not {self.batch}")
        _check(self.workers >= 0, f"workers must be 0 or more, not {self.workers}")
        _check(_names_cluster(self.cluster), f"cluster must be auto or HOST:PORT, not {self.cluster!r}")


def mapper_share(text: str) -> float:
    """``landmarks`` -> 0, ``nitzan`` -> 1, ``blend:0.5`` -> 0.5."""
    named = {"landmarks": 0.0, "nitzan": 1.0}
    found = re.fullmatch(r"blend:(0|1|0?\.\d{1,4}|[01]\.\d{1,4})", text, re.ASCII)
    share = named.get(text, float(found[1]) if found else -1.0)
    _check(0 <= share <= 1, f"mapper must be landmarks, nitzan or blend:X with X from 0 to 1, not {text!r}")
    return share


def _names_cluster(name: str | None) -> bool:
    """Ray's own words like ``local`` would start a cluster instead of joining one."""
    return name is None or re.fullmatch(r"auto|(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):\d{1,5}", name) is not None


@dataclass(frozen=True, kw_only=True)
class MarkOptions:
    """Visible and machine-readable marks.  The machine-readable one is always written."""

    label: bool = False
    """Burn a small visible "AI modified" into the picture."""
    compare: str | None = None
    """``side`` puts the target beside the result, ``wipe`` moves a line between them."""
    c2pa_cert: Path | None = None
    """Certificates (PEM, the signer's first) for the C2PA manifest; None signs with the machine's own."""
    c2pa_key: Path | None = None
    """Private key (PEM) of ``c2pa_cert``."""
    consent: Path | None = None
    """A file that records who agreed; it is checked, and its digest goes into the C2PA manifest."""

    def __post_init__(self) -> None:
        settle(self)
        _check(self.compare in (None, "side", "wipe"), f"compare must be side or wipe, not {self.compare!r}")


@dataclass(frozen=True, kw_only=True)
class PolicyOptions:
    """A content classifier of the user's own, shown sources and target before anything is rendered."""

    model: Path | None = None
    """ONNX file with its rules (``.toml``) beside it; None takes the imported one, if there is one."""
    every_s: float = 1.0
    """Seconds between two checked frames of a clip; at least one frame of every shot is checked."""

    def __post_init__(self) -> None:
        settle(self)
        _check(0.04 <= self.every_s <= 60, f"every_s must be 0.04 to 60 seconds, not {self.every_s}")


@dataclass(frozen=True, kw_only=True)
class SwapOptions:
    """All options of a swap, in groups; frozen: ``dataclasses.replace`` makes a changed copy.

    ``faceswap_cli.Options`` is this class.
    """

    method: str = "auto"
    """A name of ``faceswap_cli.swap.METHODS``; ``auto`` takes the best one whose weights are installed."""
    strength: Level = 1.0
    """Strength of the swap, 0 (the target) to 1; may change over time."""
    detect: DetectOptions = field(default_factory=DetectOptions)
    track: TrackOptions = field(default_factory=TrackOptions)
    smooth: SmoothOptions = field(default_factory=SmoothOptions)
    paste: PasteOptions = field(default_factory=PasteOptions)
    edit: EditOptions = field(default_factory=EditOptions)
    preserve: PreserveOptions = field(default_factory=PreserveOptions)
    encode: EncodeOptions = field(default_factory=EncodeOptions)
    range: RangeOptions = field(default_factory=RangeOptions)
    job: JobOptions = field(default_factory=JobOptions)
    mark: MarkOptions = field(default_factory=MarkOptions)
    policy: PolicyOptions = field(default_factory=PolicyOptions)

    def __post_init__(self) -> None:
        settle(self)
        _check_share(self.strength, "strength")
        chips_differ = self.encode.hw and self.job.cluster is not None
        _check(not chips_differ, "--hw cannot be used with --cluster: all pieces must come from one encoder")
