"""Pages that are made from the program say what the program says."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).resolve().parent.parent / "docs"


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    if not (DOCS / "build.py").is_file():
        pytest.skip("the documentation is not in this installation")
    spec = importlib.util.spec_from_file_location("docs_build", DOCS / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path[:] = before
    return module


def test_pages_are_up_to_date(builder: ModuleType) -> None:
    assert builder.outdated() == [], "run: python docs/build.py"


def test_the_manual_names_every_command_and_flag(builder: ModuleType) -> None:
    text = builder.manual().replace(r"\-", "-")
    for words in ("faceswap video", "faceswap weights import", "--report", "--no-occlusion", "EXIT STATUS"):
        assert words in text
    codes = re.findall(r"^\.TP\n\\fB(\d+)\\fR$", text, re.M)
    assert codes == ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "130", "143"]


def test_the_manual_is_good_troff(builder: ModuleType, tmp_path: Path) -> None:
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    page = tmp_path / "faceswap.1"
    page.write_text(builder.manual(), encoding="utf-8")
    ran = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8", "-P-cbou", str(page)], capture_output=True, text=True, check=True
    )
    assert ran.stderr == ""
    assert "faceswap video [OPTION]... SRC... TARGET" in " ".join(ran.stdout.split())
