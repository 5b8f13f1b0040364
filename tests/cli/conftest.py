"""A machine of its own for every test: no terms accepted, no configuration, no variables of ours."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from faceswap_cli.cli import main
from tests.cli.fakes import FakePipeline, Ran, picture


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home and an empty working folder, returned."""
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    for name in list(os.environ):
        if name.startswith(("FACESWAP_", "XDG_")):
            monkeypatch.delenv(name)
    for name in ("HOME", "USERPROFILE", "LOCALAPPDATA", "APPDATA"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.chdir(here)
    return here


@pytest.fixture
def accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACESWAP_ACCEPT_TERMS", "1")


@pytest.fixture
def run(capsysbinary: pytest.CaptureFixture[bytes]) -> Callable[..., Ran]:
    """``run("video", "a.jpg", "b.mp4")`` -> what it left."""

    def start(*argv: str | Path) -> Ran:
        capsysbinary.readouterr()
        code = main([str(part) for part in argv])
        out, err = capsysbinary.readouterr()
        return Ran(code, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))

    return start


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> FakePipeline:
    """The library calls replaced; everything before and after it is real."""
    import faceswap_cli

    fake = FakePipeline()
    for home, name in (("pipeline", "swap_video"), ("pictures", "swap_image"), ("preview", "preview")):
        module = types.ModuleType(f"faceswap_cli.{home}")
        setattr(module, name, getattr(fake, name))
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(faceswap_cli, home, module, raising=False)
    return fake


@pytest.fixture
def photo(machine: Path) -> Path:
    return picture(machine / "me.jpg")


@pytest.fixture
def clip(machine: Path) -> Path:
    from tests.clips import make_clip

    path = machine / "clip.mp4"
    make_clip(path)
    return path
