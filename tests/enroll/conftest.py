"""A person to enroll: the bundled example portrait, changed; a network of the smallest size, untrained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from faceswap_cli.nets.fslsd256 import Fslsd256
from faceswap_cli.nets.fslsd256_encoders import PRESETS
from faceswap_cli.records import U8
from faceswap_cli.training.export import export_weights

ROOT = Path(__file__).resolve().parents[2]
Saver = Callable[[str, U8], Path]


@pytest.fixture
def save(tmp_path: Path) -> Saver:
    def write(name: str, picture: U8) -> Path:
        path = tmp_path / name
        Image.fromarray(picture).save(path)
        return path

    return write


@pytest.fixture(scope="session")
def stranger() -> U8:
    """A frame of the example clip: somebody else."""
    from faceswap_cli.metrics.pairs import display_rgb
    from faceswap_cli.video.probe import probe
    from faceswap_cli.video.reader import read_frames

    clip = probe(ROOT / "examples" / "target.mp4")
    return display_rgb(next(iter(read_frames(clip))), clip)


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("weights") / "net.safetensors"
    net = Fslsd256(PRESETS["tiny"])
    for parameter in net.parameters():  # branches that start at zero shall have an effect here
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.02)
    export_weights(net, path, 0)
    return path


def mirrored(picture: U8) -> U8:
    return np.ascontiguousarray(picture[:, ::-1])
