"""Making a result again by its recipe, as it was or with other settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import faceswap_cli
from faceswap_cli.cast.roles import Sources
from faceswap_cli.config import SwapOptions
from faceswap_cli.config_files import over
from faceswap_cli.errors import UsageError, WeightsError
from faceswap_cli.events import NEVER, Listener, StopRequest, ignore
from faceswap_cli.jobs.keys import models_digest
from faceswap_cli.pictures import swap_image
from faceswap_cli.pipeline import identify, swap_video
from faceswap_cli.recipe.earlier import NOTHING, Earlier
from faceswap_cli.recipe.inputs import Inputs
from faceswap_cli.recipe.record import PICTURE, Recipe, libraries, with_options
from faceswap_cli.records import Report
from faceswap_cli.swap import build_method
from faceswap_cli.swap.portable import at_home
from faceswap_cli.user_files import check_taught

_ANYWAY = "--force makes it all the same, with other pixels"


def options_of(
    recipe: Recipe, inputs: Inputs, base: SwapOptions, changes: Mapping[str, Any] | None = None
) -> SwapOptions:
    """What shapes the pixels from the recipe (and ``changes`` to it), how it is run from ``base``."""
    values = dict(recipe.options)
    for name, value in (changes or {}).items():
        values[name] = over(name, values.get(name), value)
    found = with_options(base, values)
    check_taught(found.edit.own)
    return replace(
        found,
        track=replace(found.track, reference=None, cast=None),
        job=replace(found.job, parsing=inputs.parsing),
        paste=replace(found.paste, occlusion_mask=inputs.mask),
    )


def check_program(recipe: Recipe, options: SwapOptions, *, force: bool) -> list[str]:
    """Whether this installation draws the same pixels: what may move some of them, in words.

    :class:`UsageError` for another version of the program and :class:`WeightsError` for other
    weights, unless ``force`` is given.
    """
    told: list[str] = []
    here = faceswap_cli.__version__
    if recipe.program != here:
        text = f"made by version {recipe.program} of this program, this is {here}"
        if not force:
            raise UsageError(f"{text}; install that one, or {_ANYWAY}")
        told.append(text)
    weights = build_method(options.method, at_home(options.job), options.paste).inputs_digest
    if (weights, models_digest()) != (recipe.weights, recipe.models):
        text = f"made with other weights of {recipe.method} than are installed"
        if not force:
            raise WeightsError(f"{text}; see 'faceswap weights list', or {_ANYWAY}")
        told.append(text)
    device = options.job.device.partition(":")[0]
    if device != recipe.device:
        told.append(f"made on {recipe.device}, this runs on {device}: pixels may differ by rounding")
    if others := _others(recipe.libraries):
        told.append(f"made with {', '.join(others)}: pixels may differ a little")
    return told


def _others(then: Mapping[str, str]) -> list[str]:
    """Libraries whose version differs from the original run."""
    now = libraries()
    return [
        f"{name} {number} (here {now.get(name, 'none')})"
        for name, number in then.items()
        if now.get(name) != number
    ]


def make_again(
    recipe: Recipe,
    inputs: Inputs,
    output: Path,
    options: SwapOptions,
    listen: Listener = ignore,
    stop: StopRequest = NEVER,
    earlier: Earlier = NOTHING,
) -> Report:
    """Write ``output`` from the files ``inputs`` with ``options`` (:func:`options_of`)."""
    people = tuple(identify(group, options, listen) for group in inputs.people)
    if recipe.kind == PICTURE:
        return swap_image(people[0], inputs.target, output, options, listen, stop)
    sources = Sources(people, files=inputs.people, chosen=recipe.cast)
    return swap_video(sources, inputs.target, output, options, listen, stop, earlier)
