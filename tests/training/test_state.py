"""States on disk: whole, checked, and with an older copy to fall back on."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from faceswap_cli.errors import InputError
from faceswap_cli.training.state import NEWEST, OLDER, load_state, read_state, save_state


def test_round_trip_and_older_copy(tmp_path: Path) -> None:
    assert load_state(tmp_path) is None
    save_state(tmp_path, {"step": 1, "w": torch.ones(3)})
    save_state(tmp_path, {"step": 2, "w": torch.zeros(3)})
    newest, older = load_state(tmp_path), read_state(tmp_path / OLDER)
    assert newest is not None
    assert newest["step"] == 2
    assert older["step"] == 1
    assert torch.equal(older["w"], torch.ones(3))
    assert {p.name for p in tmp_path.iterdir()} == {NEWEST, OLDER}


@pytest.mark.parametrize("harm", ["cut", "flip", "empty"])
def test_damaged_newest_gives_way_to_the_older(tmp_path: Path, harm: str) -> None:
    save_state(tmp_path, {"step": 1})
    save_state(tmp_path, {"step": 2})
    path = tmp_path / NEWEST
    data = bytearray(path.read_bytes())
    if harm == "cut":
        data = data[: len(data) // 2]
    elif harm == "flip":
        data[len(data) // 2] ^= 1
    else:
        data = bytearray()
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged"):
        read_state(path)
    state = load_state(tmp_path)
    assert state is not None
    assert state["step"] == 1


def test_nothing_readable_is_an_error_with_the_way_out(tmp_path: Path) -> None:
    save_state(tmp_path, {"step": 1})
    (tmp_path / NEWEST).write_bytes(b"x" * 100)
    with pytest.raises(InputError, match="delete"):
        load_state(tmp_path)


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("run",))


def test_code_in_a_state_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import hashlib
    import io

    buffer = io.BytesIO()
    torch.save({"evil": _Evil()}, buffer, pickle_module=pickle)
    data = buffer.getvalue()
    (tmp_path / NEWEST).write_bytes(data + hashlib.sha256(data).digest())
    with pytest.raises(InputError, match="not a training state"):
        read_state(tmp_path / NEWEST)
    assert capsys.readouterr().out == ""


def test_interrupted_write_leaves_the_states_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_state(tmp_path, {"step": 1})
    before = (tmp_path / NEWEST).read_bytes()

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(KeyboardInterrupt):
        save_state(tmp_path, {"step": 2})
    assert (tmp_path / NEWEST).read_bytes() == before
    monkeypatch.undo()
    state = load_state(tmp_path)
    assert state is not None
    assert state["step"] == 1
