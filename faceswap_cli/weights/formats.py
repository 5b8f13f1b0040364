"""Checkpoint files to flat ``{name: tensor}`` tables, and back.

Pickles are only ever read by torch's weights-only unpickler: anything in them that is not a tensor, a
number, a text or a plain container is refused before it can run.
"""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from faceswap_cli.errors import InputError, WeightsError
from faceswap_cli.weights import recipe
from faceswap_cli.weights.load import differences

_OPTIONAL_GENERATOR = re.compile(r"^g_ema\.(noises\.noise_\d+|.*\.kernel)$")
"""Older conversions of the plain StyleGAN2 file lack these; everywhere else all names are required."""


@dataclass(frozen=True, slots=True, eq=False)
class Recognised:
    """A checkpoint whose every tensor is where it should be."""

    checkpoint: str
    """Name in the key tables."""
    tensors: dict[str, Tensor] = field(repr=False)
    """``component.key`` and the tensors beside the state dicts, float32"""
    notes: tuple[str, ...] = ()


def read_container(path: Path) -> dict[str, Any]:
    """The top level of a ``.pt`` or ``.safetensors`` file; safetensors names are split at component names."""
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    with path.open("rb") as opened:
        head = opened.read(16)
    if len(head) < 16:
        raise WeightsError(
            f"{path.name} holds {path.stat().st_size} bytes, which is not a checkpoint; fetch it again"
        )
    if head[8:9] == b"{":
        return _read_safetensors(path)
    return _read_pickle(path, zipped=head[:4] == b"PK\x03\x04")


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        flat = load_file(path)
    except (SafetensorError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{path.name} is a damaged safetensors file ({error}); fetch it again") from error
    parts = {name for spec in recipe.checkpoints().values() for name in spec.components}
    nested: dict[str, Any] = {}
    for name, tensor in flat.items():
        part, _, rest = name.partition(".")
        if part in parts and rest:
            nested.setdefault(part, {})[rest] = tensor
        else:
            nested[name] = tensor
    return nested


def _read_pickle(path: Path, *, zipped: bool) -> dict[str, Any]:
    if zipped and not _is_whole_zip(path):
        raise WeightsError(
            f"{path.name} is cut short: {path.stat().st_size} bytes and no end of archive; fetch it again"
        )
    try:
        with warnings.catch_warnings():  # odd pickle protocols are met with a warning before the refusal
            warnings.simplefilter("ignore")
            found = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        raise WeightsError(f"{path.name} {_pickle_reason(str(error))}") from error
    except Exception as error:  # a damaged one makes the unpickler trip over anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{path.name} is not a readable checkpoint ({reason}); fetch it again") from error
    if not isinstance(found, dict):
        raise WeightsError(
            f"{path.name} holds a {type(found).__name__}, expected a dictionary of state dicts"
        )
    return found


def _is_whole_zip(path: Path) -> bool:
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:
        return False


def _pickle_reason(message: str) -> str:
    named = re.search(r"GLOBAL ([\w.]+)", message) or re.search(
        r"(?:global|class|function) `?([\w.]+)", message
    )
    if named or "Unsupported" in message:
        what = f" ({named.group(1)})" if named else ""
        return f"is refused: it holds Python objects besides tensors{what}, which could run code when read"
    return "is not a checkpoint, or is damaged: the pickle inside cannot be read; fetch it again"


def _flat(value: Any, prefix: str) -> Iterator[tuple[str, Tensor]]:
    """Tensors of a state dict, names without the wrapper prefix that distributed training adds."""
    for key, tensor in value.items():
        if not isinstance(key, str) or not isinstance(tensor, Tensor):
            raise WeightsError(f"{prefix} holds {type(tensor).__name__} at {key!r}, expected tensors only")
        yield key.removeprefix("module."), tensor


def _best_match(container: Mapping[str, Any]) -> str | None:
    """The checkpoint whose top-level names and keys fit best."""
    scores: dict[str, int] = {}
    for name, spec in recipe.checkpoints().items():
        if name == "megafs_swapper":
            continue
        shared = 0
        for part, keys in spec.components.items():
            value = container.get(part)
            if isinstance(value, Mapping):
                shared += sum(str(key).removeprefix("module.") in keys for key in value)
        scores[name] = shared
    best = max(scores, key=lambda name: scores[name])
    return best if scores[best] else None


def recognise(container: Mapping[str, Any], what: str) -> Recognised:
    """Which official file ``container`` is, by its keys, checked tensor by tensor."""
    best = _best_match(container)
    if best is None:
        known = "; ".join(
            f"{spec.file} ({', '.join(spec.components)})"
            for name, spec in recipe.checkpoints().items()
            if name != "megafs_swapper"
        )
        found = ", ".join(sorted(str(key) for key in container)[:6]) or "nothing"
        raise WeightsError(f"{what} is none of the known checkpoints: found {found}; expected one of {known}")
    spec = recipe.checkpoints()[best]
    tensors: dict[str, Tensor] = {}
    for part in spec.components:
        value = container.get(part)
        if isinstance(value, Mapping):
            tensors.update((f"{part}.{key}", tensor) for key, tensor in _flat(value, f"{what}: {part}"))
    for name in spec.tensors:
        if isinstance(container.get(name), Tensor):
            tensors[name] = container[name]
    notes = _complete(tensors, spec) + _checked_opts(container.get("opts"), what)
    expected = {
        f"{part}.{key}": entry.shape for part, keys in spec.components.items() for key, entry in keys.items()
    } | {name: entry.shape for name, entry in spec.tensors.items()}
    problem = differences({name: tuple(t.shape) for name, t in tensors.items()}, expected)
    if problem:
        raise WeightsError(f"{what} looks like {spec.file}, but {problem}")
    return Recognised(best, {name: _plain(t, name, what) for name, t in tensors.items()}, notes)


def _complete(tensors: dict[str, Tensor], spec: recipe.CheckpointSpec) -> tuple[str, ...]:
    """Fill what may be absent, in place: constant filters and noise of g_ema, the short average latent."""
    if "latent_avg" in spec.tensors and "latent_avg" in tensors:
        wanted = spec.tensors["latent_avg"].shape
        if tuple(tensors["latent_avg"].shape) == wanted[-1:] != wanted:
            tensors["latent_avg"] = tensors["latent_avg"].expand(wanted)
    filled = []
    for key, entry in spec.components.get("g_ema", {}).items():
        name = f"g_ema.{key}"
        if name not in tensors and _OPTIONAL_GENERATOR.match(name):
            tensors[name] = torch.from_numpy(recipe.fill(f"missing/{name}", entry))
            filled.append(key)
    if not filled:
        return ()
    return (f"{len(filled)} maps were not in the file and were filled in: {filled[0]} and the like",)


def _checked_opts(opts: Any, what: str) -> tuple[str, ...]:
    """pSp keeps options beside the weights; only those that change the meaning matter."""
    if not isinstance(opts, Mapping):
        return ()
    if opts.get("encoder_type", "GradualStyleEncoder") != "GradualStyleEncoder":
        raise WeightsError(
            f"{what} holds a {opts['encoder_type']}, expected a GradualStyleEncoder with 18 heads"
        )
    if opts.get("start_from_latent_avg", True) is False:
        raise WeightsError(f"{what} was trained without the average latent; the FFHQ encoder has it")
    return ()


def _plain(tensor: Tensor, name: str, what: str) -> Tensor:
    """Contiguous float32 (int64 for counters), finite."""
    if name.endswith("num_batches_tracked"):
        return tensor.to(torch.int64).contiguous()
    if not tensor.is_floating_point():
        raise WeightsError(f"{what}: {name} holds {tensor.dtype}, expected float32")
    plain = tensor.detach().to(torch.float32).contiguous()
    if not bool(torch.isfinite(plain).all()):
        raise WeightsError(f"{what} is damaged: {name} holds values that are not finite")
    return plain


def official_container(checkpoint: str, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Tensors of an installed file, laid out as published: components, key prefix, options."""
    spec = recipe.checkpoints()[checkpoint]
    container: dict[str, Any] = {
        part: {spec.key_prefix + key: tensors[f"{part}.{key}"] for key in keys}
        for part, keys in spec.components.items()
    }
    container |= {name: tensors[name] for name in spec.tensors}
    if spec.opts is not None:
        container["opts"] = dict(spec.opts)
    return container


def stand_in_container(checkpoint: str, which: str = "A") -> dict[str, Any]:
    """A container as published, filled with stand-in numbers (``recipe``)."""
    spec = recipe.checkpoints()[checkpoint]
    tensors = {
        f"{part}.{key}": torch.as_tensor(array)
        for part in spec.components
        for key, array in recipe.component(checkpoint, part, which)
    }
    tensors |= {name: torch.as_tensor(array) for name, array in recipe.beside(checkpoint, which).items()}
    return official_container(checkpoint, tensors)
