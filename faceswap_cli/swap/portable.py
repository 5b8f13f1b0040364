"""A scene that can be sent to another machine: methods travel as the recipe to build them again.

Networks do not travel, their weights do: a node's own files serve where they are the same.
Landmarks, 600 MB for an hour of one face, travel with their segments.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from faceswap_cli.config import JobOptions, PasteOptions
from faceswap_cli.errors import WeightsError
from faceswap_cli.jobs.executor import Freight, Work
from faceswap_cli.jobs.plan import with_halo
from faceswap_cli.records import Analysis, FaceTrack, Segment
from faceswap_cli.swap import ON_CORES, build_method
from faceswap_cli.swap.engine import Scene
from faceswap_cli.swap.method import SwapMethod
from faceswap_cli.video.user_mask import UserMask


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to build a method again, and how to check that it is the same one."""

    method: str
    paste: PasteOptions
    inputs_digest: str
    weights: tuple[Path, ...]
    parsing: Path | None


def at_home(job: JobOptions) -> JobOptions:
    """``job`` for what is done on the asking machine, which need not have the cluster's device."""
    return replace(job, device="auto") if job.cluster and job.device != "cpu" else job


def is_light(method: SwapMethod, job: JobOptions) -> bool:
    """Whether a segment takes one core and no more where it is rendered, here or on the cluster."""
    if job.cluster is None:
        return method.light
    return method.name in ON_CORES or (method.light and not job.device.startswith("cuda"))


def packed(work: Work) -> Work:
    """``work`` on a :class:`Scene`, ready to travel with the files that it needs."""
    scene: Scene = work.scene
    job = work.options.job
    clip = replace(scene.clip, path=scene.clip.path.absolute())
    parsing = None if job.parsing is None else job.parsing.absolute()
    weights = () if scene.method.name in ON_CORES else _installed_files()
    digest = scene.method.inputs_digest
    recipe: Any = Recipe(work.options.method, work.options.paste, digest, weights, parsing)
    mask = _with_path(scene.mask, None if scene.mask is None else scene.mask.path.absolute())
    files = tuple(filter(None, (clip.path, parsing, mask.path if mask else None)))
    freight = Freight(files, weights, unpacked, partial(tracks_of, scene.analysis), joined)
    bare = replace(scene.analysis, tracks=())
    scene = replace(scene, clip=clip, method=recipe, analysis=bare, mask=mask)
    return replace(work, scene=scene, freight=freight)


def _with_path(mask: UserMask | None, path: Path | None) -> UserMask | None:
    if mask is None or path is None:
        return None
    return replace(mask, path=path, clip=None if mask.clip is None else replace(mask.clip, path=path))


def tracks_of(analysis: Analysis, segment: Segment) -> tuple[FaceTrack, ...]:
    """The tracks as far as rendering ``segment`` looks, its halo included."""
    first, end = with_halo(segment, analysis)
    cut = (_cut(track, *np.searchsorted(track.pts, (first, end))) for track in analysis.tracks)
    return tuple(track for track in cut if len(track.pts))


def _cut(track: FaceTrack, low: int, high: int) -> FaceTrack:
    rows = slice(low, high)
    return replace(
        track,
        pts=track.pts[rows],
        landmarks=track.landmarks[rows],
        crop_from_display=track.crop_from_display[rows],
        confidence=track.confidence[rows],
        opacity=track.opacity[rows],
    )


def joined(scene: Scene, tracks: tuple[FaceTrack, ...]) -> Scene:
    """The scene as one segment sees it."""
    return replace(scene, analysis=replace(scene.analysis, tracks=tracks))


def _installed_files() -> tuple[Path, ...]:
    """All installed files and their cards: the digest of a method names all of them."""
    from faceswap_cli.weights.store import installed, weights_path

    found = [weights_path(card.name).absolute() for card in installed()]
    return tuple(path for each in found for path in (each, each.with_suffix(".json")))


def unpacked(scene: Scene, places: Mapping[Path, Path], job: JobOptions) -> Scene:
    """The scene where its files are at ``places``, with the method built for the device of ``job``.

    :class:`WeightsError` when this machine's weights are not those of the recipe.
    """
    recipe: Any = scene.method
    sent = places.get(recipe.weights[0]) if recipe.weights else None
    if sent is not None:
        # The store of weights reads its folder from there; this process serves one run.
        os.environ["FACESWAP_WEIGHTS"] = str(sent.parent)
    if recipe.parsing is not None:
        job = replace(job, parsing=places[recipe.parsing])
    method = build_method(recipe.method, job, recipe.paste)
    if method.inputs_digest != recipe.inputs_digest:
        raise WeightsError("weights differ between the nodes; run 'faceswap weights verify' on each")
    mask = _with_path(scene.mask, places[scene.mask.path] if scene.mask else None)
    return replace(scene, clip=replace(scene.clip, path=places[scene.clip.path]), method=method, mask=mask)
