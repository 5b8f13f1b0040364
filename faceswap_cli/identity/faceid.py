"""The file of an enrolled person: ``NAME.faceid``, safetensors with a JSON header.

Reading runs no code: names, kinds and shapes of all tensors are checked, numbers must be finite, and a
digest over the tensors detects a damaged file.  Writing is whole or not at all, readable by its owner only.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceswap_cli.errors import InputError, OutputError
from faceswap_cli.identity.enrolled import Enrolled, Share
from faceswap_cli.records import F32, MESH_POINTS, U8, SourceIdentity, SourcePhoto

FORMAT, SCHEMA = "faceswap-faceid", 3
READABLE = ("2", "3")
"""Schema 2 also held what one network knew of the person, which is not used any more"""
LARGEST_BYTES = 256 << 20
EMBEDDING = 128
_MESH = (MESH_POINTS, 3)
_FIXED: dict[str, tuple[tuple[int, ...], str]] = {
    "embedding": ((EMBEDDING,), "f"),
    "points": (_MESH, "f"),
    "light": (_MESH, "f"),
    "neutral": (_MESH, "f"),
    "seen": ((MESH_POINTS,), "f"),
    "texture": ((0, 0, 3), "u"),
    "surroundings": ((0, 0, 3), "u"),
    "embeddings": ((0, EMBEDDING), "f"),
}
"""Tensor -> shape (0: any) and kind of number"""
_PLAIN = ("texture", "surroundings", "points", "light", "neutral", "seen")
"""Fields of :class:`Enrolled` that are stored as they are"""
_UNUSED = ("codes/", "delta/")
"""Beginnings of the names of tensors in schema 2 that are left out"""
_PHOTO = "photo/"
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Faceid:
    """All that a file holds."""

    person: Enrolled
    embedding: F32 = field(repr=False)
    """(128,) weighted mean"""
    embeddings: F32 = field(repr=False)
    """(n, 128) of each photograph, in the order of ``shares``"""
    shares: tuple[Share, ...]
    photos: tuple[SourcePhoto, ...] = ()
    """Cut to the face; empty unless they were to be kept"""
    notes: tuple[str, ...] = ()
    """For the user, when it is made; not in the file"""
    made: str = ""
    """Date, ISO 8601"""
    program: str = ""


def write_faceid(path: Path, content: Faceid) -> None:
    """Write ``path``; the file appears under its name when it is complete."""
    from safetensors.numpy import save

    arrays = _arrays(content)
    header = {
        "format": FORMAT,
        "schema": str(SCHEMA),
        "content": _content_digest(arrays),
        "person": json.dumps(_described(content), ensure_ascii=True),
    }
    data = _steady(save(arrays, metadata=header))
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(f"{path} cannot be written ({error.strerror or error})") from error


def _steady(data: bytes) -> bytes:
    """The same file with its header in order: as it is written, the order changes from time to time."""
    size = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + size]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


def _arrays(content: Faceid) -> Arrays:
    person = content.person
    arrays: Arrays = {
        "embedding": content.embedding,
        "embeddings": content.embeddings,
        **{name: getattr(person, name) for name in _PLAIN},
    }
    for row, photo in enumerate(content.photos):
        arrays |= {f"{_PHOTO}{row}/rgb": photo.rgb, f"{_PHOTO}{row}/points": photo.landmarks}
    return {name: np.ascontiguousarray(value) for name, value in arrays.items()}


def _described(content: Faceid) -> dict[str, Any]:
    return {
        "name": content.person.name,
        "photos": [{**asdict(share), "file": _numbered(k)} for k, share in enumerate(content.shares)],
        "kept": [photo.quality for photo in content.photos],
        "made": content.made,
        "program": content.program,
    }


def _numbered(row: int) -> str:
    """What a photograph is called in the file: file names may reveal more than a face does."""
    return f"photo {row + 1}"


def _content_digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    total = hashlib.sha256()
    for name in sorted(arrays):
        value = arrays[name]
        total.update(f"{name} {value.dtype} {value.shape}\n".encode())
        total.update(np.ascontiguousarray(value).tobytes())
    return total.hexdigest()


def read_faceid(path: Path) -> Faceid:
    """Read and check ``path``; :class:`InputError` says what is wrong with it and what to do."""
    arrays, header = _opened(path)
    if header.get("format") != FORMAT:
        raise InputError(f"{path} is not an enrollment file; make one with 'faceswap enroll NAME PHOTO...'")
    if header.get("schema") not in READABLE:
        schema = header.get("schema", "?")[:8]
        raise InputError(f"{path} was made by another version (schema {schema}); {_AGAIN}")
    try:
        if _content_digest(arrays) != header["content"]:
            raise ValueError("its digest is wrong")
        arrays = {name: value for name, value in arrays.items() if not name.startswith(_UNUSED)}
        _check(arrays)
        return _content(arrays, json.loads(header["person"]))
    except (KeyError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{path} is damaged ({reason}); {_AGAIN}") from error


_AGAIN = "enroll the person again"


def _opened(path: Path) -> tuple[Arrays, dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise InputError(
                f"{path} is larger than {LARGEST_BYTES >> 20} MiB and cannot be an enrollment file; {_AGAIN}"
            )
        with safe_open(path, "np") as file:
            header = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no mapping
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error})") from error
    except (SafetensorError, TypeError, ValueError, KeyError) as error:
        raise InputError(f"{path} is not an enrollment file, or is damaged; {_AGAIN}") from error
    return arrays, header


def _check(arrays: Arrays) -> None:
    """Names, shapes and numbers; :class:`ValueError` names the tensor."""
    if missing := sorted(set(_FIXED) - set(arrays)):
        raise ValueError(f"{missing[0]} is missing")
    for name, value in arrays.items():
        shape, kind = _form_of(name)
        fits = value.ndim == len(shape) and all(a in (0, b) for a, b in zip(shape, value.shape, strict=True))
        if not fits or value.dtype != (np.uint8 if kind == "u" else np.float32) or not value.size:
            raise ValueError(f"{name[:60]} has shape {value.shape} and kind {value.dtype}")
        if kind == "f" and not np.isfinite(value).all():
            raise ValueError(f"{name[:60]} has values that are not finite")
    side = arrays["texture"].shape[0]
    if arrays["texture"].shape[1] != side or not 64 <= side <= 4096:
        raise ValueError(f"texture has shape {arrays['texture'].shape}")


def _form_of(name: str) -> tuple[tuple[int, ...], str]:
    if name in _FIXED:
        return _FIXED[name]
    last = name.rpartition("/")[2]
    if name.startswith(_PHOTO) and last in ("rgb", "points"):
        return ((0, 0, 3), "u") if last == "rgb" else (_MESH, "f")
    raise ValueError(f"{name[:60]} is unknown")


def _content(arrays: Arrays, said: dict[str, Any]) -> Faceid:
    shares = tuple(_share(entry) for entry in said["photos"])
    if len(shares) != len(arrays["embeddings"]):
        raise ValueError("the photographs do not match their embeddings")
    plain = {name: arrays[name] for name in _PLAIN}
    return Faceid(
        person=Enrolled(name=str(said["name"])[:40], **plain),
        embedding=arrays["embedding"],
        embeddings=arrays["embeddings"],
        shares=shares,
        photos=tuple(_photo(arrays, row, float(kept)) for row, kept in enumerate(said["kept"])),
        made=str(said["made"])[:40],
        program=str(said["program"])[:40],
    )


def _share(entry: dict[str, Any]) -> Share:
    numbers = ("weight", "quality", "yaw", "width_px", "distance")
    return Share(file=str(entry["file"])[:200], **{name: float(entry[name]) for name in numbers})


def _photo(arrays: Arrays, row: int, quality: float) -> SourcePhoto:
    rgb: U8 = arrays[f"{_PHOTO}{row}/rgb"]
    points: F32 = arrays[f"{_PHOTO}{row}/points"]
    embedding = np.zeros(EMBEDDING, np.float32)
    return SourcePhoto(Path(_numbered(row)), rgb, points, embedding, quality)


def source_of(paths: Sequence[Path]) -> SourceIdentity:
    """The person of one enrollment file, as every method takes it."""
    if len(paths) > 1:
        names = ", ".join(path.name for path in paths[:3])
        raise InputError(f"an enrolled person stands alone as source, not {names}; enroll with all photos")
    (path,) = paths
    content = read_faceid(path)
    return SourceIdentity(
        name=path.stem,
        photos=content.photos,
        embedding=content.embedding,
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
        enrolled=content.person,
    )
