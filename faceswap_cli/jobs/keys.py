"""What a job and its analysis depend on: a digest or a value for every ingredient, by name.

Two runs with equal keys give the same frames.  Where and by how many it is run, and what is kept
afterwards, is left out.  The names let a run say why it cannot resume what it finds.
"""

from __future__ import annotations

import hashlib
from dataclasses import fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import faceswap_cli
from faceswap_cli.config import SwapOptions
from faceswap_cli.errors import InputError, WeightsError
from faceswap_cli.records import Clip
from faceswap_cli.weights.registry import bundled

Key = dict[str, str]
"""Ingredient -> digest or value; options as ``group.field``."""

SCHEMA = "2"
_SAMPLE = 1 << 20
_MODELS = (
    "face_landmarker.task",
    "face_landmarker_short.task",
    "identity.safetensors",
    "edits.safetensors",
    "quality.safetensors",
    "facespace.safetensors",
    "attributes.safetensors",
    "occluder.safetensors",
    "beard.safetensors",
    "rims.safetensors",
    "refiner.safetensors",
)
_HOW_IT_RUNS = frozenset(
    {
        "job.workers",
        "job.max_ram_mb",
        "job.max_vram_mb",
        "detect.workers",
        "detect.max_pixels",
        "job.keep",
        "job.restart",
        "job.cluster",
        "job.device",
        "paste.occlusion_mask",
    }
    | {"mark.c2pa_cert", "mark.c2pa_key", "mark.consent", "policy.model", "policy.every_s"}
)
_ONLY_CHOOSE = frozenset({"detect.source_face", "track.face", "track.reference", "track.cast"})
"""They name who is swapped among the people found; the analysis is the same for all."""


def job_key(
    clip: Clip, sources_digest: str, cast: dict[int, int], method_digest: str, options: SwapOptions
) -> Key:
    """Everything that the pixels depend on.

    ``cast`` stands for the reference photograph, whose file the options only name; ``method_digest``
    for weights that the user installs.  The device counts: processors round differently.
    """
    own = options.paste.occlusion_mask
    return {
        **_common(clip),
        "occlusion mask": "" if own is None else _file_digest(own),
        "sources": sources_digest,
        "cast": repr(sorted(cast.items())),
        "weights": method_digest,
        **_named(options, _HOW_IT_RUNS),
    }


def analysis_key(clip: Clip, options: SwapOptions, first_pts: int | None, end_pts: int | None) -> Key:
    """Everything that pass 1 depends on: not the sources, and not who is chosen."""
    groups = {
        name: value
        for name, value in _named(options, _HOW_IT_RUNS | _ONLY_CHOOSE).items()
        if name.startswith(("detect.", "track.", "smooth."))
    }
    fields_kept = f"{clip.interlaced} {clip.deinterlace}"
    return {**_common(clip), "range": f"{first_pts} {end_pts}", "fields": fields_kept, **groups}


def option_key(options: SwapOptions) -> Key:
    """The options that the pixels depend on."""
    return _named(options, _HOW_IT_RUNS)


def check_unchanged(clip: Clip, key: Key) -> None:
    """Raise :class:`InputError` when the clip is not the one any more that the job ``key`` began with."""
    if _file_digest(clip.path) != key["input"]:
        raise InputError(f"{clip.path} changed during the job; start again")


def differences(old: Key, new: Key) -> list[str]:
    """Names of the ingredients that are not the same."""
    return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))


def digest_of(key: Key) -> str:
    """One SHA-256 for a key."""
    return hashlib.sha256(repr(sorted(key.items())).encode()).hexdigest()


def _common(clip: Clip) -> Key:
    return {
        "schema": SCHEMA,
        "program": faceswap_cli.__version__,
        "input": _file_digest(clip.path),
        "face models": models_digest(),
    }


def _named(options: SwapOptions, left_out: frozenset[str]) -> Key:
    found: Key = {}
    for item in fields(options):
        value: Any = getattr(options, item.name)
        if is_dataclass(value):
            inner = {f"{item.name}.{f.name}": repr(getattr(value, f.name)) for f in fields(value)}
            found.update((name, text) for name, text in inner.items() if name not in left_out)
        else:
            found[item.name] = repr(value)
    return found


def _file_digest(path: Path) -> str:
    """Of a clip: its size, time of change, and samples; reading all of a long one would take minutes."""
    try:
        found = path.stat()
        digest = hashlib.sha256(f"{found.st_size} {found.st_mtime_ns}".encode())
        with path.open("rb") as handle:
            for place in (0, found.st_size // 2, max(found.st_size - _SAMPLE, 0)):
                handle.seek(place)
                digest.update(handle.read(_SAMPLE))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the name and the disk") from error
    return digest.hexdigest()


@lru_cache(maxsize=1)
def models_digest() -> str:
    """Digest of the models that find and compare faces."""
    digest = hashlib.sha256()
    for name in _MODELS:
        path = bundled(name)
        try:
            digest.update(path.read_bytes())
        except OSError as error:
            raise WeightsError(
                f"{path} cannot be read ({error.strerror}); install the program again"
            ) from error
    return digest.hexdigest()
