"""Tiny ONNX classifiers whose answer is known: the mean of each color."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

RULES = """
schema = 1
labels = ["red", "green", "blue"]
[refuse]
red = 0.75
"""
MORE_RULES = RULES + "[input]\n"


def write_model(
    path: Path,
    shape: Sequence[int | str] = (1, 3, 8, 8),
    *,
    kind: int = TensorProto.FLOAT,
    axes: Sequence[int] = (2, 3),
    scale: float = 1.0,
    inputs: int = 1,
    rules: str | None = RULES,
) -> Path:
    """``shape`` -> (1, 3): mean over ``axes`` times ``scale``; with ``rules`` beside it."""
    values = [helper.make_tensor_value_info(f"in{k}", kind, list(shape)) for k in range(inputs)]
    nodes = [
        helper.make_node("Cast", ["in0"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["real"], ["mean"], axes=list(axes), keepdims=0),
        helper.make_node("Mul", ["mean", "scale"], ["out"]),
    ]
    made = helper.make_graph(
        nodes,
        "colors",
        values,
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [helper.make_tensor("scale", TensorProto.FLOAT, [], [scale])],
    )
    save(made, path)
    if rules is not None:
        path.with_suffix(".toml").write_text(rules, encoding="utf-8")
    return path


def save(graph: Any, path: Path) -> None:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())


def external_model(path: Path, secret: Path) -> Path:
    """A model whose weights are said to lie in ``secret``."""
    write_model(path)
    model = onnx.load(str(path))
    tensor = model.graph.initializer[0]
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", str(secret)
    path.write_bytes(model.SerializeToString())
    return path


def flat(red: int, green: int, blue: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """A picture of one color."""
    return np.full((*size, 3), (red, green, blue), np.uint8)
