"""ONNX graphs of the official networks, with a dynamic batch."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from faceswap_cli.errors import OutputError, UsageError
from faceswap_cli.nets.fslsd import FeatureDecoder, TargetEncoder
from faceswap_cli.nets.psp import GradualStyleEncoder, add_average
from faceswap_cli.nets.stylegan2 import Generator
from faceswap_cli.weights.networks import NETWORKS, average_latent, load_network

OPSET = 17


class _Codes(nn.Module):
    def __init__(self, encoder: nn.Module, average: Tensor) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("average", average)

    def forward(self, picture: Tensor) -> Tensor:
        return add_average(self.encoder(picture), cast(Tensor, self.average))


class _Features(nn.Module):
    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, codes: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.generator.features(codes))


class _Levels(nn.Module):
    def __init__(self, encoder: TargetEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, picture: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.encoder(picture))


class _Blend(nn.Module):
    def __init__(self, decoder: FeatureDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, *tensors: Tensor) -> Tensor:
        levels = self.decoder.levels
        picture: Tensor = self.decoder(tensors[:levels], tensors[levels : 2 * levels], tensors[-1])
        return picture


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A module to trace, example inputs, and the names of its ends."""

    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]


def _level_names(prefix: str, levels: int) -> tuple[str, ...]:
    return tuple(f"{prefix}{8 << k}" for k in range(levels))


def encoder_graph(encoder: GradualStyleEncoder, average: Tensor, side: int = 256) -> Graph:
    """picture (N, 3, 256, 256) -> codes (N, 18, 512), the average added"""
    return Graph(_Codes(encoder, average), {"picture": torch.zeros(2, 3, side, side)}, ("codes",))


def generator_graph(generator: Generator) -> Graph:
    """codes (N, 18, 512) -> f8, f16, .., f1024"""
    codes = torch.zeros(2, generator.layers, generator.style_dim)
    return Graph(_Features(generator), {"codes": codes}, _level_names("f", len(generator.to_rgbs)))


def landmark_graph(encoder: GradualStyleEncoder, channels: int = 212, side: int = 256) -> Graph:
    """maps (N, 212, 256, 256), one lit pixel each -> structure (N, 7, 512)"""
    return Graph(encoder, {"maps": torch.zeros(2, channels, side, side)}, ("structure",))


def target_graph(encoder: TargetEncoder, side: int = 1024) -> Graph:
    """picture (N, 3, 1024, 1024) -> t8, t16, .., t1024"""
    levels = len(encoder.encoder)
    return Graph(_Levels(encoder), {"picture": torch.zeros(2, 3, side, side)}, _level_names("t", levels))


def decoder_graph(decoder: FeatureDecoder, channels: list[int], side: int = 1024) -> Graph:
    """f8.., t8.., mask (N, 1, 1024, 1024) -> picture (N, 3, 1024, 1024)"""
    inputs: dict[str, Tensor] = {}
    for prefix in "ft":
        names = _level_names(prefix, decoder.levels)
        inputs |= {
            name: torch.zeros(2, count, 8 << k, 8 << k)
            for k, (name, count) in enumerate(zip(names, channels, strict=True))
        }
    inputs["mask"] = torch.zeros(2, 1, side, side)
    return Graph(_Blend(decoder), inputs, ("picture",))


def _official_decoder() -> Graph:
    from faceswap_cli.nets.stylegan2 import channels_at

    decoder = cast(FeatureDecoder, load_network("decoder"))
    return decoder_graph(decoder, [channels_at(8 << k) for k in range(decoder.levels)])


GRAPHS: dict[str, Callable[[], Graph]] = {
    "encoder": lambda: encoder_graph(cast(GradualStyleEncoder, load_network("encoder")), average_latent()),
    "generator": lambda: generator_graph(cast(Generator, load_network("generator"))),
    "landmark-encoder": lambda: landmark_graph(cast(GradualStyleEncoder, load_network("landmark-encoder"))),
    "target-encoder": lambda: target_graph(cast(TargetEncoder, load_network("target-encoder"))),
    "decoder": _official_decoder,
}
"""What ``export --onnx`` can write, by network."""


def write_graph(graph: Graph, path: Path) -> None:
    """Trace ``graph`` and write it with a dynamic batch; the file appears whole or not at all."""
    graph.module.eval()
    ends = (*graph.inputs, *graph.outputs)
    part = path.with_name(f".{path.name}.part")
    # torch's tracer prints and warns about python numbers in shapes; they are constants here on purpose.
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            torch.no_grad(),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            torch.onnx.export(
                graph.module,
                tuple(graph.inputs.values()),
                str(part),
                opset_version=OPSET,
                dynamo=False,
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                dynamic_axes={name: {0: "batch"} for name in ends},
            )
        os.replace(part, path)
    finally:
        quiet.setLevel(level)
        part.unlink(missing_ok=True)


def export_networks(weights: str, folder: Path, *, force: bool = False) -> list[Path]:
    """Write the graphs of all networks of an installed file into ``folder``; existing ones need ``force``."""
    names = [name for name in GRAPHS if NETWORKS[name].weights == weights]
    if not names:
        known = sorted({NETWORKS[name].weights for name in GRAPHS})
        raise UsageError(f"there is no ONNX graph of {weights}; there are graphs of {', '.join(known)}")
    written = {name: folder / f"{weights}-{name}.onnx" for name in names}
    there = [path for path in written.values() if path.exists()]
    if there and not force:
        raise OutputError(f"{there[0]} exists; use --force to replace it")
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in written.items():
        write_graph(GRAPHS[name](), path)
    return list(written.values())
