"""A content classifier: an ONNX model of the user's own, run on the CPU by onnxruntime.

A model is data.  Before it is run it is checked to be one file (no weights elsewhere on the disk),
to take one picture and to give one number for each label.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from faceswap_cli.errors import UsageError, WeightsError
from faceswap_cli.policy.rules import LARGEST_SIDE, Rules, read_rules
from faceswap_cli.records import F64, U8

LARGEST_BYTES = 2 << 30
_TYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
}
_SLACK = 1e-3
"""Probabilities may miss [0, 1] by rounding."""


@dataclass(frozen=True, slots=True)
class Form:
    """How the model takes a picture."""

    name: str
    """Of its input"""
    size: tuple[int, int]
    """(height, width)"""
    channels_first: bool
    dtype: type[np.generic]


@dataclass(frozen=True, slots=True, eq=False)
class Classifier:
    """A model that was checked and run once."""

    path: Path
    sha256: str
    rules: Rules
    form: Form
    _session: Any = field(repr=False)

    def classify(self, rgb: U8) -> dict[str, float]:
        """(H, W, 3) upright -> label: probability."""
        fed = picture_for(rgb, self.form, self.rules)
        given = _run(self._session, self.form.name, fed, self.path)
        return _probabilities(given, self.rules, self.path)


def load_classifier(path: Path, rules_path: Path, expected_sha256: str | None = None) -> Classifier:
    """Read, check and try the model; :class:`WeightsError` for the model, ``UsageError`` for its rules."""
    data = _bytes(path)
    rules = read_rules(rules_path)
    digest = hashlib.sha256(data).hexdigest()
    if expected_sha256 is not None and digest != expected_sha256:
        raise WeightsError(
            f"{path} is damaged or another file: sha256 {digest[:16]}... found, "
            f"{expected_sha256[:16]}... expected; import it again"
        )
    _check_self_contained(data, path)
    session = _open(data, path)
    form = _form(session, rules, path)
    made = Classifier(path, digest, rules, form, session)
    made.classify(np.full((64, 64, 3), 128, np.uint8))
    return made


def _bytes(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise WeightsError(f"content classifier {path} does not exist; check policy.model, or import it")
        if path.stat().st_size > LARGEST_BYTES:
            raise WeightsError(f"content classifier {path} is larger than 2 GiB; take a smaller model")
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"content classifier {path} cannot be read ({error.strerror}); check its permissions"
        ) from error


def _check_self_contained(data: bytes, path: Path) -> None:
    """An ONNX file may name other files for its weights, anywhere on the disk: that is refused."""
    import onnx

    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # its parser has errors of its own
        raise WeightsError(f"{path} is not an ONNX model, or is damaged; fetch it again") from error
    if not model.graph.node:
        raise WeightsError(f"{path} is not an ONNX model, or is empty; fetch it again")
    graphs = [model.graph, *model.functions]
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in _tensors(graphs)):
        raise WeightsError(f"{path} keeps its weights in other files; save the model as one file")


def _tensors(graphs: list[Any]) -> Iterator[Any]:
    """Every tensor of ``graphs`` and the graphs inside them."""
    while graphs:
        graph = graphs.pop()
        yield from getattr(graph, "initializer", ())
        for sparse in getattr(graph, "sparse_initializer", ()):
            yield from (sparse.values, sparse.indices)
        for attribute in (attribute for node in graph.node for attribute in node.attribute):
            yield from (attribute.t, *attribute.tensors)
            graphs += [attribute.g, *attribute.graphs]


def _open(data: bytes, path: Path) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError(
            f"the content classifier {path} needs the extra 'onnxruntime' ({error}); install it with: "
            "pip install 'faceswap-cli[onnxruntime]'"
        ) from error
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = min(4, os.cpu_count() or 1)
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library has a dozen kinds, and no base for them
        raise WeightsError(f"{path} cannot be run ({_short(error)}); fetch or export it again") from error


def _form(session: Any, rules: Rules, path: Path) -> Form:
    """What the model's one input asks for."""
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise WeightsError(f"{path} takes {len(inputs)} inputs, expected one picture; take another model")
    asked = inputs[0]
    try:
        asked.name.encode()
        shape = tuple(side if isinstance(side, int) else None for side in asked.shape)
    except UnicodeError as error:
        raise WeightsError(f"{path} has an input without a readable name; export it again") from error
    told = f"input {asked.name} of shape {tuple(asked.shape)}"
    if asked.type not in _TYPES or len(shape) != 4 or shape[0] not in (None, 1):
        raise WeightsError(
            f"{path}: {told}, {asked.type}, is not a picture; expected (1, 3, height, width) or "
            "(1, height, width, 3) of float, float16 or uint8"
        )
    channels_first = shape[1] == 3
    if not channels_first and shape[3] != 3:
        raise WeightsError(f"{path}: {told} has no three channels; expected (1, 3, H, W) or (1, H, W, 3)")
    size = shape[2:] if channels_first else shape[1:3]
    return Form(asked.name, _settled(size, rules, told, path), channels_first, _TYPES[asked.type])


def _settled(size: tuple[int | None, ...], rules: Rules, told: str, path: Path) -> tuple[int, int]:
    """The size in which pictures are fed: the model's where it names one, else that of the rules."""
    wanted = rules.size or (None, None)
    sides = [own if own is not None else other for own, other in zip(size, wanted, strict=True)]
    height, width = sides
    if height is None or width is None:
        raise UsageError(f"{path}: {told} leaves the size open; add size = [height, width] to [input]")
    if rules.size is not None and rules.size != (height, width):
        raise UsageError(f"{path}: {told} does not take the size {list(rules.size)} of its rules; correct it")
    if not (1 <= height <= LARGEST_SIDE and 1 <= width <= LARGEST_SIDE):
        raise WeightsError(f"{path}: {told} is too large; sides up to {LARGEST_SIDE} are supported")
    return height, width


def _run(session: Any, name: str, fed: NDArray[Any], path: Path) -> NDArray[Any]:
    try:
        return np.asarray(session.run(None, {name: fed})[0])
    except Exception as error:  # see _open
        raise WeightsError(f"{path} failed on a picture ({_short(error)}); export it again") from error


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:160]


def picture_for(rgb: U8, form: Form, rules: Rules) -> NDArray[Any]:
    """(H, W, 3) uint8 -> (1, 3, h, w) or (1, h, w, 3), as the rules say."""
    picture = _resized(_fitted(rgb, form.size, rules.fit), form.size)
    if rules.color == "bgr":
        picture = picture[..., ::-1]
    if form.dtype is np.uint8:
        ready: NDArray[Any] = picture
    else:
        values = rules.low + picture.astype(np.float32) * ((rules.high - rules.low) / 255.0)
        ready = (values - np.array(rules.mean, np.float32)) / np.array(rules.std, np.float32)
    if form.channels_first:
        ready = ready.transpose(2, 0, 1)
    return np.ascontiguousarray(ready[None].astype(form.dtype))


def _fitted(rgb: U8, size: tuple[int, int], fit: str) -> U8:
    """``rgb`` cut or widened to the proportions of ``size``; stretched ones stay as they are."""
    if fit == "stretch":
        return rgb
    height, width = rgb.shape[:2]
    ratio = size[1] / size[0]
    if fit == "crop":
        rows, columns = min(height, round(width / ratio)), min(width, round(height * ratio))
        top, left = (height - rows) // 2, (width - columns) // 2
        return rgb[top : top + max(rows, 1), left : left + max(columns, 1)]
    rows, columns = max(height, round(width / ratio)), max(width, round(height * ratio))
    canvas = np.zeros((rows, columns, 3), np.uint8)
    top, left = (rows - height) // 2, (columns - width) // 2
    canvas[top : top + height, left : left + width] = rgb
    return canvas


def _resized(rgb: U8, size: tuple[int, int]) -> U8:
    smaller = rgb.shape[0] * rgb.shape[1] > size[0] * size[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(rgb, (size[1], size[0]), interpolation=how), np.uint8)


def _probabilities(given: NDArray[Any], rules: Rules, path: Path) -> dict[str, float]:
    if given.dtype.kind not in "fiu" or given.size != len(rules.labels):
        raise WeightsError(
            f"{path} gives {given.size} numbers of shape {given.shape} for {len(rules.labels)} labels; "
            "correct labels in its rules"
        )
    values: F64 = given.reshape(-1).astype(np.float64)
    if not np.isfinite(values).all():
        raise WeightsError(f"{path} gives numbers that are not finite; check [input] in its rules")
    values = _activated(values, rules.activation)
    if values.min() < -_SLACK or values.max() > 1 + _SLACK:
        raise WeightsError(
            f"{path} gives {values.min():.3g} to {values.max():.3g}, which are not probabilities; "
            "set activation to softmax or sigmoid in its rules"
        )
    return {name: float(value) for name, value in zip(rules.labels, values.clip(0, 1), strict=True)}


def _activated(values: F64, kind: str) -> F64:
    if kind == "softmax":
        raised = np.exp(values - values.max())
        return np.asarray(raised / raised.sum(), np.float64)
    if kind == "sigmoid":
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)), np.float64)
    return values
