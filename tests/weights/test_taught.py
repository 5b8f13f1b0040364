"""Files of taught edits, and what ``faceswap weights`` says of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from faceswap_cli.cli import main
from faceswap_cli.errors import WeightsError
from faceswap_cli.user_files import taught_names
from faceswap_cli.weights.taught import KIND, read_taught
from tests.training.taught_edits import installed


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACESWAP_WEIGHTS", str(tmp_path))
    return tmp_path


def test_what_is_written_is_read() -> None:
    path = installed("beard")
    about, state = read_taught("beard")
    assert (about.path, about.label, about.size) == (path, "attributes/beard", path.stat().st_size)
    assert about.about["pictures"] == "30 with, 30 without, 60 people"
    assert state["editor.straight.weight"].shape == (112, 4)
    assert taught_names() == ["beard"]
    assert list(path.parent.iterdir()) == [path]


def test_damage_and_other_files_are_named() -> None:
    path = installed("beard")
    good = path.read_bytes()
    path.write_bytes(good[:-3] + bytes([good[-3] ^ 1]) + good[-2:])
    with pytest.raises(WeightsError, match=r"is damaged.*teach it again"):
        read_taught("beard")
    path.write_bytes(good[:100])
    with pytest.raises(WeightsError, match="cannot be read"):
        read_taught("beard")
    path.write_bytes(b"\0" * (5 << 20))
    with pytest.raises(WeightsError, match="too large"):
        read_taught("beard")
    path.write_bytes(good)
    other = path.with_name("hat.safetensors")
    path.rename(other)
    with pytest.raises(WeightsError, match="not an edit taught as hat"):
        read_taught("hat")
    save_file({}, other)
    with pytest.raises(WeightsError, match="not an edit taught as hat"):
        read_taught("hat")
    save_file(
        {"x": torch.zeros(2, dtype=torch.bfloat16)}, other, metadata={KIND: json.dumps({"name": "hat"})}
    )
    with pytest.raises(WeightsError, match="not an edit taught as hat"):
        read_taught("hat")
    for header in ("[1]", "{", "[" * 100_000):
        save_file({}, other, metadata={KIND: header})
        with pytest.raises(WeightsError, match="not an edit taught as hat"):
            read_taught("hat")
    with pytest.raises(WeightsError, match="no edit beard is taught here; known: hat"):
        read_taught("beard")


def test_commands_know_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = installed("beard")
    assert main(["weights", "list", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["attributes"]
    assert (row["name"], row["state"]) == ("attributes/beard", "taught")
    assert "right in 90%" in row["title"]
    assert main(["weights", "list"]) == 0
    assert "attributes/beard" in capsys.readouterr().out
    assert main(["weights", "path", "attributes/beard"]) == 0
    assert capsys.readouterr().out.strip() == str(path)
    assert main(["weights", "verify", "--json"]) == 0
    assert "attributes/beard" in [row["name"] for row in json.loads(capsys.readouterr().out)["weights"]]
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert main(["weights", "verify", "attributes/beard"]) == 6
    assert "is damaged" in capsys.readouterr().err
    assert main(["weights", "list", "--json"]) == 0
    assert "is damaged" in json.loads(capsys.readouterr().out)["attributes"][0]["title"]
    assert main(["weights", "path", "attributes/../beard"]) == 6
