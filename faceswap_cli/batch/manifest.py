"""``--manifest``: a table of jobs, as CSV or as JSON Lines.

    source,target,output,face,end            {"source": "a.jpg", "target": "one.mp4"}
    a.jpg,one.mp4,,left,                     {"source": ["b1.jpg", "b2.jpg"], "target": "two.mp4",
    b1.jpg|b2.jpg,two.mp4,out2.mp4,,20        "output": "out2.mp4", "options": {"end": 20}}

Besides ``source``, ``target`` and ``output`` a column is a setting: the name of a flag or a key of
``faceswap.toml``.  An empty cell (``null``) is as good as none.  Every message names the line.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faceswap_cli.config import SwapOptions
from faceswap_cli.config_files import FLAGS, Setting, Settings, convert, known_keys, over, set_by
from faceswap_cli.errors import InputError, UsageError
from faceswap_cli.limits import TEXT_BYTES

FILES = ("source", "target", "output")
SEVERAL = "|"
"""Between the photographs of one person in a cell"""
ROW_FLAGS = tuple(flag for flag, keys in FLAGS.items() if not "".join(keys[:1]).startswith("show."))
_JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
_CSV_SUFFIXES = (".csv", ".tsv")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a manifest, not yet looked at more closely than its form."""

    where: str
    """``jobs.csv line 3``, for messages"""
    sources: tuple[str, ...]
    target: str
    output: str | None
    options: dict[str, Any] = field(default_factory=dict)
    """Name of a flag or key -> value as written"""


def read_manifest(path: Path) -> list[Entry]:
    """The jobs of ``path``; :class:`UsageError` with the line for whatever is wrong in it."""
    try:
        with path.open("rb") as file:
            data = file.read(TEXT_BYTES + 1)
        if len(data) > TEXT_BYTES:
            raise UsageError(f"manifest {path} is larger than {TEXT_BYTES >> 20} MiB; split it")
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"manifest {path} cannot be read ({error.strerror}); check its name") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path.name} line {line} is not UTF-8; save the file as UTF-8") from error
    lines = _json_lines(text, path) if _is_json(path, text) else _csv_lines(text, path)
    entries = [_entry(where, values) for where, values in lines]
    if not entries:
        raise UsageError(f"manifest {path} contains no job; it needs a line with source and target for each")
    return entries


def _is_json(path: Path, text: str) -> bool:
    suffix = path.suffix.lower()
    if suffix in _JSON_SUFFIXES or suffix in _CSV_SUFFIXES:
        return suffix in _JSON_SUFFIXES
    return text.lstrip().startswith(("{", "["))


def _json_lines(text: str, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        where = f"{path.name} line {number}"
        if not line.strip():
            continue
        try:
            found = json.loads(line, object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            raise UsageError(f"{where} is not a JSON object of one line ({reason})") from error
        if not isinstance(found, dict):
            raise UsageError(f"{where} is not a JSON object; write one object a line, as in JSON Lines")
        options = found.pop("options", None) or {}
        if not isinstance(options, dict):
            raise UsageError(f"{where}: options must be an object, as in {{'face': 'left'}}")
        if twice := sorted(set(found) & set(options)):
            raise UsageError(f"{where}: {twice[0]} is given twice, inside options and beside it")
        yield where, {**found, **_settings_only(options, where)}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is given twice")
    return found


def _settings_only(options: dict[str, Any], where: str) -> dict[str, Any]:
    if named := [name for name in FILES if name in options]:
        raise UsageError(f"{where}: {named[0]} belongs beside options, not inside")
    return options


def _csv_lines(text: str, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    head = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns: list[str] = []
    number = 1
    try:
        for cells in reader:
            where, number = f"{path.name} line {number}", reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if not columns:
                columns = _columns(cells, where)
                continue
            if len(cells) > len(columns):
                raise UsageError(f"{where} has {len(cells)} cells for {len(columns)} columns; quote commas")
            yield where, {name: cell.strip() for name, cell in zip(columns, cells, strict=False)}
    except csv.Error as error:
        raise UsageError(f"{path.name} line {number} is not valid CSV ({error}); check the quotes") from error


def _columns(cells: list[str], where: str) -> list[str]:
    names = [cell.strip() for cell in cells]
    for name in names:
        canonical(name, where)
        if names.count(name) > 1:
            raise UsageError(f"{where}: the column {name!r} is given twice")
    if "target" not in names:
        raise UsageError(f"{where} must name the columns, among them 'target'")
    return names


def canonical(name: str, where: str) -> str:
    """``min-face`` as ``min_face``; :class:`UsageError` that lists the known names."""
    plain = name.removeprefix("--").replace("-", "_")
    if plain in FILES or plain in ROW_FLAGS or name in row_keys():
        return name if name in row_keys() else plain
    known = ", ".join((*FILES, *ROW_FLAGS))
    raise UsageError(f"{where}: unknown column {name!r}; known: {known}, or a key as in 'faceswap config'")


def row_keys() -> frozenset[str]:
    """Keys of the configuration that a line may set."""
    return frozenset(name for name in known_keys() if not name.startswith("show."))


def _entry(where: str, values: dict[str, Any]) -> Entry:
    given: dict[str, Any] = {}
    for name, value in values.items():
        plain = canonical(name, where)
        if plain in given:
            raise UsageError(f"{where}: {plain} is given twice")
        if value is not None and value != "":
            given[plain] = value
    target, output = (_text(given, name, where) for name in ("target", "output"))
    if target is None:
        raise UsageError(f"{where}: target is missing; every line needs one")
    return Entry(where, _sources(given.pop("source", None), where), target, output, given)


def _text(given: dict[str, Any], name: str, where: str) -> str | None:
    value = given.pop(name, None)
    if value is not None and not (isinstance(value, str) and "\0" not in value):
        raise UsageError(f"{where}: {name} must be a file name, not {value!r}")
    return value


def _sources(value: Any, where: str) -> tuple[str, ...]:
    """A name, several with ``|`` between them, or a list of names."""
    names = [part.strip() for part in value.split(SEVERAL)] if isinstance(value, str) else value or []
    good = isinstance(names, list) and all(isinstance(n, str) and n and "\0" not in n for n in names)
    if not good:
        raise UsageError(f"{where}: source must be a file name or a list of them, not {value!r}")
    return tuple(names)


def row_options(base: Settings, entry: Entry, folder: Path) -> SwapOptions:
    """The command's settings with those of one line over them; paths are relative to ``folder``."""
    keys, entries = known_keys(), dict(base.entries)
    for name, value in entry.options.items():
        try:
            for key, item in (set_by(name, value) if name in FLAGS else {name: value}).items():
                value = over(key, entries[key].value, convert(keys[key], item, entry.where, folder))
                entries[key] = Setting(value, entry.where)
        except UsageError as error:
            raise UsageError(f"{entry.where}: {error}") from None
    try:
        return Settings(entries).swap_options()
    except UsageError as error:
        text = str(error)
        raise UsageError(text if entry.where in text else f"{entry.where}: {text}") from None
