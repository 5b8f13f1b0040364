"""A run of ``faceswap bench`` beside one that was stored with ``--json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from faceswap_cli.errors import InputError

FIGURES = {
    "fps": "frames per second",
    "ratio": "times a plain transcode",
    "swap_cpu_ms": "processor ms a frame",
    "transcode_cpu_ms": "processor ms a frame, transcode",
    "startup_s": "start-up s",
    "peak_memory_mb": "peak memory MB",
    "network_ms": "network ms a face",
}
"""What is compared, and what it is called."""
_CASE = ("clip", "size", "frames", "method")


def read_run(path: Path) -> dict[str, Any]:
    """The object that ``faceswap bench --json`` wrote."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read as a stored run; make one with bench --json > {path.name}"
        ) from error
    if not isinstance(found, dict) or found.get("command") != "bench":
        raise InputError(f"{path} is not a run of faceswap bench; make one with bench --json > {path.name}")
    return found


def compared(now: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """Figures of both with their ratio now / before, and what was not the same."""
    figures = {}
    for name in FIGURES:
        pair = now.get(name), before.get(name)
        if all(
            isinstance(value, int | float) and not isinstance(value, bool) and value > 0 for value in pair
        ):
            new, old = float(pair[0]), float(pair[1])  # type: ignore[arg-type]
            figures[name] = {"now": new, "before": old, "ratio": round(new / old, 3)}
    unlike = [name for name in _CASE if now.get(name) != before.get(name)]
    there, here = before.get("machine"), now["machine"]
    there = there if isinstance(there, dict) else {}
    unlike += [name for name, value in here.items() if there.get(name) != value]
    return {"figures": figures, "not_the_same": unlike}


def compared_lines(found: dict[str, Any]) -> list[tuple[str, str]]:
    """(what, value) per line, for the terminal."""
    lines = [
        (f"{FIGURES[name]} now / before", f"{pair['now']:g} / {pair['before']:g} = {pair['ratio']:.2f}")
        for name, pair in found["figures"].items()
    ]
    if found["not_the_same"]:
        lines.append(("not the same as before", ", ".join(found["not_the_same"])))
    return lines
