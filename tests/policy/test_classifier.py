"""The classifier: how pictures are fed, what is read out, and every way in which a model can be wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from faceswap_cli.errors import UsageError, WeightsError
from faceswap_cli.policy.classifier import Form, load_classifier, picture_for
from faceswap_cli.policy.rules import Rules, read_rules
from tests.policy.models import MORE_RULES, RULES, external_model, flat, write_model

pytest.importorskip("onnxruntime", reason="the extra 'onnxruntime' is not installed")


def load(path: Path) -> object:
    return load_classifier(path, path.with_suffix(".toml"))


@pytest.mark.parametrize(
    ("shape", "axes", "kind", "rules"),
    [
        ((1, 3, 8, 8), (2, 3), TensorProto.FLOAT, RULES),
        ((1, 8, 12, 3), (1, 2), TensorProto.FLOAT, RULES),
        (("n", 3, "h", "w"), (2, 3), TensorProto.FLOAT, MORE_RULES + "size = [8, 12]"),
        ((1, 3, 8, 8), (2, 3), TensorProto.FLOAT16, RULES),
    ],
)
def test_scores_are_those_of_the_picture(
    tmp_path: Path, shape: tuple[int | str, ...], axes: tuple[int, int], kind: int, rules: str
) -> None:
    path = write_model(tmp_path / "m.onnx", shape, axes=axes, kind=kind, rules=rules)
    found = load_classifier(path, path.with_suffix(".toml")).classify(flat(255, 51, 0))
    assert found == pytest.approx({"red": 1.0, "green": 0.2, "blue": 0.0}, abs=2e-3)


def test_bytes_are_fed_as_they_are(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx", kind=TensorProto.UINT8, scale=1 / 255)
    assert load_classifier(path, path.with_suffix(".toml")).classify(flat(255, 51, 0))[
        "green"
    ] == pytest.approx(0.2)


def test_activations(tmp_path: Path) -> None:
    path = write_model(
        tmp_path / "m.onnx", scale=4.0, rules=RULES.replace("schema", 'activation = "softmax"\nschema')
    )
    found = load_classifier(path, path.with_suffix(".toml")).classify(flat(255, 0, 0))
    assert found["red"] == pytest.approx(np.exp(4) / (np.exp(4) + 2), rel=1e-4)
    assert sum(found.values()) == pytest.approx(1.0)
    path.with_suffix(".toml").write_text(RULES.replace("schema", 'activation = "sigmoid"\nschema'))
    found = load_classifier(path, path.with_suffix(".toml")).classify(flat(255, 0, 0))
    assert found == pytest.approx({"red": 1 / (1 + np.exp(-4)), "green": 0.5, "blue": 0.5}, rel=1e-4)


def test_color_range_mean_and_deviation() -> None:
    rules = Rules(
        labels=("a",),
        refuse={"a": 0.5},
        color="bgr",
        low=-1.0,
        high=1.0,
        mean=(0.0, 0.5, 0.0),
        std=(1.0, 1.0, 2.0),
    )
    fed = picture_for(flat(255, 255, 0), Form("x", (2, 4), True, np.float32), rules)
    assert fed.shape == (1, 3, 2, 4)
    assert fed[0, :, 0, 0].tolist() == pytest.approx([-1.0, 0.5, 0.5])


@pytest.mark.parametrize(("fit", "expected"), [("stretch", 0.25), ("crop", 0.0), ("pad", 0.0625)])
def test_fit(fit: str, expected: float) -> None:
    """A bright quarter at the left edge of a picture four times as wide as high."""
    picture = flat(0, 0, 0, (16, 64))
    picture[:, :16] = 255
    rules = Rules(labels=("a",), refuse={"a": 0.5}, fit=fit)
    fed = picture_for(picture, Form("x", (16, 16), True, np.float32), rules)
    assert float(fed.mean()) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("shape", [(1, 10), (1, 4, 8, 8), (2, 3, 8, 8), (1, 3, 8), (1, 3, 4096, 8)])
def test_a_wrong_input_is_named(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = write_model(tmp_path / "m.onnx", shape, axes=(1,))
    with pytest.raises(WeightsError, match=r"m\.onnx: input in0 of shape"):
        load(path)


def test_wrong_type_and_number_of_inputs(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"tensor\(int64\), is not a picture"):
        load(write_model(tmp_path / "m.onnx", kind=TensorProto.INT64))
    with pytest.raises(WeightsError, match="takes 2 inputs"):
        load(write_model(tmp_path / "m.onnx", inputs=2))


def test_number_of_labels(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx", rules=RULES.replace(', "blue"', ""))
    with pytest.raises(WeightsError, match=r"gives 3 numbers of shape \(1, 3\) for 2 labels"):
        load(path)


def test_numbers_that_are_no_probabilities(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="not probabilities; set activation"):
        load(write_model(tmp_path / "m.onnx", scale=5.0))
    with pytest.raises(WeightsError, match="not finite"):
        load(write_model(tmp_path / "m.onnx", scale=float("nan")))


def test_sizes_must_agree(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="leaves the size open; add size"):
        load(write_model(tmp_path / "m.onnx", (1, 3, "h", "w")))
    with pytest.raises(UsageError, match=r"does not take the size \[9, 9\]"):
        load(write_model(tmp_path / "m.onnx", rules=MORE_RULES + "size = 9"))


@pytest.mark.parametrize("damage", ["cut", "noise", "empty", "text", "flipped"])
def test_a_damaged_file(tmp_path: Path, damage: str) -> None:
    path = write_model(tmp_path / "m.onnx")
    data = path.read_bytes()
    broken = {
        "cut": data[: len(data) // 2],
        "noise": np.random.default_rng(1).bytes(500),
        "empty": b"",
        "text": b"<html>not found</html>",
        "flipped": data.replace(b"ReduceMean", b"ReduceMoan"),
    }[damage]
    path.write_bytes(broken)
    with pytest.raises(WeightsError, match=r"m\.onnx"):
        load(path)


def test_names_of_sides_that_are_no_texts(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx", (1, 3, "high", "wide"), rules=MORE_RULES + "size = 8")
    load(path)
    path.write_bytes(path.read_bytes().replace(b"high", b"hig\xc7"))
    with pytest.raises(WeightsError, match=r"m\.onnx"):
        load(path)


def test_weights_in_other_files_are_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"\0\0\x80\x3f")
    for name in (str(secret), "../../etc/passwd", "secret"):
        with pytest.raises(WeightsError, match="keeps its weights in other files"):
            load(external_model(tmp_path / "m.onnx", Path(name)))


def test_missing_model_and_missing_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_model(tmp_path / "m.onnx")
    with pytest.raises(WeightsError, match="does not exist"):
        load_classifier(tmp_path / "none.onnx", path.with_suffix(".toml"))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UsageError, match=r"pip install 'faceswap-cli\[onnxruntime\]'"):
        load(path)


WRONG_RULES = {
    "not valid TOML": "labels = [",
    "unknown key lables": "lables = []\n" + RULES,
    "labels must be": RULES.replace('"green"', '"red"'),
    "[refuse] is missing": RULES.partition("[refuse]")[0],
    "[refuse] names 'purple'": RULES.replace("red = ", "purple = "),
    "the limit of 'red'": RULES.replace("0.75", "0"),
    "must be above 0 and at most 1, not true": RULES.replace("0.75", "true"),
    "schema 2 is not known": RULES.replace("schema = 1", "schema = 2"),
    "input: unknown key scale": MORE_RULES + "scale = 2",
    "input must be a table": "input = 3\n" + RULES,
    "fit must be stretch, crop or pad": MORE_RULES + 'fit = "squeeze"',
    "range must be a list of 2 numbers": MORE_RULES + "range = [0]",
    "std must not be 0": MORE_RULES + "std = [1, 0, 1]",
    "mean must be finite": MORE_RULES + "mean = [0, nan, 0]",
    "size must be [height, width]": MORE_RULES + "size = [0, 8]",
}


@pytest.mark.parametrize("words", WRONG_RULES)
def test_wrong_rules_are_named(tmp_path: Path, words: str) -> None:
    path = tmp_path / "m.toml"
    path.write_text(WRONG_RULES[words], encoding="utf-8")
    with pytest.raises(UsageError, match=r"m\.toml") as caught:
        read_rules(path)
    assert words.replace("not true", "not True") in str(caught.value)


@pytest.mark.parametrize("key", ["color", "colour"])
def test_the_order_of_channels_has_two_spellings(tmp_path: Path, key: str) -> None:
    path = tmp_path / "m.toml"
    path.write_text(MORE_RULES + f'{key} = "bgr"', encoding="utf-8")
    assert read_rules(path).color == "bgr"
