"""ONNX graphs against torch, with batch sizes other than the traced one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from faceswap_cli.errors import OutputError, UsageError
from faceswap_cli.nets import fslsd, psp, stylegan2
from faceswap_cli.weights import onnx_export

onnxruntime = pytest.importorskip("onnxruntime")
SMALL = {"multiplier": 1, "most_channels": 16}
CHANNELS = [16, 16, 16]


def graph(name: str) -> onnx_export.Graph:
    torch.manual_seed(5)
    if name == "encoder":
        return onnx_export.encoder_graph(
            psp.GradualStyleEncoder(heads=9, side=32).eval(), torch.randn(9, 512), side=32
        )
    if name == "generator":
        generator = stylegan2.Generator(32, 24, 1, **SMALL).eval()
        for layer in (generator.conv1, *generator.convs):
            torch.nn.init.constant_(layer.noise.weight, 0.3)
        return onnx_export.generator_graph(generator)
    if name == "landmark-encoder":
        return onnx_export.landmark_graph(
            fslsd.LandmarkEncoder(inputs=12, side=32).eval(), channels=12, side=32
        )
    if name == "target-encoder":
        return onnx_export.target_graph(fslsd.TargetEncoder(32, **SMALL).eval(), side=32)
    return onnx_export.decoder_graph(fslsd.FeatureDecoder(32, **SMALL).eval(), CHANNELS, side=32)


NAMES = [
    # The same class as the encoder, and 24 units of full width either way.
    pytest.param(name, marks=pytest.mark.slow) if name == "landmark-encoder" else name
    for name in onnx_export.GRAPHS
]


@pytest.mark.parametrize("name", NAMES)
def test_the_graph_computes_what_the_module_does(name: str, tmp_path: Path) -> None:
    made = graph(name)
    path = tmp_path / "net.onnx"
    onnx_export.write_graph(made, path)
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [o.name for o in session.get_outputs()] == list(made.outputs)
    for count in (1, 3):
        inputs = {key: torch.randn(count, *value.shape[1:]) for key, value in made.inputs.items()}
        ours = session.run(None, {key: value.numpy() for key, value in inputs.items()})
        with torch.inference_mode():
            theirs = made.module(*inputs.values())
        theirs = theirs if isinstance(theirs, tuple) else (theirs,)
        for a, b in zip(ours, theirs, strict=True):
            assert np.abs(a - b.numpy()).max() / float(b.std()) < 1e-4


def test_an_existing_graph_is_kept(tmp_path: Path) -> None:
    (tmp_path / "psp-ffhq-encoder.onnx").write_bytes(b"mine")
    with pytest.raises(OutputError, match="--force"):
        onnx_export.export_networks("psp-ffhq", tmp_path)
    assert (tmp_path / "psp-ffhq-encoder.onnx").read_bytes() == b"mine"


def test_weights_without_a_graph_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="fslsd-1024, psp-ffhq"):
        onnx_export.export_networks("stylegan2-ffhq", tmp_path)
