"""Networks of the official checkpoints, ready to run: installed weights in, modules out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from faceswap_cli.nets.fslsd import FeatureDecoder, LandmarkEncoder, LatentEditor, TargetEncoder
from faceswap_cli.nets.layout import channels_last
from faceswap_cli.nets.psp import GradualStyleEncoder
from faceswap_cli.nets.stylegan2 import Generator
from faceswap_cli.weights.load import load_strict
from faceswap_cli.weights.store import open_part


@dataclass(frozen=True, slots=True)
class NetworkSource:
    """Which part of which installed file a network is."""

    weights: str
    part: str
    build: Callable[[], nn.Module]


NETWORKS: dict[str, NetworkSource] = {
    "encoder": NetworkSource("psp-ffhq", "state_dict.encoder", GradualStyleEncoder),
    "generator": NetworkSource("fslsd-1024", "generator", Generator),
    "landmark-encoder": NetworkSource("fslsd-1024", "encoder_lmk", LandmarkEncoder),
    "target-encoder": NetworkSource("fslsd-1024", "encoder_target", TargetEncoder),
    "decoder": NetworkSource("fslsd-1024", "decoder", FeatureDecoder),
    "editor": NetworkSource("fslsd-1024", "bald_model", LatentEditor),
    "stylegan2": NetworkSource("stylegan2-ffhq", "g_ema", Generator),
}


def load_network(name: str) -> nn.Module:
    """A network of :data:`NETWORKS`, float32 on the CPU, channels-last, in evaluation mode."""
    source = NETWORKS[name]
    state = open_part(source.weights, [source.part])[source.part]
    return channels_last(load_strict(source.build, state, f"{source.weights} ({source.part})"))


def average_latent() -> Tensor:
    """(18, 512): what pSp adds to the output of its encoder."""
    return open_part("psp-ffhq", ["latent_avg"])["latent_avg"][""].to(torch.float32)
