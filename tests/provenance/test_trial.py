"""Manifests that would take too much memory are met in a process of their own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image

from faceswap_cli.provenance import signing, verify
from faceswap_cli.provenance.formats import sidecar_path
from faceswap_cli.provenance.signing import sealer
from faceswap_cli.provenance.trial import bearable
from faceswap_cli.provenance.verify import read_statement
from tests.clips import make_clip

TOO_LITTLE = 16 << 20
"""Not even the program itself fits in."""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs limits on a process")


def picture(path: Path) -> Path:
    Image.new("RGB", (96, 128), (90, 60, 50)).save(path)
    return path


def video(path: Path) -> Path:
    make_clip(path, codec="libx264", frames=3)
    return path


def signed(path: Path) -> Path:
    sealer(path, path)(path)
    return path


def test_an_honest_manifest_fits(tmp_path: Path) -> None:
    out = signed(picture(tmp_path / "a.jpg"))
    assert bearable(out)
    assert not bearable(out, most=TOO_LITTLE)


def test_a_sidecar_is_tried_with_its_file(tmp_path: Path) -> None:
    clip = signed(video(tmp_path / "a.mkv"))
    assert bearable(clip, sidecar_path(clip))
    assert not bearable(clip, sidecar_path(clip), most=TOO_LITTLE)


def test_files_without_a_manifest_start_no_process(tmp_path: Path) -> None:
    assert bearable(picture(tmp_path / "a.png"), most=TOO_LITTLE)
    (tmp_path / "empty.jpg").touch()
    assert bearable(tmp_path / "empty.jpg", most=TOO_LITTLE)
    assert bearable(tmp_path / "missing.jpg", most=TOO_LITTLE)


@pytest.mark.parametrize("suffix", [".jpg", ".mkv"])
def test_what_takes_too_much_is_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    out = signed(picture(path) if suffix == ".jpg" else video(path))
    monkeypatch.setattr(verify, "bearable", lambda *files: bearable(*files, most=TOO_LITTLE))
    found = read_statement(out)
    assert found is not None
    assert (found.state, found.problems) == ("unreadable", (verify.TOO_MUCH,))


def test_such_a_target_is_still_the_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, out = signed(picture(tmp_path / "target.jpg")), picture(tmp_path / "out.jpg")
    seal = sealer(out, target)
    monkeypatch.setattr(signing, "bearable", lambda path: False)
    seal(out)
    found = read_statement(out)
    assert found is not None
    assert (found.state, found.earlier) == ("valid", 0)
    assert "c2pa.opened" in found.actions
