"""Installed weights: import, list, verify, open.

``NAME.safetensors`` holds the tensors, ``NAME.json`` the card.  A file is trusted when its bytes have the
digest of its card; that is looked at again whenever size or time of the file have changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from faceswap_cli.errors import OutputError, UsageError, WeightsError
from faceswap_cli.weights import formats, recipe
from faceswap_cli.weights.registry import WeightsRow, installed_folder, read_registry, row_for_checkpoint

_BLOCK = 1 << 22
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Card:
    """What is known of an installed file."""

    name: str
    checkpoint: str
    title: str
    sha256: str
    """Of the installed safetensors file."""
    size: int
    licence: str
    licence_use: str
    licence_url: str
    origin: str
    source_file: str
    source_sha256: str
    """Of the file it was converted from."""
    notes: tuple[str, ...] = ()
    checked_mtime_ns: int = 0
    """Time of the file when its digest was last found right."""


def file_sha256(path: Path, progress: Progress = lambda done, total: None) -> str:
    """Hex digest of a file; ``progress`` hears bytes done and in all."""
    digest, done, total = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as opened:
        while block := opened.read(_BLOCK):
            digest.update(block)
            done += len(block)
            progress(done, total)
    return digest.hexdigest()


def weights_path(name: str) -> Path:
    """Where the installed file of ``name`` lies or would lie."""
    return installed_folder() / f"{name}.safetensors"


def _card_path(name: str) -> Path:
    return installed_folder() / f"{name}.json"


def read_card(name: str) -> Card:
    """The card of ``name``; :class:`WeightsError` when it is not installed or the card is damaged."""
    path = _card_path(name)
    if not path.is_file() or not weights_path(name).is_file():
        raise WeightsError(_how_to_get(name))
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return _typed(Card(**{**data, "notes": tuple(data.get("notes", ()))}))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(f"the card {path} is damaged ({error}); import the file again") from error


def _typed(card: Card) -> Card:
    """``card``; :class:`TypeError` when a text is none, or a number."""
    for field in fields(card):
        kind = {"str": str, "int": int}.get(str(field.type))
        if kind is not None and not isinstance(getattr(card, field.name), kind):
            raise TypeError(f"{field.name} must be {'text' if kind is str else 'a number'}")
    if not all(isinstance(note, str) for note in card.notes):
        raise TypeError("notes must be texts")
    return card


def _how_to_get(name: str) -> str:
    row = read_registry().get(name)
    if row is None:
        return f"weights {name} are not installed in {installed_folder()}; see: faceswap weights list"
    return (
        f"weights {name} ({row.title}) are not installed in {installed_folder()}; "
        f"get {row.file} from {row.origin} and run: faceswap weights import {row.file}"
    )


def installed_names() -> list[str]:
    """Names of all files in the folder, with a card or without."""
    folder = installed_folder()
    return sorted(path.stem for path in folder.glob("*.safetensors")) if folder.is_dir() else []


def installed() -> list[Card]:
    """The cards of all installed files that have one."""
    return [read_card(name) for name in installed_names() if _card_path(name).is_file()]


def _write_json(path: Path, data: dict[str, Any]) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    os.replace(part, path)


def verify(name: str, progress: Progress = lambda done, total: None) -> Card:
    """Compare size and digest with the card, then names and shapes with the key tables."""
    card, path = read_card(name), weights_path(name)
    size = path.stat().st_size
    if size != card.size:
        raise WeightsError(f"{path} is damaged: {size} bytes found, {card.size} expected; import it again")
    found = file_sha256(path, progress)
    if found != card.sha256:
        raise WeightsError(
            f"{path} is damaged or another file: sha256 {found[:16]}... found, "
            f"{card.sha256[:16]}... expected; import it again"
        )
    _check_names(card, path)
    checked = replace(card, checked_mtime_ns=path.stat().st_mtime_ns)
    if checked != card and os.access(path.parent, os.W_OK):
        _write_json(_card_path(name), asdict(checked))
    return checked


def _check_names(card: Card, path: Path) -> None:
    from safetensors import safe_open

    spec = recipe.checkpoints().get(card.checkpoint)
    if spec is None:
        raise WeightsError(
            f"the card of {card.name} names an unknown checkpoint {card.checkpoint}; import again"
        )
    expected = {f"{part}.{key}" for part, keys in spec.components.items() for key in keys} | set(spec.tensors)
    with safe_open(path, framework="pt") as opened:
        found = set(opened.keys())
    if found != expected:
        raise WeightsError(
            f"{path} holds {len(found)} tensors, {len(found & expected)} of the {len(expected)} expected; "
            "import it again"
        )


def trusted(name: str) -> Card:
    """The card of ``name``; its digest is recomputed only when the file was touched since."""
    card, path = read_card(name), weights_path(name)
    state = path.stat()
    if state.st_size == card.size and state.st_mtime_ns == card.checked_mtime_ns:
        return card
    return verify(name)


def open_part(name: str, parts: Iterable[str]) -> dict[str, dict[str, Tensor]]:
    """State dicts of the named parts of installed weights, each without its prefix.

    A part is a component (``decoder``), a prefix inside one (``state_dict.encoder``), or a tensor beside
    them (``latent_avg``, under the key ``""``).
    """
    from safetensors import safe_open

    trusted(name)
    found: dict[str, dict[str, Tensor]] = {}
    with safe_open(weights_path(name), framework="pt") as opened:
        keys = list(opened.keys())
        for part in parts:
            chosen = [key for key in keys if key.startswith(f"{part}.") or key == part]
            found[part] = {key[len(part) + 1 :]: opened.get_tensor(key) for key in chosen}
    return found


def import_file(path: Path, expected: str | None = None, progress: Progress = lambda d, t: None) -> Card:
    """Recognize, check, convert and install an official checkpoint; ``expected`` insists on a name."""
    known = formats.recognise(formats.read_container(path), path.name)
    row = row_for_checkpoint(known.checkpoint)
    _insist(path, row, expected)
    return install(known, row, path.name, file_sha256(path, progress))


def _insist(path: Path, row: WeightsRow, expected: str | None) -> None:
    """Refuse a file that is another one than its name, or the caller, says."""
    rows = read_registry()
    if expected is not None:
        if expected not in rows:
            raise UsageError(f"there are no weights named {expected}; known are {', '.join(rows)}")
        if rows[expected].checkpoint != row.checkpoint:
            raise WeightsError(f"{path.name} is {row.title}, expected {rows[expected].title} ({expected})")
        return
    claimed = next((other for other in rows.values() if other.file == path.name), row)
    if claimed.checkpoint != row.checkpoint:
        raise WeightsError(
            f"{path.name} holds {row.title}, expected {claimed.title} under this name; "
            f"if this is intended, use --as {row.name}"
        )


def install(known: formats.Recognised, row: WeightsRow, source_file: str, source_sha256: str) -> Card:
    """Write the safetensors file and its card; nothing is seen under the final name before it is whole."""
    from safetensors.torch import save_file

    folder, path = installed_folder(), weights_path(row.name)
    needed = sum(t.numel() * t.element_size() for t in known.tensors.values())
    make_room(folder, needed)
    handle, part_name = tempfile.mkstemp(prefix=f".{row.name}-", suffix=".part", dir=folder)
    os.close(handle)
    part = Path(part_name)
    try:
        save_file(_unshared(known.tensors), part, {"checkpoint": row.checkpoint})
        os.chmod(part, 0o644)
        card = Card(
            name=row.name,
            checkpoint=row.checkpoint,
            title=row.title,
            sha256=file_sha256(part),
            size=part.stat().st_size,
            licence=row.licence.name,
            licence_use=row.licence.use,
            licence_url=row.licence.url,
            origin=row.origin,
            source_file=source_file,
            source_sha256=source_sha256,
            notes=known.notes,
            checked_mtime_ns=part.stat().st_mtime_ns,
        )
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    _write_json(_card_path(row.name), asdict(card))
    return card


def _unshared(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies of tensors that share memory with an earlier one: safetensors wants each on its own."""
    seen: set[int] = set()
    apart: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        apart[name] = tensor.clone() if place in seen else tensor
        seen.add(place)
    return apart


def make_room(folder: Path, needed: int) -> None:
    """The folder exists, can be written and has room for ``needed`` bytes."""
    import shutil

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the folder {folder} ({error.strerror}); set FACESWAP_WEIGHTS"
        ) from error
    if not os.access(folder, os.W_OK):
        raise OutputError(f"cannot write into {folder}; set FACESWAP_WEIGHTS to another folder")
    free = shutil.disk_usage(folder).free
    if free < needed * 1.05:
        raise OutputError(
            f"{folder} has {free >> 20} MiB free, {needed >> 20} MiB are needed; set FACESWAP_WEIGHTS"
        )


def export_file(name: str, output: Path) -> Path:
    """Installed weights to ``output``: ``.pt`` as published, ``.safetensors`` as installed."""
    import shutil

    import torch
    from safetensors.torch import load_file

    if output.suffix not in (".pt", ".safetensors"):
        raise UsageError(f"export writes .pt or .safetensors, or a folder with --onnx, not {output.name}")
    card = trusted(name)
    make_room(output.absolute().parent, card.size)
    part = output.with_name(f".{output.name}.part")
    try:
        if output.suffix == ".pt":
            torch.save(formats.official_container(card.checkpoint, load_file(weights_path(name))), part)
        else:
            shutil.copyfile(weights_path(name), part)
        os.replace(part, output)
    finally:
        part.unlink(missing_ok=True)
    return output
