"""``faceswap weights`` as a user types it, on small tables."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from faceswap_cli.cli import main
from faceswap_cli.weights import formats
from tests.weights.test_fetch import Server, server
from tests.weights.tiny import small, write

__all__ = ["server", "small"]
GOLDEN = Path(__file__).parent.parent / "golden" / "A"


def told(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, object], str]:
    out, err = capsys.readouterr()
    return json.loads(out), err


def test_import_list_verify_path_export(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write("fslsd_celebahq_1024", tmp_path / "CELEBA-HQ-1024.pt")
    assert main(["weights", "import", str(source), "--json"]) == 0
    imported, _ = told(capsys)
    assert imported["card"]["name"] == "fslsd-1024"  # type: ignore[index]
    assert main(["weights", "list", "--json"]) == 0
    listed, _ = told(capsys)
    assert [row["installed"] for row in listed["weights"]] == [False, False, True]  # type: ignore[attr-defined]
    assert main(["weights", "verify", "--json"]) == 0
    assert told(capsys)[0]["weights"][0]["ok"] is True  # type: ignore[index]
    assert main(["weights", "path", "fslsd-1024"]) == 0
    assert capsys.readouterr().out.strip() == str(small / "fslsd-1024.safetensors")
    out = tmp_path / "again.pt"
    assert main(["weights", "export", "fslsd-1024", "-o", str(out)]) == 0
    capsys.readouterr()
    assert main(["weights", "export", "fslsd-1024", "-o", str(out)]) == 5
    assert "--force" in capsys.readouterr().err
    assert torch.load(out, weights_only=True).keys() == formats.read_container(source).keys()


def test_text_for_people(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write("fslsd_celebahq_1024", tmp_path / "x.pt")
    assert main(["weights", "import", str(source)]) == 0
    shown = capsys.readouterr().out
    assert "license" in shown
    assert "noncommercial" in shown
    assert main(["weights", "list"]) == 0
    assert "installed" in capsys.readouterr().out
    assert main(["weights", "verify", "fslsd-1024"]) == 0
    assert capsys.readouterr().out.startswith("ok    fslsd-1024")


def test_a_damaged_file_ends_with_six(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", "import", str(write("fslsd_celebahq_1024", tmp_path / "x.pt"))]) == 0
    with (small / "fslsd-1024.safetensors").open("ab") as out:
        out.write(b"!")
    capsys.readouterr()
    assert main(["weights", "verify", "--json"]) == 6
    found, err = told(capsys)
    assert found["error"]["code"] == "weights"  # type: ignore[index]
    assert err.count("\n") == 1


def test_nothing_installed(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "verify"]) == 0  # the bundled ones
    assert "ok    identity.safetensors" in capsys.readouterr().out
    assert main(["weights", "verify", "fslsd-1024"]) == 6
    assert main(["weights", "path", "fslsd-1024"]) == 6
    assert main(["weights", "path", "identity.safetensors"]) == 0
    assert main(["weights", "path", "pixie"]) == 6


def test_pull_installs_a_verified_file(
    small: Path,
    tmp_path: Path,
    server: Server,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import hashlib

    from tests.weights import test_fetch

    data = write("stylegan2_ffhq_1024", tmp_path / "s.pt").read_bytes()
    monkeypatch.setattr(test_fetch, "CONTENT", data)
    entry = {
        "name": "mirror",
        "checkpoint": "stylegan2_ffhq_1024",
        "file": "s.pt",
        "title": "A mirror",
        "origin": "https://example.org",
        "addresses": [server.url("lying"), server.url("good")],
        "sha256": hashlib.sha256(data).hexdigest(),
        "size": len(data),
        "licence": {"name": "NC", "class": "noncommercial", "url": "https://example.org/nc"},
    }
    registry = tmp_path / "r.json"
    registry.write_text(json.dumps({"weights": [entry]}))
    command = ["weights", "pull", "mirror", "--registry", str(registry)]
    assert main(command) == 9
    assert server.asked == []
    capsys.readouterr()
    assert main([*command, "--allow-license", "noncommercial"]) == 0
    out, err = capsys.readouterr()
    assert "https://example.org/nc" in err
    assert "mirror" in out
    assert main(["weights", "verify", "mirror"]) == 0
    assert sorted(p.name for p in small.rglob("*") if p.is_file()) == ["mirror.json", "mirror.safetensors"]
    assert main([*command, "--allow-licence", "whatever"]) == 2


def test_conform(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("ops", "streams"):
        shutil.copyfile(GOLDEN / f"{name}.npz", tmp_path / f"{name}.npz")
    assert main(["weights", "conform", str(tmp_path), "--json"]) == 0
    found, _ = told(capsys)
    assert found["passed"] is True
    assert {"file", "family", "error", "bound"} <= found["families"][0].keys()  # type: ignore[index]
    assert main(["weights", "conform", str(tmp_path), "--set", "B"]) == 6
    out = capsys.readouterr().out
    assert "FAIL streams" in out
    assert "ok   ops" in out
    assert main(["weights", "conform", str(tmp_path / "nothing")]) == 6
    np.savez(tmp_path / "ops.npz", **{"modconv/out": np.ones(3)})
    assert main(["weights", "conform", str(tmp_path), "--json"]) == 6
