"""Convert the face recognition network "faceres" (Apache-2.0) to ``recognition.safetensors``.

    npm pack @vladmandic/human@3.3.6 && tar -xzf vladmandic-human-3.3.6.tgz
    python weights/build/recognition.py package/models/faceres.json weights/recognition.safetensors

Reads the graph model of TensorFlow.js (``.json`` with the ``.bin`` beside it), folds each multiplication
and addition that follows a convolution into it and drops the heads for age and sex.  Numbers are stored
as 16-bit floats, as they were; only the depthwise kernels, which take in a multiplication, need 32 bits.
The script runs the graph operation by operation on random pictures and stops unless the module agrees.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from faceswap_cli.nets.faceres import SIDE, FaceRes

OUTPUT = "global_pooling/Mean"
AGREED = 1e-4
"""Largest difference of unit-length outputs between graph and module."""
Node = dict[str, Any]


def read_graph(path: Path) -> tuple[list[Node], dict[str, Tensor]]:
    """Nodes in the order of computation, and the constants by name."""
    model = json.loads(path.read_text(encoding="utf-8"))
    constants: dict[str, Tensor] = {}
    for group in model["weightsManifest"]:
        data, at = b"".join((path.parent / part).read_bytes() for part in group["paths"]), 0
        for entry in group["weights"]:
            stored = np.dtype(entry.get("quantization", entry)["dtype"]).newbyteorder("<")
            count = int(np.prod(entry["shape"], dtype=np.int64))
            values = np.frombuffer(data, stored, count, at).reshape(entry["shape"])
            constants[entry["name"]] = torch.from_numpy(values.astype(entry["dtype"]))
            at += count * stored.itemsize
        if at != len(data):
            raise SystemExit(f"{len(data) - at} bytes of the weights are named by no entry")
    return model["modelTopology"]["node"], constants


def pad_same(x: Tensor, kernel: int, stride: int) -> Tensor:
    """TensorFlow's SAME padding of (N, C, H, W)."""
    pads: list[int] = []
    for side in (x.shape[3], x.shape[2]):
        missing = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        pads += [missing // 2, missing - missing // 2]
    return F.pad(x, pads)


def convolve(node: Node, x: Tensor, kernel: Tensor, groups: int) -> Tensor:
    """``kernel`` is (out, in / groups, k, k)."""
    stride = int(node["attr"]["strides"]["list"]["i"][1])
    return F.conv2d(pad_same(x, kernel.shape[2], stride), kernel, stride=stride, groups=groups)


def depthwise(node: Node, x: Tensor, kernel: Tensor) -> Tensor:
    channels, each = kernel.shape[2:]
    if each != 1:
        raise SystemExit("a depthwise convolution with several outputs per channel is not handled")
    return convolve(node, x, kernel.permute(2, 3, 0, 1), channels)


def by_channel(values: Tensor) -> Tensor:
    """A constant of the channels, which come last in TensorFlow and second here."""
    return values.view(-1, 1, 1) if values.ndim == 1 else values


def fused_matmul(node: Node, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    y = x @ weight + bias
    return F.relu(y) if "UmVsdQ==" in node["attr"]["fused_ops"]["list"]["s"] else y  # base64 of "Relu"


OPERATIONS: dict[str, Callable[..., Tensor]] = {
    "Conv2D": lambda node, x, kernel: convolve(node, x, kernel.permute(3, 2, 0, 1), 1),
    "DepthwiseConv2dNative": depthwise,
    "Add": lambda node, x, y: x + by_channel(y),
    "Mul": lambda node, x, y: x * by_channel(y),
    "Relu": lambda node, x: F.relu(x),
    "Minimum": lambda node, x, y: torch.minimum(x, y),
    "Maximum": lambda node, x, y: torch.maximum(x, y),
    "Mean": lambda node, x, axes: x.mean(dim=(2, 3)),
    "_FusedMatMul": fused_matmul,
    "Sigmoid": lambda node, x: torch.sigmoid(x),
    "Softmax": lambda node, x: torch.softmax(x, dim=-1),
}
"""Besides Const and Placeholder, every kind of operation in the graph."""


def run_graph(nodes: list[Node], constants: dict[str, Tensor], x: Tensor) -> dict[str, Tensor]:
    """Every value by the name of its node; ``x`` is (N, 3, 224, 224) RGB in [0, 255]."""
    values = dict(constants)
    for node in nodes:
        if node["op"] == "Placeholder":
            values[node["name"]] = x
        elif node["op"] != "Const":
            inputs = [values[name.split(":")[0]] for name in node["input"]]
            values[node["name"]] = OPERATIONS[node["op"]](node, *inputs)
    return values


def fill(net: FaceRes, nodes: list[Node], constants: dict[str, Tensor]) -> None:
    """The convolutions of the graph, in order, with what follows each of them folded in."""
    following = {node["input"][0]: node for node in nodes if node.get("input")}
    convs = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
    convolutions = [node for node in nodes if node["op"] in ("Conv2D", "DepthwiseConv2dNative")]
    for conv, node in zip(convs, convolutions, strict=True):
        kernel = constants[node["input"][1]]
        weight = kernel.permute((3, 2, 0, 1) if node["op"] == "Conv2D" else (2, 3, 0, 1)).clone()
        after = following[node["name"]]
        if after["op"] == "Mul":
            weight *= constants[after["input"][1]].view(-1, 1, 1, 1)
            after = following[after["name"]]
        if after["op"] != "Add" or weight.shape != conv.weight.shape or conv.bias is None:
            raise SystemExit(f"{node['name']} is not the convolution that was expected there")
        conv.weight.data, conv.bias.data = weight.contiguous(), constants[after["input"][1]].clone()


def pictures(count: int) -> Tensor:
    """Smooth random pictures (N, 3, 224, 224) in [0, 255]."""
    torch.manual_seed(0)
    coarse = torch.rand(count, 3, 14, 14) * 255
    return F.interpolate(coarse, size=SIDE, mode="bicubic").clamp(0, 255)


def largest_difference(one: Tensor, other: Tensor) -> float:
    """Largest difference of unit-length rows."""
    return float((F.normalize(one) - F.normalize(other)).abs().max())


def narrow(name: str, value: Tensor) -> Tensor:
    """16 bits unless the value was computed here."""
    return value if name.endswith("depthwise.weight") else value.half()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("graph", type=Path, help="faceres.json, with faceres.bin beside it")
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    nodes, constants = read_graph(options.graph)
    net = FaceRes().eval().requires_grad_(False)
    fill(net, nodes, constants)
    stored = {name: narrow(name, value) for name, value in net.state_dict().items()}
    net.load_state_dict({name: value.float() for name, value in stored.items()})
    x = pictures(8)
    with torch.inference_mode():
        difference = largest_difference(net(x), run_graph(nodes, constants, x)[OUTPUT])
    if difference > AGREED:
        raise SystemExit(f"the module differs from the graph by {difference:.2g}")
    notes = {"origin": "HSE_FaceRec_tf, A. Savchenko; TensorFlow.js graph of @vladmandic/human 3.3.6"}
    save_file(stored, options.output, metadata=notes | {"license": "Apache-2.0"})
    print(f"stored weights and graph differ by at most {difference:.2g} in a unit-length output")


if __name__ == "__main__":
    main()
