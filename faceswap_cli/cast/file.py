"""The cast file: who in a clip gets whose face, to be filled in by hand.

    schema = 1

    [people.A]
    source = "anna.jpg"        # or a list of photographs of one person, or a folder of them

    [people.B]
    keep = true

    [recognize.A]
    faces = ["..."]            # 128 half-precision numbers each, base64

``people`` is for the user, ``recognize`` for the program: it holds what the people look like, so
that a file fits people, not positions, and serves other clips of the same people.  Paths are
relative to the file.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from faceswap_cli.errors import InputError, OutputError, UsageError
from faceswap_cli.identity.embed import EMBEDDING
from faceswap_cli.identity.people import resolved
from faceswap_cli.output import near_name
from faceswap_cli.records import F32

SCHEMA = 1
LARGEST_BYTES = 16 << 20
_TOP = ("schema", "people", "recognize")
_PERSON = ("source", "keep")
_RECOGNIZE = ("faces", "doubt")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_WIDTH = 96


@dataclass(frozen=True, slots=True, eq=False)
class Role:
    """One person of a cast."""

    name: str
    sources: tuple[Path, ...]
    """Photographs, or folders of them, of the person whose face is put in; empty: the face stays."""
    faces: F32 = field(repr=False)
    """(K, 128) embeddings of this person, the mean first"""
    doubt: str = ""
    """Why this person can hardly be recognized; empty when it can."""


@dataclass(frozen=True, slots=True, eq=False)
class Cast:
    """A cast file, read and checked."""

    path: Path
    roles: tuple[Role, ...]

    @property
    def sources(self) -> tuple[Path, ...]:
        """Every photograph or folder that is named, once each."""
        return tuple(dict.fromkeys(path for role in self.roles for path in role.sources))


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A person as it is written down."""

    role: Role
    remarks: tuple[str, ...]
    """Shown as comments: when the person is seen, how large, where."""


def read_cast(path: Path) -> Cast:
    """Read and check ``path``.

    :class:`InputError` when it cannot be read, :class:`UsageError` when its content is wrong; both
    name the key and what to try.
    """
    tree = _parsed(path)
    if "recognise" in tree:  # written by earlier versions
        tree.setdefault("recognize", tree.pop("recognise"))
    _known(tree, _TOP, "", path)
    if "schema" not in tree:
        raise UsageError(f"{path} is a part of a cast file; {_AGAIN}, then fill in the sources there")
    if tree["schema"] != SCHEMA:
        raise UsageError(f"{path}: schema must be {SCHEMA}, not {tree['schema']!r}; {_AGAIN}")
    people, seen = _table(tree, "people", path), _table(tree, "recognize", path)
    if not people:
        raise UsageError(f"{path} names no people; it needs a [people.NAME] for each person")
    lone = sorted(set(seen) ^ set(people))
    if lone:
        has, lacks = ("people", "recognize") if lone[0] in people else ("recognize", "people")
        raise UsageError(
            f"{path}: {has}.{lone[0]} has no {lacks}.{lone[0]}; give both the same name, or remove both"
        )
    cast = Cast(path, tuple(_role(name, people, seen, path) for name in people))
    if not cast.sources:
        raise UsageError(f'{path} assigns no source; fill in source = "photo.jpg" for at least one')
    return cast


_AGAIN = "write the file again with 'faceswap inspect CLIP --cast FILE'"


def _parsed(path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise InputError(f"cast file {path} cannot be read ({error.strerror}); {_AGAIN}") from error
    if len(data) > LARGEST_BYTES:
        raise InputError(
            f"{path} is larger than {LARGEST_BYTES >> 20} MiB and cannot be a cast file; {_AGAIN}"
        )
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # also numbers of too many digits
        raise UsageError(f"{path} is not valid TOML ({_one_line(error)}); correct it, or {_AGAIN}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _known(table: dict[str, Any], keys: Sequence[str], where: str, path: Path) -> None:
    unknown = [key for key in table if key not in keys]
    if unknown:
        raise UsageError(f"{path}: unknown key {where}{_shown(unknown[0])}; known: {', '.join(keys)}")


def _shown(name: str) -> str:
    """A name out of a file, fit for one line."""
    return name if _NAME.fullmatch(name) else repr(name[:60])


def _table(tree: dict[str, Any], name: str, path: Path) -> dict[str, dict[str, Any]]:
    found = tree.get(name, {})
    if not isinstance(found, dict) or not all(isinstance(entry, dict) for entry in found.values()):
        raise UsageError(f"{path}: {name} must consist of tables [{name}.NAME]; {_AGAIN}")
    for key in found:
        if not _NAME.fullmatch(key):
            raise UsageError(f"{path}: {name}.{_shown(key)}: a name is 1 to 40 letters, digits, - or _")
    return found


def _role(name: str, people: dict[str, Any], seen: dict[str, Any], path: Path) -> Role:
    _known(people[name], _PERSON, f"people.{name}.", path)
    _known(seen[name], _RECOGNIZE, f"recognize.{name}.", path)
    keep = people[name].get("keep", False)
    if not isinstance(keep, bool):
        raise UsageError(f"{path}: people.{name}.keep must be true or false, not {keep!r}")
    sources = _sources(people[name].get("source", ""), name, path)
    if sources and keep:
        raise UsageError(f"{path}: people.{name} has both a source and keep = true; remove one of them")
    doubt = seen[name].get("doubt", "")
    if not isinstance(doubt, str):
        raise UsageError(f"{path}: recognize.{name}.doubt must be a text; {_AGAIN}")
    return Role(name, sources, _faces(seen[name].get("faces"), name, path), " ".join(doubt.split())[:80])


def _sources(value: Any, name: str, path: Path) -> tuple[Path, ...]:
    """The files of ``source = "..."`` or of a list, relative to the cast file; all are there."""
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise UsageError(f"{path}: people.{name}.source must be a file name or a list of them, not {value!r}")
    if isinstance(value, list) and "" in given:
        raise UsageError(f"{path}: people.{name}.source has an empty file name in its list; remove it")
    found = []
    for one in filter(None, given):
        try:
            file = path.parent / Path(resolved(one)).expanduser()
            there = file.exists()
        except (OSError, RuntimeError, ValueError):  # names no file can have, homes nobody has
            there = False
        if not there:
            folder, hint = path.parent.resolve(), near_name(path.parent / one)
            raise InputError(
                f"{path}: people.{name}.source: {one!r} does not exist; "
                f"{hint or f'names are relative to {folder}'}"
            )
        found.append(file)
    return tuple(found)


def _faces(value: Any, name: str, path: Path) -> F32:
    """(K, 128) out of base64 lines."""
    bad = UsageError(f"{path}: recognize.{name}.faces is damaged; {_AGAIN}")
    if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
        raise bad
    try:
        rows = [np.frombuffer(base64.b64decode(one, validate=True), "<f2") for one in value]
        faces = np.stack(rows).astype(np.float32)
    except (ValueError, binascii.Error) as error:
        raise bad from error
    if faces.shape[1] != EMBEDDING or not np.isfinite(faces).all():
        raise bad
    return faces


def write_cast(path: Path, clip: str, sheet: str, entries: Sequence[Entry]) -> None:
    """Write a cast file to be filled in; whole or not at all.

    ``clip`` and ``sheet`` are names for the comments.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{line}\n" for line in _lines(path.name, clip, sheet, entries))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(f"cast file {path} cannot be written ({error.strerror or error})") from error


def _lines(name: str, clip: str, sheet: str, entries: Sequence[Entry]) -> Iterator[str]:
    yield f"# People in {_comment(clip)}. Their faces: {_comment(sheet)}"
    yield "#"
    yield '# To give a person another face, name a photograph, source = "anna.jpg", or several of'
    yield '# one person, source = ["anna1.jpg", "anna2.jpg"], or a folder.  Names are relative to this file.'
    yield "# All others keep their own face; keep = true states that.  Then:"
    yield "#"
    yield f"#     faceswap video --cast {_comment(shlex.quote(name))} {_comment(shlex.quote(clip))}"
    yield "#"
    yield "# People are recognized by their faces, so the file also works for other clips of the same people."
    yield ""
    yield f"schema = {SCHEMA}"
    for entry in entries:
        yield ""
        yield f"[people.{entry.role.name}]"
        yield from (f"# {_comment(remark)}" for remark in entry.remarks)
        yield 'source = ""'
        yield "# keep = true"
    yield ""
    yield f"# {'-' * (_WIDTH - 2)}"
    yield "# How each person is recognized. Leave this part as it is."
    yield "# To rename a person, change the name here and above."
    for entry in entries:
        yield ""
        yield f"[recognize.{entry.role.name}]"
        if entry.role.doubt:
            yield f'doubt = "{entry.role.doubt}"'
        yield "faces = ["
        for face in entry.role.faces:
            yield f'  "{base64.b64encode(face.astype("<f2").tobytes()).decode()}",'
        yield "]"


def _comment(text: str) -> str:
    """``text`` as part of one line of a comment; what cannot be shown becomes a question mark."""
    plain = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(c if c.isprintable() else "?" for c in plain)
