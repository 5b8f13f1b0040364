"""Imports point one way, heavy libraries stay in their packages, and the command line starts quickly."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import faceswap_cli

PACKAGE = Path(faceswap_cli.__file__).resolve().parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "_bundled" not in path.parts)

LAYERS = (
    {"errors", "records", "config", "stream", "events", "limits", "memory", "numerics", "plain"}
    | {"keyframes", "own_edits", "chosen", "option_fields"},
    {"color", "hdr", "tint", "devices", "config_files", "option_help", "output", "user_files"},
    {"weights", "nets"},
    {"geometry", "video", "faces", "tracking", "identity", "jobs", "cast"},
    {"swap", "provenance", "policy"},
    {"pipeline", "pictures", "preview", "forecast", "recipe", "training", "metrics", "report", "inspection"}
    | {"bench", "batch", "doctor", "enrollment", "outcome"},
    {"cli", "api"},
)
"""Lowest first; a module imports its own layer and those below."""

HOMES = {"av": "video", "mediapipe": "faces"}
HEAVY = ("torch", "cv2", "mediapipe", "av", "scipy", "numpy", "PIL", "onnx", "safetensors", "rich.progress")
MOST_OF_OURS = 70
"""Modules of the program that --help may load: 52 when this was written"""


def _part(path: Path) -> str:
    """``faceswap_cli/video/probe.py`` -> ``video``; ``faceswap_cli/records.py`` -> ``records``."""
    inside = path.relative_to(PACKAGE)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


def _imports(path: Path) -> Iterator[str]:
    """Full names of all imported modules, wherever in the file; not those for type checkers only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            module = node.module or ""
            # `from faceswap_cli import pipeline` names a module too.
            yield from (f"{module}.{a.name}" for a in node.names) if module == "faceswap_cli" else (module,)


def _height(part: str) -> int:
    (height,) = (height for height, layer in enumerate(LAYERS) if part in layer)
    return height


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    part = _part(path)
    if part in ("__init__", "__main__"):
        return
    for name in _imports(path):
        pieces = name.split(".")
        if pieces[0] != "faceswap_cli" or len(pieces) < 2 or pieces[1].startswith("__"):
            continue
        assert _height(pieces[1]) <= _height(part), f"{part} must not import {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_some_libraries_have_one_home(path: Path) -> None:
    for name in _imports(path):
        home = HOMES.get(name.split(".")[0])
        assert home is None or home == _part(path), f"only {home}/ imports {name}"


@pytest.mark.parametrize(
    "path", [p for p in MODULES if _part(p) == "nets"], ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_nets_import_nothing_of_ours_but_nets(path: Path) -> None:
    ours = [name for name in _imports(path) if name.startswith("faceswap_cli")]
    assert all(name.startswith("faceswap_cli.nets") for name in ours), ours


def _names(path: Path) -> Iterator[str]:
    """What ``_imports`` gives, and every name imported from a module as ``module.name``."""
    yield from _imports(path)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_only_metrics_looks_at_the_likeness_network() -> None:
    """What is trained, calibrated or chosen by a network is no longer measured by it."""
    network = ("faceswap_cli.nets.faceres", "faceswap_cli.metrics.likeness")
    users = {_part(path) for path in MODULES if any(name.startswith(network) for name in _names(path))}
    assert users == {"metrics"}
    mentions = {_part(path) for path in MODULES if "recognition.safetensors" in path.read_text("utf-8")}
    assert mentions <= {"metrics", "report"}, "the report prints its digest, nothing else knows its file"


def test_every_part_has_a_layer() -> None:
    parts = {_part(path) for path in MODULES} - {"__init__", "__main__"}
    assert parts <= set().union(*LAYERS)


def test_no_module_hides_a_public_function() -> None:
    """An imported module becomes an attribute of the package, in the place of a function of its name."""
    assert not {_part(path) for path in MODULES} & set(faceswap_cli.__all__)


def _python(code: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
        timeout=60,
    )
    return ran.stdout


def test_the_command_line_imports_nothing_heavy() -> None:
    loaded = json.loads(_python("import sys, json, faceswap_cli.cli; print(json.dumps(list(sys.modules)))"))
    assert [name for name in HEAVY if name in loaded] == []


@pytest.mark.parametrize("command", [["--help"], ["video", "--help"], ["--version"]])
def test_help_loads_little(command: list[str]) -> None:
    """Counted, not timed: what is loaded for help is the whole of its cost."""
    code = f"""
import json, sys
from faceswap_cli.cli import main
main({command!r})
print(json.dumps(list(sys.modules)), file=sys.stderr)
"""
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
        timeout=120,
    )
    loaded = json.loads(ran.stderr.splitlines()[-1])
    assert [name for name in (*HEAVY, "cryptography", "ray") if name in loaded] == []
    ours = [name for name in loaded if name.startswith("faceswap_cli.")]
    assert len(ours) < MOST_OF_OURS, ours
