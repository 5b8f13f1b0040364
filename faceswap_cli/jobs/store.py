"""The analysis of a clip as a file: plain arrays (NPZ) and a JSON header, nothing that runs code."""

from __future__ import annotations

import json
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from faceswap_cli.errors import InputError
from faceswap_cli.jobs.files import whole_file
from faceswap_cli.records import Analysis, FaceTrack, Person, Shot, SizeChange, Tint

SCHEMA = 3
UNREADABLE = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, ArithmeticError, RuntimeError),
    *(SyntaxError, tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)
"""All that damage to an archive, to the heads of its arrays or to its JSON has been seen to raise."""
R = TypeVar("R")


def save_analysis(path: Path, analysis: Analysis) -> None:
    """Write ``analysis`` to ``path``, whole or not at all.  :class:`OutputError` when that fails."""
    arrays: dict[str, Any] = {}
    header = {
        "schema": SCHEMA,
        "damaged_packets": analysis.damaged_packets,
        "tint": analysis.tint,
        "size_changes": [[one.pts, one.width, one.height] for one in analysis.size_changes],
        "shots": [[shot.first_pts, shot.end_pts] for shot in analysis.shots],
        "tracks": [_taken_apart(one, f"track{k}", arrays) for k, one in enumerate(analysis.tracks)],
        "people": [_taken_apart(one, f"person{k}", arrays) for k, one in enumerate(analysis.people)],
    }
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    with whole_file(path) as handle:
        np.savez(handle, header=text, pts=analysis.pts, **arrays)


def load_analysis(path: Path) -> Analysis:
    """Inverse of :func:`save_analysis`; :class:`InputError` when the file is missing or damaged."""
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as stored:
            header = json.loads(stored["header"].tobytes())
            if header["schema"] != SCHEMA:
                raise ValueError(f"format {header['schema']}")
            return Analysis(
                pts=stored["pts"],
                shots=tuple(Shot(int(first), int(end)) for first, end in header["shots"]),
                tracks=_put_together(FaceTrack, header["tracks"], "track", stored),
                people=_put_together(Person, header["people"], "person", stored),
                damaged_packets=int(header["damaged_packets"]),
                tint=_tint(header["tint"]),
                size_changes=tuple(SizeChange(*map(int, one)) for one in header["size_changes"]),
            )
    except UNREADABLE as error:
        reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        raise InputError(
            f"{path} is not a readable analysis ({reason}); remove it to analyze the clip again"
        ) from error


def _tint(stored: list[list[float]] | None) -> Tint | None:
    return None if stored is None else tuple((float(cb), float(cr)) for cb, cr in stored)


def _taken_apart(record: FaceTrack | Person, prefix: str, arrays: dict[str, Any]) -> dict[str, Any]:
    """The plain fields of ``record``; its arrays go to ``arrays`` as ``prefix.field``."""
    plain = {}
    for item in fields(record):
        value = getattr(record, item.name)
        if isinstance(value, np.ndarray):
            arrays[f"{prefix}.{item.name}"] = value
        else:
            plain[item.name] = value
    return plain


def _put_together(
    kind: type[R], entries: list[dict[str, Any]], prefix: str, stored: Mapping[str, Any]
) -> tuple[R, ...]:
    names = [item.name for item in fields(kind)]  # type: ignore[arg-type]
    made = []
    for k, plain in enumerate(entries):
        values = {name: tuple(v) if isinstance(v, list) else v for name, v in plain.items()}
        arrays = {name: stored[f"{prefix}{k}.{name}"] for name in names if name not in values}
        made.append(kind(**values, **arrays))
    return tuple(made)
