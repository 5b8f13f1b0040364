"""How a result was made, in a form that may go along with it: settings and digests, no names and no paths.

``recipe_of`` notes it, :meth:`Recipe.text` and :func:`parsed` turn it to text and back.  What a
stranger's file holds is checked like any input: only settings that shape the pixels are taken from it,
never where a file lies, who may see it, or how the machine is used.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import faceswap_cli
from faceswap_cli.config import SwapOptions
from faceswap_cli.config_files import Key, convert, known_keys
from faceswap_cli.errors import InputError, UsageError
from faceswap_cli.jobs.files import sha256
from faceswap_cli.jobs.keys import models_digest, option_key
from faceswap_cli.recipe.digests import content_digest, keyed
from faceswap_cli.records import SourceIdentity
from faceswap_cli.swap import method_name
from faceswap_cli.swap.method import SwapMethod

SCHEMA = 1
LONGEST_TEXT = 48_000
"""Characters; a JPEG has no room for more.  Some hundred photographs of a person fit in."""
VIDEO, PICTURE = "video", "picture"
_MOVES_NOTHING = frozenset({"job.measure_identity"})
"""Part of a job's key, since its ledger depends on it, but not of the pixels."""
_ONLY_CLIPS = ("smooth.", "range.", "encode.")
_LIBRARIES = ("av", "mediapipe", "numpy", "opencv-contrib-python", "scipy", "torch")
_HEX = re.compile(r"[0-9a-f]*")
_PLAIN = re.compile(r"[\w .+:/-]*")


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that the pixels of a result depend on."""

    kind: str
    """``video`` or ``picture``"""
    program: str
    """Version"""
    target: str
    """:func:`~faceswap_cli.recipe.digests.content_digest`"""
    sources: tuple[tuple[str, ...], ...]
    """For each source person the photographs (or the enrollment file), in order, as keyed digests"""
    cast: Mapping[int, int]
    """Person of the clip -> row of ``sources``; empty for a picture, where ``track.face`` says it"""
    weights: str = ""
    """Of the method; empty for one without"""
    models: str = ""
    """Digest of the models that find and compare faces"""
    parsing: str = ""
    """Of the label map, where one was given"""
    mask: str = ""
    """Of the user's occlusion mask, where one was given"""
    device: str = "cpu"
    options: Mapping[str, Any] = field(default_factory=dict)
    """``group.field`` -> value"""
    libraries: Mapping[str, str] = field(default_factory=dict)
    """Name -> version of what decodes, finds, draws and encodes; and the kind of processor"""

    @property
    def method(self) -> str:
        return str(self.options.get("method", ""))

    def text(self) -> str:
        """One line of JSON in plain ASCII."""
        content = {
            "schema": SCHEMA,
            "kind": self.kind,
            "program": self.program,
            "target": self.target,
            "sources": self.sources,
            "cast": {str(person): row for person, row in self.cast.items()},
            "weights": self.weights,
            "models": self.models,
            "parsing": self.parsing,
            "mask": self.mask,
            "device": self.device,
            "options": dict(self.options),
            "libraries": dict(self.libraries),
        }
        return json.dumps(content, separators=(",", ":"), default=str)  # keyframes are their text

    def changed_options(self) -> dict[str, Any]:
        """Settings that are not the defaults of this version."""
        known = known_keys()
        return {n: v for n, v in self.options.items() if n not in known or v != known[n].default}


def recipe_of(
    kind: str,
    target: Path,
    people: Sequence[SourceIdentity],
    cast: Mapping[int, int],
    method: SwapMethod,
    options: SwapOptions,
) -> Recipe:
    """What is being made; reads target and photographs for their digests."""
    whole = content_digest(target)
    values = {
        name: _value(options, name)
        for name in shaping_keys()
        if kind == VIDEO or not name.startswith(_ONLY_CLIPS)
    }
    values["method"] = method_name(options.method)
    parsing, mask = options.job.parsing, options.paste.occlusion_mask
    return Recipe(
        kind=kind,
        program=faceswap_cli.__version__,
        target=whole,
        sources=tuple(tuple(keyed(one, whole) for one in source_digests(person)) for person in people),
        cast=dict(cast),
        weights=method.inputs_digest,
        models=models_digest(),
        parsing="" if parsing is None else keyed(content_digest(parsing), whole),
        mask="" if mask is None else keyed(content_digest(mask), whole),
        device=options.job.device.partition(":")[0],
        options=values,
        libraries=libraries(),
    )


def source_digests(person: SourceIdentity) -> tuple[str, ...]:
    """SHA-256 of each photograph that was used, in order; of the file of an enrolled person."""
    if person.enrolled is not None:
        return (person.digest,)
    try:
        return tuple(sha256(photo.path) for photo in person.photos)
    except OSError:  # made by a program that keeps no files
        return (person.digest,)


@lru_cache(maxsize=1)
def shaping_keys() -> dict[str, Key]:
    """Settings that shape the pixels and are not file names."""
    known = known_keys()
    names = set(option_key(SwapOptions())) - _MOVES_NOTHING
    return {name: key for name, key in known.items() if name in names and key.kind is not Path}


@lru_cache(maxsize=1)
def libraries() -> dict[str, str]:
    """Versions that may move a pixel, and the kind of processor."""
    found = {"machine": platform.machine()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _value(options: SwapOptions, name: str) -> Any:
    value: Any = options
    for part in name.split("."):
        value = getattr(value, part)
    return value


def with_options(base: SwapOptions, values: Mapping[str, Any]) -> SwapOptions:
    """``base`` with the settings ``values`` (``group.field``); :class:`UsageError` for one out of range."""
    groups: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        group, _, item = name.rpartition(".")
        groups.setdefault(group, {})[item] = value
    plain = groups.pop("", {})
    built = {name: replace(getattr(base, name), **own) for name, own in groups.items()}
    return replace(base, **plain, **built)


def parsed(text: str, where: str) -> Recipe:
    """Inverse of :meth:`Recipe.text`; :class:`InputError` names ``where`` when it is none."""
    if len(text) > 2 * LONGEST_TEXT:
        raise InputError(f"the recipe in {where} is too long to be one of ours")
    try:
        found = json.loads(text)
        if found["schema"] != SCHEMA:
            raise InputError(
                f"the recipe in {where} is of another version of this program "
                f"(schema {found['schema']!r:.20}); install the one that made it"
            )
        recipe = _recipe(found)
        with_options(SwapOptions(), recipe.options)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, UsageError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"the recipe in {where} is damaged ({reason})") from error
    return recipe


def _recipe(found: dict[str, Any]) -> Recipe:
    if found["kind"] not in (VIDEO, PICTURE):
        raise ValueError("of no known kind")
    sources = tuple(tuple(_hex(one) for one in group) for group in found["sources"])
    cast = {int(person): int(row) for person, row in found["cast"].items()}
    if not sources or not all(sources) or not all(0 <= row < len(sources) for row in cast.values()):
        raise ValueError("it names no sources, or not all")
    if len(target := _hex(found["target"])) != 64:
        raise ValueError("it names no target")
    return Recipe(
        kind=found["kind"],
        program=_plain(found["program"]),
        target=target,
        sources=sources,
        cast=cast,
        weights=_hex(found["weights"]),
        models=_hex(found["models"]),
        parsing=_hex(found["parsing"]),
        mask=_hex(found.get("mask", "")),
        device=_plain(found["device"]),
        options=_options(found["options"]),
        libraries={_plain(name): _plain(number) for name, number in found["libraries"].items()},
    )


def _options(found: dict[str, Any]) -> dict[str, Any]:
    keys = shaping_keys()
    if unknown := sorted(set(found) - set(keys)):
        raise ValueError(f"unknown setting {_plain(unknown[0])}")
    return {
        name: None if value is None and keys[name].optional else convert(keys[name], value, "recipe")
        for name, value in found.items()
    }


def _hex(text: Any) -> str:
    if not isinstance(text, str) or len(text) > 128 or not _HEX.fullmatch(text):
        raise ValueError("a digest is none")
    return text


def _plain(text: Any) -> str:
    """Words that may be shown on a terminal."""
    if not isinstance(text, str) or len(text) > 60 or not _PLAIN.fullmatch(text):
        raise ValueError("a word is none")
    return text
