"""A scene that can be sent to another machine.

Light methods travel as they are.  The networks of the others do not: their weights travel as
files, and the method is built again where they arrive.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from faceswap_cli.config import JobOptions, PasteOptions
from faceswap_cli.errors import WeightsError
from faceswap_cli.jobs.executor import Work
from faceswap_cli.swap import build_method
from faceswap_cli.swap.engine import Scene


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to build a method again, and how to tell that it is the same one."""

    method: str
    paste: PasteOptions
    inputs_digest: str
    weights: tuple[Path, ...]
    parsing: Path | None


def at_home(job: JobOptions) -> JobOptions:
    """``job`` for what is done on the asking machine, which need not have the cluster's device."""
    return replace(job, device="auto") if job.cluster else job


def packed(work: Work) -> Work:
    """``work`` on a :class:`Scene`, ready to travel with the files that it needs."""
    scene: Scene = work.scene
    job = work.options.job
    clip = replace(scene.clip, path=scene.clip.path.absolute())
    if scene.method.light:
        return replace(work, scene=replace(scene, clip=clip), files=(clip.path,), unpack=unpacked)
    weights = _weights_files()
    parsing = None if job.parsing is None else job.parsing.absolute()
    recipe: Any = Recipe(
        work.options.method, work.options.paste, scene.method.inputs_digest, weights, parsing
    )
    files = (clip.path, *weights, *([parsing] if parsing else []))
    return replace(work, scene=replace(scene, clip=clip, method=recipe), files=files, unpack=unpacked)


def _weights_files() -> tuple[Path, ...]:
    """All installed files and their cards: the digest of a method names all of them."""
    from faceswap_cli.weights.store import installed, weights_path

    found = [weights_path(card.name).absolute() for card in installed()]
    return tuple(path for each in found for path in (each, each.with_suffix(".json")))


def unpacked(scene: Scene, places: Mapping[Path, Path], job: JobOptions) -> Scene:
    """The scene where its files are at ``places``, with the method built for the device of ``job``."""
    clip = replace(scene.clip, path=places[scene.clip.path])
    recipe: Any = scene.method
    if not isinstance(recipe, Recipe):
        return replace(scene, clip=clip)
    if recipe.weights:
        # The store of weights reads its folder from there; this process serves one run.
        os.environ["FACESWAP_WEIGHTS"] = str(places[recipe.weights[0]].parent)
    if recipe.parsing is not None:
        job = replace(job, parsing=places[recipe.parsing])
    method = build_method(recipe.method, job, recipe.paste)
    if method.inputs_digest != recipe.inputs_digest:
        raise WeightsError("weights differ between the nodes; run 'faceswap weights verify' on each")
    return replace(scene, clip=clip, method=method)
