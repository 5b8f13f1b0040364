"""Values to text: JSON for scripts, consoles for people."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
import time
from datetime import datetime, timezone
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faceswap_cli.events import SCHEMA

if TYPE_CHECKING:
    from rich.console import Console


def json_ready(value: Any) -> Any:
    """``value`` with only what JSON knows: no NaN, no paths, no records, no array scalars."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: json_ready(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [json_ready(item) for item in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # arrays and their scalars
        return json_ready(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)


def write_json(data: dict[str, Any]) -> None:
    """One object on one line of stdout."""
    sys.stdout.write(json.dumps(json_ready(data), allow_nan=False) + "\n")
    sys.stdout.flush()


def event_line(kind: str, data: dict[str, Any]) -> str:
    """One line of NDJSON."""
    head = {"schema": SCHEMA, "event": kind, "ts": timestamp(time.time())}
    return json.dumps(json_ready({**head, **data}), allow_nan=False) + "\n"


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC with milliseconds."""
    moment = datetime.fromtimestamp(seconds, tz=timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def console(*, stderr: bool = False) -> Console:
    """A rich console; it honors NO_COLOR, FORCE_COLOR and TERM=dumb."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    # Not a terminal: lines are for other programs, so they are not folded at 80 columns.
    width = None if stream.isatty() else 2000
    return Console(stderr=stderr, width=width, highlight=False, soft_wrap=False)


def plain_path(path: Path) -> None:
    """A path as one line of stdout, byte for byte even where its name is not valid text."""
    sys.stdout.flush()
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None:
        sys.stdout.write(f"{path}\n")
    else:
        buffer.write(os.fsencode(path) + os.linesep.encode())
    sys.stdout.flush()


def clock(seconds: float) -> str:
    """``75`` -> ``1:15``, ``3700`` -> ``1:01:40``."""
    whole = max(0, round(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
