"""The occluder head as an ONNX model, written node by node: what OpenCV reads, batch norms folded in."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from faceswap_cli.records import F64

_OPSET, _IR = 13, 8
_EPSILON = 1e-5


class _Graph:
    """Nodes and 16-bit constants in the making; each method returns the name of its output."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        self.state = {name: value.detach().cpu().double().numpy() for name, value in state.items()}
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def node(self, kind: str, *inputs: str, **attributes: object) -> str:
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name, **attributes))
        return name

    def constant(self, name: str, value: F64, *, half: bool = True) -> str:
        stored = value.astype(np.float16 if half else np.float32)
        self.constants.append(numpy_helper.from_array(stored, name))
        # Readers compute in 32 bits; the cast is folded when the model is loaded.
        return self.node("Cast", name, to=TensorProto.FLOAT) if half else name

    def convolution(self, x: str, name: str, weight: F64, bias: F64, stride: int = 1) -> str:
        pad = weight.shape[-1] // 2
        w, b = self.constant(f"{name}.w", weight), self.constant(f"{name}.b", bias)
        return self.node("Conv", x, w, b, strides=[stride] * 2, pads=[pad] * 4, kernel_shape=weight.shape[2:])

    def layer(self, x: str, name: str, stride: int = 1) -> str:
        """Convolution, batch norm, ReLU: ``nets.occluder._layer`` under the prefix ``name``."""
        s = self.state
        scale = s[f"{name}.1.weight"] / np.sqrt(s[f"{name}.1.running_var"] + _EPSILON)
        weight = s[f"{name}.0.weight"] * scale[:, None, None, None]
        bias = s[f"{name}.1.bias"] - s[f"{name}.1.running_mean"] * scale
        return self.node("Relu", self.convolution(x, name, weight, bias, stride))

    def plain(self, x: str, name: str) -> str:
        return self.convolution(x, name, self.state[f"{name}.weight"], self.state[f"{name}.bias"])


def model_bytes(state: Mapping[str, Tensor], side: int) -> bytes:
    """Serialised model of ``OccluderHead`` weights: (1, 5, side, side) -> (1, 1, side / 2, side / 2)."""
    g = _Graph(state)
    levels = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("down."))
    double = g.constant("double", np.array([1, 1, 2, 2], np.float64), half=False)
    x, kept = "crop", []
    for k in range(levels):
        x = g.layer(g.layer(x, f"down.{k}.0", 2), f"down.{k}.1")
        kept.append(x)
    x = g.node("Add", x, g.layer(g.layer(x, "middle.0"), "middle.1"))
    for k, before in enumerate(kept[-2::-1]):
        how = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
        larger = g.node("Resize", g.plain(x, f"narrow.{k}"), "", double, **how)
        x = g.layer(g.node("Add", larger, before), f"up.{k}")
    answer = g.plain(x, "answer")
    crop = helper.make_tensor_value_info(
        "crop", TensorProto.FLOAT, [1, state["down.0.0.0.weight"].shape[1], side, side]
    )
    out = helper.make_tensor_value_info(answer, TensorProto.FLOAT, [1, 1, side // 2, side // 2])
    graph = helper.make_graph(g.nodes, "occluder", [crop], [out], g.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
