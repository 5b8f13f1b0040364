"""Convert MediaPipe's face landmark network with attention to ``mesh.safetensors`` (fp16 storage).

    pip download mediapipe==0.10.21 --no-deps
    python weights/build/mesh.py mediapipe-0.10.21-*.whl weights/mesh.safetensors

The .tflite file inside the wheel is Apache-2.0.  Only the storage changes: weights are read from
the flatbuffer, laid out as torch wants them, named after ``faceswap_cli.nets.mesh.FaceMesh`` and
written in half precision (they are half precision in the original file).

Needs mediapipe >= 0.10.30 (for the schema).  The result is the same on every run.
"""

from __future__ import annotations

import argparse
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mediapipe.tasks.metadata import schema_py_generated as schema
from safetensors.torch import save_file

from faceswap_cli.nets.mesh import FaceMesh

MODEL = "mediapipe/modules/face_landmark/face_landmark_with_attention.tflite"
_TYPES = {0: np.float32, 1: np.float16, 2: np.int32}
_OPS = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}


class Graph:
    """The operations of the file with constants resolved, and who produces which tensor."""

    def __init__(self, data: bytes) -> None:
        model: Any = schema.ModelT.InitFromPackedBuf(data, 0)
        graph = model.subgraphs[0]
        self.constants: dict[int, np.ndarray] = {}
        for index, tensor in enumerate(graph.tensors):
            raw = model.buffers[tensor.buffer].data
            if raw is not None and len(raw):
                value = np.frombuffer(bytes(raw), _TYPES[tensor.type])
                self.constants[index] = value.reshape(tuple(tensor.shape)).astype(np.float32)
        self.ops: list[tuple[str, list[int]]] = []
        self.maker: dict[int, int] = {}
        self.names = {tensor.name.decode(): index for index, tensor in enumerate(graph.tensors)}
        for op in graph.operators:
            code = model.operatorCodes[op.opcodeIndex]
            kind = (code.customCode or b"").decode() or _OPS[
                max(code.builtinCode, code.deprecatedBuiltinCode)
            ]
            inputs = [int(i) for i in op.inputs]
            if kind == "DEQUANTIZE" and inputs[0] in self.constants:
                self.constants[int(op.outputs[0])] = self.constants[inputs[0]]
                continue
            self.maker[int(op.outputs[0])] = len(self.ops)
            self.ops.append((kind, inputs))

    def layers_before(self, tensor: int) -> list[int]:
        """Convolutions and PReLUs that ``tensor`` depends on along its data path, first to last.

        A region's window (the matrix inputs of the two ``Transform`` operations) is not followed.
        """
        found: set[int] = set()
        queue = [tensor]
        while queue:
            index = self.maker.get(queue.pop())
            if index is None or index in found:
                continue
            found.add(index)
            kind, inputs = self.ops[index]
            queue += inputs[:1] if kind.startswith("Transform") else inputs
        weighted = ("CONV_2D", "DEPTHWISE_CONV_2D", "PRELU")
        return sorted(i for i in found if self.ops[i][0] in weighted)


def fill(module: torch.nn.Module, graph: Graph, layers: list[int]) -> None:
    """Copy the weights of ``layers``, in order, into the convolutions and PReLUs of ``module``."""
    slots = [m for m in module.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.PReLU)]
    if len(slots) != len(layers):
        raise ValueError(f"{len(layers)} layers in the file, {len(slots)} in the module")
    for slot, layer in zip(slots, layers, strict=True):
        kind, inputs = graph.ops[layer]
        weight = graph.constants[inputs[1]]
        if kind == "PRELU":
            slot.weight.data = torch.from_numpy(weight.reshape(-1).copy())
            continue
        order = (0, 3, 1, 2) if kind == "CONV_2D" else (3, 0, 1, 2)
        value = torch.from_numpy(np.ascontiguousarray(weight.transpose(order)))
        if value.shape != slot.weight.shape or slot.bias is None:
            raise ValueError(f"layer {layer}: {tuple(value.shape)} does not fit {tuple(slot.weight.shape)}")
        slot.weight.data = value
        slot.bias.data = torch.from_numpy(graph.constants[inputs[2]].copy())


def convert(data: bytes) -> FaceMesh:
    graph, net = Graph(data), FaceMesh()
    mesh = graph.layers_before(graph.names["output_mesh_identity"])
    early = len([m for m in net.early.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.PReLU)])
    fill(net.early, graph, mesh[:early])
    fill(net.trunk, graph, mesh[early:-1])
    fill(net.points, graph, mesh[-1:])
    fill(net.flag, graph, graph.layers_before(graph.names["conv_faceflag"])[-1:])
    regions = {
        "lips": ("output_lips",),
        "right": ("output_left_eye", "output_left_iris"),  # the file names sides as the viewer sees them
        "left": ("output_right_eye", "output_right_iris"),
    }
    for name, outputs in regions.items():
        region = getattr(net, name)
        chains = [
            [i for i in graph.layers_before(graph.names[out]) if i not in mesh[:early]] for out in outputs
        ]
        stem = [m for m in region.stem.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.PReLU)]
        fill(region.stem, graph, chains[0][: len(stem)])
        for head, chain in zip(region.heads, chains, strict=True):
            fill(head, graph, chain[len(stem) :])
    return net


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("output", type=Path)
    args = parser.parse_args()
    with zipfile.ZipFile(args.wheel) as wheel:
        net = convert(wheel.read(MODEL))
    state = {name: value.half().contiguous() for name, value in net.state_dict().items()}
    save_file(state, args.output, metadata={"origin": f"mediapipe 0.10.21, {MODEL}", "licence": "Apache-2.0"})


if __name__ == "__main__":
    main()
