"""Pass 1: the whole clip once, from frames to smoothed tracks of persons.

Pixels pass by; what is kept are landmarks, a signature per frame, and small face chips per open track
until the track is closed and they have become embeddings.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np

from faceswap_cli.config import DetectOptions, SmoothOptions, TrackOptions
from faceswap_cli.events import NEVER, Event, Listener, StopRequest, ignore, progress
from faceswap_cli.faces.stage import Seen, observe
from faceswap_cli.identity.embed import EMBEDDING
from faceswap_cli.records import F32, F64, I64, Analysis, Clip, Face, FaceTrack, Frame, SizeChange, Tint
from faceswap_cli.stream import prefetch
from faceswap_cli.tint import TintGauge
from faceswap_cli.tracking.cover import uncovered
from faceswap_cli.tracking.looks import Chips, one_person_each
from faceswap_cli.tracking.people import Presence, doubt, groups, people
from faceswap_cli.tracking.shots import (
    STANDS_OUT,
    Signature,
    difference,
    shot_numbers,
    shots,
    signature,
)
from faceswap_cli.tracking.smoothing import smooth_face
from faceswap_cli.tracking.tracks import Linker, Open, Piece, filled, joined, lasting, opacity
from faceswap_cli.video.reader import Damage, read_frames
from faceswap_cli.video.resized import SizeGauge, size_note

SUSPECT = 3.0
"""A step of the picture at which tracks end for a while: what they look like decides whether they go on."""
GONE = 0.6
"""Share of a face outside the picture from which on it may stop without a fade."""
PROGRESS_EVERY = 5
DEPTH = 8


def analyse_clip(  # noqa: PLR0913  the groups of options are separate on purpose
    clip: Clip,
    detect: DetectOptions,
    track: TrackOptions,
    smooth: SmoothOptions,
    listen: Listener = ignore,
    stop: StopRequest = NEVER,
    *,
    first_pts: int | None = None,
    end_pts: int | None = None,
    keep: Callable[[Gathered], None] | None = None,
    windows: Sequence[tuple[int, int]] = (),
) -> Analysis:
    """Decode the clip (or ``first_pts <= pts < end_pts``) and find out who is where, when.

    ``keep`` is given the faces as they were found, before smoothing.  With ``windows``, (first, end) in
    order, only these are decoded, as if nothing were between them: enough for an estimate.
    """
    damage = Damage()
    spans: Sequence[tuple[int | None, int | None]] = windows or [(first_pts, end_pts)]
    frames = prefetch(_read(clip, spans, damage), DEPTH)
    expected = sum(expected_frames(clip, *span) for span in spans)
    with closing(frames), closing(observe(frames, clip, detect, twice=True)) as seen:
        gathered = gather(seen, clip, track, listen, stop, expected)
    if keep is not None:
        keep(gathered)
    return build_analysis(gathered, clip, track, smooth, damaged_packets=damage.packets)


def _read(
    clip: Clip, spans: Sequence[tuple[int | None, int | None]], damage: Damage
) -> Generator[Frame, None, None]:
    count = 0
    for first, end in spans:
        frames = read_frames(clip, first_pts=first, end_pts=end, damage=damage, first_index=count)
        with closing(frames):
            for frame in frames:
                yield frame
                count = frame.index + 1


def expected_frames(clip: Clip, first_pts: int | None, end_pts: int | None) -> int:
    """About how many frames have ``first_pts <= pts < end_pts``."""
    if first_pts is None and end_pts is None:
        return clip.frames
    start = clip.start_pts if first_pts is None else first_pts
    rate = clip.average_rate or Fraction(25)
    whole = clip.start_pts + round(clip.frames / rate / clip.time_base)
    span = (whole if end_pts is None else min(end_pts, whole)) - start
    return max(round(span * clip.time_base * rate), 1)


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """What has been kept when all frames have passed."""

    pts: I64 = field(repr=False)
    signatures: tuple[Signature, ...] = field(repr=False)
    pieces: tuple[Piece, ...]
    tint: Tint | None = None
    size_changes: tuple[SizeChange, ...] = ()


def gather(
    seen: Iterable[Seen],
    clip: Clip,
    track: TrackOptions,
    listen: Listener = ignore,
    stop: StopRequest = NEVER,
    expected: int = 0,
) -> Gathered:
    """Link the faces while the frames, about ``expected`` of them, pass by."""
    linker = Linker(bridge_frames(clip, track))
    chips: dict[int, Chips] = {}
    pieces: list[Piece] = []
    pts: list[int] = []
    signatures: list[Signature] = []

    moved: list[float] = []
    gauge = TintGauge()
    sizes = SizeGauge(clip)

    def close(ended: Iterable[Open]) -> None:
        for piece in ended:
            pieces.extend(one_person_each(piece.closed(), chips.pop(id(piece)), moved))

    for done, one in enumerate(seen):
        stop.check(f"analyzing {clip.path.name}")
        pts.append(one.frame.pts)
        if sizes.add(one.frame) and len(sizes.changes) == 1:
            listen(Event("warning", {"message": size_note(clip, sizes.changes)}))
        signatures.append(signature(one.thumbnail))
        moved.append(difference(signatures[-2], signatures[-1]) if done else 0.0)
        suspected = moved[-1] >= SUSPECT and moved[-1] >= STANDS_OUT * float(np.mean(moved[-3:-1] or [0.0]))
        owners, ended = linker.step(done, one.faces, cut=suspected)
        close(ended)
        gauge.add(one.frame.planes, [_stored_box(face, clip) for face in one.faces])
        for piece, face in zip(owners, one.faces, strict=True):
            chips.setdefault(id(piece), Chips()).consider(len(piece.frames) - 1, face, one, clip)
        if done % PROGRESS_EVERY == 0:
            listen(progress("analyse", done + 1, max(expected, done + 1)))
    close(linker.finish())
    listen(progress("analyse", len(pts), len(pts)))
    return Gathered(
        np.array(pts, dtype=np.int64), tuple(signatures), tuple(pieces), gauge.tint(), tuple(sizes.changes)
    )


def _stored_box(face: Face, clip: Clip) -> F64:
    """(4,) bounds of ``face`` in the frame as stored."""
    corners = np.array([[x, y, 1] for x in face.box[0::2] for y in face.box[1::2]], np.float64)
    stored = (corners @ np.linalg.inv(clip.display_from_frame).T)[:, :2]
    return np.concatenate([stored.min(axis=0), stored.max(axis=0)])


def bridge_frames(clip: Clip, track: TrackOptions) -> int:
    """``bridge_s`` in frames, at the clip's average rate."""
    return round(track.bridge_s * float(clip.average_rate or 25))


def build_analysis(
    gathered: Gathered, clip: Clip, track: TrackOptions, smooth: SmoothOptions, damaged_packets: int = 0
) -> Analysis:
    """Shots, tracks and people from what was gathered; arithmetic only."""
    found_shots = shots(gathered.signatures, gathered.pts)
    shot_of = shot_numbers(found_shots, gathered.pts)
    pieces = lasting(joined(gathered.pieces, shot_of, bridge_frames(clip, track)), shot_of)
    sets = groups([_presence(piece) for piece in pieces])
    person_of = {k: number for number, members in enumerate(sets) for k in members}
    tracks = [
        _track(
            k,
            piece,
            person_of[k],
            gathered.pts,
            clip,
            smooth,
            _fades(k, pieces, person_of, shot_of, clip, track),
        )
        for k, piece in enumerate(pieces)
    ]
    persons = people(tracks, sets)
    numbers = {track_id: person.person for person in persons for track_id in person.tracks}
    named = [_renumbered(one, numbers[one.track_id]) for one in tracks]
    return Analysis(
        pts=gathered.pts,
        shots=found_shots,
        tracks=uncovered(named, track.fade_frames),
        people=persons,
        damaged_packets=damaged_packets,
        tint=gathered.tint,
        size_changes=gathered.size_changes,
    )


def _presence(piece: Piece) -> Presence:
    size = float(np.ptp(piece.landmarks[..., 0], axis=1).mean())
    return Presence(
        *piece.span,
        embedding=piece.embedding,
        weight=len(piece.frames) * size,
        clear=not doubt(piece.landmarks, piece.sharpness),
    )


@dataclass(frozen=True, slots=True)
class _Fades:
    frames: int
    begin: bool
    end: bool


def _fades(
    k: int, pieces: Sequence[Piece], person_of: dict[int, int], shot_of: I64, clip: Clip, track: TrackOptions
) -> _Fades:
    """A track fades where the face comes or goes in the middle of a shot and of the picture.

    Not at cuts and at the ends of the clip, not where the face has left through the picture's
    edge, and not where the same person's next track takes over.
    """
    piece, near = pieces[k], 2
    first, last = piece.span
    others = [p for j, p in enumerate(pieces) if j != k and person_of[j] == person_of[k]]
    begins = first > 0 and shot_of[first] == shot_of[first - 1]
    ends = last + 1 < len(shot_of) and shot_of[last] == shot_of[last + 1]
    begins = begins and not _at_edge(piece.landmarks[0], clip)
    ends = ends and not _at_edge(piece.landmarks[-1], clip)
    begins = begins and not any(0 < first - p.span[1] <= near for p in others)
    ends = ends and not any(0 < p.span[0] - last <= near for p in others)
    return _Fades(track.fade_frames, begins, ends)


def _at_edge(mesh: F32, clip: Clip) -> bool:
    """Whether most of the face is outside the picture: what is left of it shows no eye."""
    width, height = clip.display_size
    outside = (mesh[:, :2] < 0) | (mesh[:, :2] > (width, height))
    return bool(outside.any(axis=1).mean() > GONE)


def _track(
    k: int, piece: Piece, person: int, pts: I64, clip: Clip, options: SmoothOptions, fades: _Fades
) -> FaceTrack:
    frames, landmarks, confidence = filled(piece)
    own = pts[frames]
    times = own.astype(np.float64) * float(clip.time_base)
    steady = smooth_face(landmarks, confidence, times, options)
    return FaceTrack(
        track_id=k,
        person=person,
        pts=own,
        landmarks=steady.landmarks,
        crop_from_display=steady.crop_from_display,
        confidence=confidence,
        opacity=opacity(len(own), fades.frames, fade_in=fades.begin, fade_out=fades.end),
        embedding=piece.embedding if piece.embedding is not None else np.zeros(EMBEDDING, np.float32),
        sharpness=piece.sharpness,
    )


def _renumbered(track: FaceTrack, person: int) -> FaceTrack:
    return replace(track, person=person)
