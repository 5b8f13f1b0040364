"""Build the face landmarker bundles from the Apache-2.0 models inside the mediapipe 0.10.21 wheel.

    pip download mediapipe==0.10.21 --no-deps
    python weights/build/landmarker_bundle.py mediapipe-0.10.21-*.whl weights

mediapipe's current Tasks API wants a landmark model with one output of 478 x 3 numbers and one
score.  The "with attention" model of 0.10.21 has seven outputs: the mesh, lips, two eyes, two
irises, the score.  A few standard operations are appended that merge them as the old
LandmarksRefinementCalculator did: refined x and y replace those of the mesh, an iris takes the
mean depth of its eye's contour.  Nothing is trained; all weights stay as they were, byte for byte.

Needs mediapipe >= 0.10.30 (for the schema) and numpy.  The result is the same on every run.
"""

from __future__ import annotations

import argparse
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from flatbuffers import flexbuffers
from mediapipe.tasks.metadata import metadata_schema_py_generated as metadata
from mediapipe.tasks.metadata import schema_py_generated as schema

MODELS = "mediapipe/modules/"
LANDMARKS = MODELS + "face_landmark/face_landmark_with_attention.tflite"
FULL_RANGE = MODELS + "face_detection/face_detection_full_range_sparse.tflite"
SHORT_RANGE = MODELS + "face_detection/face_detection_short_range.tflite"

# The contours whose mean depth an iris takes, in the order of the model's own eye outputs.
EYE_CONTOURS = {
    "left": (33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173),
    "right": (263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398),
}
# Outputs of the model with the number of points in each, in the order they are joined.
PARTS = {"lips": 80, "left_eye": 71, "right_eye": 71, "left_iris": 5, "right_iris": 5}

Op, Opt = schema.BuiltinOperator, schema.BuiltinOptions


@dataclass(frozen=True)
class Graph:
    """A model being extended: every method appends one tensor or operation and returns its index."""

    model: Any

    @property
    def body(self) -> Any:
        return self.model.subgraphs[0]

    def index(self, name: str) -> int:
        """Tensor index of ``name``."""
        names = [tensor.name.decode() for tensor in self.body.tensors]
        return names.index(name)

    def before(self, name: str) -> int:
        """The tensor that the operation producing ``name`` reads: an output before it is flattened."""
        wanted = self.index(name)
        return next(int(op.inputs[0]) for op in self.body.operators if wanted in op.outputs)

    def tensor(self, name: str, shape: tuple[int, ...], values: np.ndarray | None = None) -> int:
        item, data = schema.TensorT(), schema.BufferT()
        item.name, item.shape = name.encode(), np.array(shape, np.int32)
        item.type = schema.TensorType.FLOAT32 if values is None else schema.TensorType.INT32
        if values is not None:
            data.data = np.frombuffer(values.astype("<i4").tobytes(), np.uint8)
        self.model.buffers.append(data)
        item.buffer = len(self.model.buffers) - 1
        self.body.tensors.append(item)
        return len(self.body.tensors) - 1

    def integers(self, name: str, values: Any) -> int:
        array = np.asarray(values)
        return self.tensor(name, (array.size,), array)

    def apply(self, kind: int, inputs: list[int], output: int, options: Any, options_type: int) -> int:
        op = schema.OperatorT()
        op.opcodeIndex, op.builtinOptions, op.builtinOptionsType = self._code(kind), options, options_type
        op.inputs, op.outputs = np.array(inputs, np.int32), np.array([output], np.int32)
        self.body.operators.append(op)
        return output

    def gather(self, source: int, picks: int, axis: int, output: int) -> int:
        options = schema.GatherOptionsT()
        options.axis = axis
        return self.apply(Op.GATHER, [source, picks], output, options, Opt.GatherOptions)

    def concat(self, sources: list[int], axis: int, output: int) -> int:
        options = schema.ConcatenationOptionsT()
        options.axis, options.fusedActivationFunction = axis, 0
        return self.apply(Op.CONCATENATION, sources, output, options, Opt.ConcatenationOptions)

    def mean(self, source: int, axes: int, output: int) -> int:
        options = schema.ReducerOptionsT()
        options.keepDims = True
        return self.apply(Op.MEAN, [source, axes], output, options, Opt.ReducerOptions)

    def reshape(self, source: int, name: str, shape: tuple[int, ...]) -> int:
        options = schema.ReshapeOptionsT()
        options.newShape = np.array(shape, np.int32)
        sizes, output = self.integers(f"shape_{name}", shape), self.tensor(name, shape)
        return self.apply(Op.RESHAPE, [source, sizes], output, options, Opt.ReshapeOptions)

    def _code(self, kind: int) -> int:
        """Index of the operator code for ``kind``, version 1; added when the model has none."""
        for index, code in enumerate(self.model.operatorCodes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == kind and code.version == 1:
                return index
        code = schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode, code.version = kind, min(kind, 127), 1
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1


def refined_subsets(model: Any) -> list[list[int]]:
    """Mesh indices that the lips, left-eye and right-eye outputs stand for, read from the model itself."""
    subsets = []
    for op in model.subgraphs[0].operators:
        if (model.operatorCodes[op.opcodeIndex].customCode or b"") == b"Landmarks2TransformMatrix":
            subsets.append(list(flexbuffers.Loads(bytes(op.customOptions))["subset_idxs"]))
    return subsets


def picks(subsets: list[list[int]]) -> np.ndarray:
    """(478,) positions in mesh + lips + eyes + irises joined: the last refinement of a point wins."""
    rows = np.arange(478)
    start = 468
    for part, subset in zip(PARTS.values(), subsets, strict=False):
        rows[subset] = start + np.arange(part)
        start += part
    rows[468:] = start + np.arange(10)
    return rows


def merge_outputs(raw: bytes) -> bytes:
    """The attention model with its outputs merged to 478 x 3 and the score."""
    graph = Graph(schema.ModelT.InitFromPackedBuf(raw, 0))
    subsets = refined_subsets(graph.model)
    mesh = graph.reshape(graph.index("output_mesh_identity"), "mesh", (1, 468, 3))
    xy = graph.gather(mesh, graph.integers("axes_xy", [0, 1]), 2, graph.tensor("mesh_xy", (1, 468, 2)))
    z = graph.gather(mesh, graph.integers("axis_z", [2]), 2, graph.tensor("mesh_z", (1, 468, 1)))
    parts = [graph.before(f"output_{part}") for part in PARTS]
    joined = graph.concat([xy, *parts], 1, graph.tensor("joined_xy", (1, 468 + sum(PARTS.values()), 2)))
    chosen = graph.integers("picks", picks(subsets))
    refined = graph.gather(joined, chosen, 1, graph.tensor("refined_xy", (1, 478, 2)))
    depths = [z]
    for side, contour in EYE_CONTOURS.items():
        eye = graph.gather(
            z, graph.integers(f"eye_{side}", contour), 1, graph.tensor(f"z_{side}", (1, 16, 1))
        )
        middle = graph.mean(eye, graph.integers(f"axis_{side}", [1]), graph.tensor(f"mean_{side}", (1, 1, 1)))
        depths += [middle] * 5
    depth = graph.concat(depths, 1, graph.tensor("refined_z", (1, 478, 1)))
    points = graph.concat([refined, depth], 2, graph.tensor("refined", (1, 478, 3)))
    output = graph.reshape(points, "landmarks_478", (1, 1, 1, 478 * 3))
    graph.body.outputs = np.array([output, graph.index("conv_faceflag")], np.int32)
    graph.model.signatureDefs = None
    describe(graph.model)
    return pack(graph.model)


def describe(model: Any) -> None:
    """Name the two outputs in the metadata, which the Tasks API reads."""
    entry = next(item for item in model.metadata if item.name == b"TFLITE_METADATA")
    buffer = model.buffers[entry.buffer]
    notes = metadata.ModelMetadataT.InitFromPackedBuf(bytes(buffer.data), 0)
    names = []
    for name in ("landmarks_478", "face_flag"):
        item = metadata.TensorMetadataT()
        item.name = name
        names.append(item)
    notes.subgraphMetadata[0].outputTensorMetadata = names
    notes.description = (
        "Face landmarks with attention, outputs merged to 478 x 3 (mediapipe 0.10.21, Apache-2.0)"
    )
    builder = flatbuffers.Builder(0)
    builder.Finish(notes.Pack(builder), b"M001")
    buffer.data = np.frombuffer(bytes(builder.Output()), np.uint8)


def pack_buffer(self: Any, builder: Any) -> int:
    """Replacement for ``BufferT.Pack``: tensor data on 16-byte borders, as the schema demands."""
    data = None
    if self.data is not None and len(self.data):
        raw = bytes(self.data)
        builder.StartVector(1, len(raw), 16)
        builder.head = builder.Head() - len(raw)
        builder.Bytes[builder.Head() : builder.Head() + len(raw)] = raw
        data = builder.EndVector()
    schema.BufferStart(builder)
    if data is not None:
        schema.BufferAddData(builder, data)
    return int(schema.BufferEnd(builder))


def pack(model: Any) -> bytes:
    schema.BufferT.Pack = pack_buffer
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def write_bundle(path: Path, files: dict[str, bytes]) -> None:
    """A zip without compression, fixed dates, contents on 4-byte borders: mapped into memory as it is."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as bundle:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, (2025, 1, 31, 0, 0, 0))
            entry.external_attr, entry.create_system = 0o644 << 16, 3
            offset = bundle.start_dir + 30 + len(name)
            padding = -(offset + 4) % 4
            entry.extra = struct.pack("<HH", 0xD935, padding) + bytes(padding)
            bundle.writestr(entry, content)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheel", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    with zipfile.ZipFile(options.wheel) as wheel:
        landmarks = merge_outputs(wheel.read(LANDMARKS))
        full, short = wheel.read(FULL_RANGE), wheel.read(SHORT_RANGE)
    for name, detector in (("face_landmarker.task", full), ("face_landmarker_short.task", short)):
        files = {"face_detector.tflite": detector, "face_landmarks_detector.tflite": landmarks}
        write_bundle(options.folder / name, files)


if __name__ == "__main__":
    main()
