"""Installing a classifier, which one is in force, and what happens to files that were changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from faceswap_cli.config import PolicyOptions
from faceswap_cli.errors import UsageError, WeightsError
from faceswap_cli.policy import store
from tests.policy.models import RULES, write_model

pytest.importorskip("onnxruntime", reason="the extra 'onnxruntime' is not installed")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACESWAP_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights" / "policy"


def test_import_verify_and_in_force(tmp_path: Path, folder: Path) -> None:
    assert store.in_force(PolicyOptions()) is None
    card = store.import_classifier(write_model(tmp_path / "mine.onnx"))
    assert (card.source_file, card.refuse) == ("mine.onnx", {"red": 0.75})
    assert store.verify() == card == store.read_card()
    found = store.in_force(PolicyOptions())
    assert found is not None
    assert found.sha256 == card.sha256
    assert sorted(p.name for p in folder.iterdir()) == ["card.json", "model.onnx", "rules.toml"]


def test_a_named_model_wins(tmp_path: Path) -> None:
    store.import_classifier(write_model(tmp_path / "mine.onnx"))
    other = write_model(tmp_path / "other.onnx", rules=RULES.replace("red = 0.75", "blue = 0.5"))
    found = store.in_force(PolicyOptions(model=other))
    assert found is not None
    assert found.rules.refuse == {"blue": 0.5}


def test_a_second_import_takes_the_place_of_the_first(tmp_path: Path) -> None:
    store.import_classifier(write_model(tmp_path / "a.onnx"))
    second = write_model(tmp_path / "b.onnx", (1, 3, 4, 4), rules=RULES.replace("0.75", "0.5"))
    store.import_classifier(second)
    found = store.in_force(PolicyOptions())
    assert found is not None
    assert (found.form.size, found.rules.refuse) == ((4, 4), {"red": 0.5})


def test_what_cannot_be_used_is_not_installed(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UsageError, match=r"write mine\.toml"):
        store.import_classifier(write_model(tmp_path / "mine.onnx", rules=None))
    with pytest.raises(WeightsError):
        store.import_classifier(write_model(tmp_path / "mine.onnx", (1, 10), axes=(1,)))
    with pytest.raises(UsageError, match="there is no file"):
        store.import_classifier(tmp_path / "none.onnx")
    assert not folder.exists()
    assert store.in_force(PolicyOptions()) is None


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def _loosen(path: Path) -> None:
    path.write_text(path.read_text().replace("0.75", "1.0"))


CHANGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "model changed": ("model.onnx", _flip),
    "model gone": ("model.onnx", Path.unlink),
    "rules changed": ("rules.toml", _loosen),
    "card gone": ("card.json", Path.unlink),
    "card damaged": ("card.json", lambda path: path.write_text("{")),
    "card of another form": ("card.json", lambda path: path.write_text(json.dumps({"labels": []}))),
}


@pytest.mark.parametrize("case", CHANGES)
def test_an_installed_classifier_that_was_changed_stops_the_work(
    tmp_path: Path, folder: Path, case: str
) -> None:
    store.import_classifier(write_model(tmp_path / "mine.onnx"))
    name, change = CHANGES[case]
    change(folder / name)
    with pytest.raises(WeightsError, match="import"):
        store.in_force(PolicyOptions())


def test_rules_gone(tmp_path: Path, folder: Path) -> None:
    store.import_classifier(write_model(tmp_path / "mine.onnx"))
    (folder / "rules.toml").unlink()
    with pytest.raises(WeightsError, match="import it again"):
        store.in_force(PolicyOptions())


def test_a_named_model_needs_rules_too(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"write mine\.toml"):
        store.in_force(PolicyOptions(model=write_model(tmp_path / "mine.onnx", rules=None)))
    with pytest.raises(WeightsError, match="does not exist"):
        store.in_force(PolicyOptions(model=tmp_path / "none.onnx"))


def test_a_changed_file_is_loaded_again(tmp_path: Path) -> None:
    path = write_model(tmp_path / "mine.onnx")
    first = store.in_force(PolicyOptions(model=path))
    assert store.in_force(PolicyOptions(model=path)) is first
    path.with_suffix(".toml").write_text(RULES.replace("0.75", "0.125"))
    second = store.in_force(PolicyOptions(model=path))
    assert second is not None
    assert second.rules.refuse == {"red": 0.125}
