"""From photographs to an enrolled person."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from faceswap_cli import __version__
from faceswap_cli.config import DetectOptions
from faceswap_cli.enrol.clip import clip_views
from faceswap_cli.enrol.fuse import fused_rows
from faceswap_cli.enrol.gauge import Gauge, changed_copy, look
from faceswap_cli.enrol.samples import Face, face_of, made_samples, own_samples, paired
from faceswap_cli.enrol.tune import Material, Outcome, State, TuneOptions, Workshop, tune
from faceswap_cli.enrol.views import View, as_input, view_of, weighed
from faceswap_cli.errors import WeightsError
from faceswap_cli.events import NEVER, StopRequest
from faceswap_cli.faces.crops import cut
from faceswap_cli.geometry import align
from faceswap_cli.identity.enrolled import Codes, Enrolled
from faceswap_cli.identity.faceid import Faceid, deltas_digest
from faceswap_cli.identity.photos import read_photos
from faceswap_cli.nets.blocks import channels_last
from faceswap_cli.nets.fslsd256 import Fslsd256
from faceswap_cli.nets.fslsd256_encoders import SIDE
from faceswap_cli.recipe.digests import content_digest
from faceswap_cli.records import F32, SourcePhoto
from faceswap_cli.swap import appearance
from faceswap_cli.swap.facespace import made, mapped
from faceswap_cli.swap.fslsd256_weights import FILE, digest, load_swap_net
from faceswap_cli.swap.proportions import neutral_shape
from faceswap_cli.swap.texture import Texture, build_texture
from faceswap_cli.training.observers import Observers
from faceswap_cli.weights.registry import bundled

KEPT_SIDE = 1024
"""Largest side of a kept photograph, in pixels."""
KEPT_SCALE = 1.4
"""What is kept of it, in FFHQ squares: room for every method's crop."""
AROUND = 64
"""Side of the surroundings that are kept: coarse enough that nobody's room or clothes are known by them."""
_HELD_FROM = 3
"""Photographs from which on one is held out while tuning."""
_OWN, _MADE, _JUDGED = 12, 16, 5
"""Samples to tune on, and to judge by."""
Tell = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class EnrolOptions:
    """How a person is enrolled."""

    level: int = 0
    clip: Path | None = None
    """The clip that level 3 is tuned on"""
    keep_photos: bool = False
    picture: bool = True
    """False keeps no picture of the person: a face made from the embedding stands in the file instead."""
    same_person: bool = False
    """Do not refuse photographs that look like different people."""
    detect: DetectOptions = field(default_factory=DetectOptions)
    tuning: TuneOptions = field(default_factory=TuneOptions)


@dataclass(frozen=True, eq=False)
class Enrolment:
    """A person, ready to be written."""

    content: Faceid
    outcomes: tuple[Outcome, ...] = ()
    """Of each level of tuning"""

    @property
    def stopped(self) -> bool:
        """True when a signal ended the tuning."""
        return any(outcome.why == "stopped" for outcome in self.outcomes)


def enrol(
    name: str, paths: Sequence[Path], options: EnrolOptions, tell: Tell, stop: StopRequest = NEVER
) -> Enrolment:
    """The person of the photographs ``paths``.  A stop request ends the tuning with the best so far."""
    until = time.monotonic() + options.tuning.max_s
    photos, notes = read_photos(paths, options.detect)
    used, shares, more = weighed(photos, same_person=options.same_person)
    tell("photos", len(photos), len(photos))
    stop.check("reading the photos")
    embedding = mean_embedding(used)
    fused = build_texture(used) if options.picture else made(mapped(embedding))
    views = [view_of(photo) for photo in used] if options.picture else []
    net = _network(options.level)
    outcomes: list[Outcome] = []
    codes = None
    if net is not None:
        state = encode(net, used, views, fused)
        if options.level:
            faces = clip_views(options.clip, options.detect, stop) if options.clip else []
            shop = Workshop(net, Observers.load(torch.device("cpu")), options.tuning, stop, tell, until)
            given = replace(material(shop, used, views, fused), clip=faces)
            state, outcomes = tune(shop, given, state, options.level)
        codes = _codes(state)
    level = max((o.level for o in outcomes if o.helped), default=0)
    meshes = [photo.landmarks for photo in used] if views else [fused.points]
    neutral = neutral_shape(np.stack(meshes))
    person = _person(name, level, fused, neutral, codes)
    if level == 3 and options.clip is not None:
        person = replace(person, clip=content_digest(options.clip))
    content = Faceid(
        person=person,
        embedding=embedding,
        embeddings=np.stack([photo.embedding for photo in photos]).astype(np.float32),
        shares=shares,
        photos=tuple(kept_photo(photo) for photo in used) if options.keep_photos else (),
        notes=(*notes, *more, *map(_told, outcomes)),
        made=datetime.now(timezone.utc).date().isoformat(),
        program=__version__,
    )
    return Enrolment(content, tuple(outcomes))


def _network(level: int) -> Fslsd256 | None:
    """The network of ``fslsd``, frozen; None when it is not installed and nothing is to be tuned."""
    try:
        net = load_swap_net(bundled(FILE))
    except WeightsError:
        if level:
            raise
        return None
    return channels_last(net.eval().requires_grad_(False))


def mean_embedding(photos: Sequence[SourcePhoto]) -> F32:
    """(128,) by weight."""
    weights = np.array([photo.quality for photo in photos])
    return np.average(np.stack([p.embedding for p in photos]), axis=0, weights=weights).astype(np.float32)


def encode(net: Fslsd256, photos: Sequence[SourcePhoto], views: Sequence[View], fused: Texture) -> State:
    """Level 0."""
    embedding = torch.from_numpy(mean_embedding(photos))
    z = F.normalize(embedding - net.mean_embedding, dim=0)
    return State(fused_rows(net, views, as_input(fused.picture(SIDE)), _points(fused)), z)


def _points(fused: Texture) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(fused.points))[None]


def material(
    shop: Workshop, photos: Sequence[SourcePhoto], views: Sequence[View], fused: Texture
) -> Material:
    """Samples to tune on and to judge by; with three photographs and more one is held out for judging."""
    net, seed = shop.net, shop.options.seed
    held = held_out(views) if len(views) >= _HELD_FROM else None
    rows = [k for k in range(len(views)) if k != held]
    trained, seen = [photos[k] for k in rows], [views[k] for k in rows]
    whole = _face(net, fused if held is None else build_texture(trained))
    faces = [whole]
    if len(trained) > 1:
        faces = [_face(net, build_texture([p for p in trained if p is not photo])) for photo in trained]
    rng = np.random.default_rng([seed, 0])
    own = own_samples(net, faces, seen, _OWN, rng)
    made = made_samples(net, [whole], seen, _MADE, rng)
    judging = np.random.default_rng([seed, 1])
    judged = made_samples(net, [whole], views, _JUDGED, judging)
    if held is None:
        best = max(views, key=lambda view: view.weight)
        reference = changed_copy(shop.eyes, best, judging)
    else:
        reference = torch.from_numpy(photos[held].embedding)
        judged.append(paired(net, whole, views[held].rgb, views[held].points, truth=True))
    state = encode(net, trained, seen, fused)
    _, error = look(net, shop.eyes, judged, reference, state.rows, state.z)
    gauge = Gauge(judged, reference, error)
    return Material(own, made, seen, torch.from_numpy(mean_embedding(trained)), gauge, whole)


def held_out(views: Sequence[View]) -> int:
    """The second best: good enough to judge by, and not the one that is needed most."""
    return sorted(range(len(views)), key=lambda k: -views[k].weight)[1]


def _face(net: Fslsd256, texture: Texture) -> Face:
    return face_of(net, as_input(texture.picture(SIDE)), _points(texture))


def _codes(state: State) -> Codes:
    rows, z = (np.ascontiguousarray(x.numpy(), np.float32) for x in (state.rows, state.z))
    return Codes(digest(bundled(FILE)), rows, z, state.deltas, deltas_digest(state.deltas))


def _person(name: str, level: int, fused: Texture, neutral: F32, codes: Codes | None) -> Enrolled:
    around = cv2.resize(fused.surroundings, (AROUND, AROUND), interpolation=cv2.INTER_AREA)
    return Enrolled(
        name=name,
        level=level,
        texture=appearance.rgb_from_lab(fused.lab),
        surroundings=appearance.rgb_from_lab(around),
        points=np.asarray(fused.points, np.float32),
        light=np.asarray(fused.light, np.float32),
        neutral=neutral,
        seen=np.asarray(fused.seen, np.float32),
        codes=codes,
    )


def kept_photo(photo: SourcePhoto) -> SourcePhoto:
    """Only the face and what a method's crop needs around it."""
    unit = align.unit_from_points(photo.landmarks, KEPT_SCALE)
    _, _, half = align.square_from_unit(unit)
    side = int(min(max(2.0 * float(half), 64.0), KEPT_SIDE))
    matrix = align.scaled(unit, side)
    rgb = cut(photo.rgb, matrix, side, sharp=True)
    return replace(photo, rgb=rgb, landmarks=align.apply(matrix, photo.landmarks))


def _told(outcome: Outcome) -> str:
    """One line on what a level did."""
    change = f"{outcome.before:.3f} to {outcome.after:.3f} in {outcome.steps} steps"
    if not outcome.helped:
        return f"tuning level {outcome.level} did not help (likeness measure {change}) and is left out"
    return f"tuning level {outcome.level}: likeness measure from {change}"
