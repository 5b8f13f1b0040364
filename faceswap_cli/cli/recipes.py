"""How ``inspect`` reports the recipe in a result."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faceswap_cli.errors import InputError

if TYPE_CHECKING:
    from faceswap_cli.recipe.record import Recipe

_TOLD_ANYWAY = frozenset({"method", "track.face"})
_LONGEST = 40


def recipe_told(
    path: Path, metadata: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """What ``--json`` holds and the lines for people; ``metadata`` is that of a video."""
    from faceswap_cli.recipe.metadata import find_recipe

    try:
        recipe = find_recipe(path, metadata)
    except InputError as error:
        return {"recipe": None}, [("recipe", f"unreadable: {error}")]
    if recipe is None:
        return {"recipe": None}, []
    photos = sum(len(group) for group in recipe.sources)
    sources = (
        " ".join(f"--source SRC{number}" for number in range(1, photos + 1))
        if 1 < photos < 5
        else "--source SRC"
    )
    again = f"'faceswap rerun {shlex.quote(path.name)} {sources} --target TARGET' makes it again"
    return {"recipe": json.loads(recipe.text())}, [("recipe", f"{_short(recipe)}"), ("  again", again)]


def _short(recipe: Recipe) -> str:
    people, photos = len(recipe.sources), sum(len(group) for group in recipe.sources)
    sources = "1 photograph" if photos == 1 else f"{photos} photographs"
    sources += f" of {people} people" if people > 1 else ""
    changed = {n: v for n, v in recipe.changed_options().items() if n not in _TOLD_ANYWAY}
    settings = ", ".join(f"{name} {_value(value)}" for name, value in changed.items())
    by = f"{recipe.method} of version {recipe.program} on {recipe.device}"
    return f"{by}, {sources}; {settings or 'default settings'}"


def _value(value: Any) -> str:
    """Text from a stranger's file, made safe for the terminal."""
    return "".join(char if char.isprintable() else "?" for char in str(value)[:_LONGEST])
