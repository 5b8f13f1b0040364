"""Key tables of the same structure as the official ones, small enough to write and read in a test."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from faceswap_cli.weights import formats, recipe

KEEP = {
    "psp_ffhq_encode": ("encoder.input_layer.", "encoder.latlayer", "decoder.conv1.noise", "decoder.to_rgb1"),
    "stylegan2_ffhq_1024": (
        "conv1.noise",
        "to_rgb1",
        "noises.noise_0",
        "noises.noise_1",
        "convs.0.conv.blur",
    ),
    "fslsd_celebahq_1024": (
        "input_layer.1",
        "encoder.0",
        "encoder.1.0.0",
        "decoder.7",
        "conv1.noise",
        "dense.3",
    ),
    "megafs_swapper": ("weight",),
}


def tiny_tables() -> dict[str, recipe.CheckpointSpec]:
    """The official tables with a few keys of every component and at most 8 of every dimension."""
    found = {}
    for name, spec in recipe.checkpoints().items():
        components = {
            part: {
                key: recipe.TensorSpec(tuple(min(n, 8) for n in entry.shape), entry.dtype, entry.fill)
                if entry.fill[0] != "blur"
                else entry
                for key, entry in keys.items()
                if key.startswith(KEEP[name])
            }
            for part, keys in spec.components.items()
        }
        found[name] = recipe.CheckpointSpec(
            spec.name, spec.file, spec.key_prefix, components, spec.tensors, spec.opts
        )
    return found


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Small tables and an empty store; returns the store's folder."""
    tables = tiny_tables()
    monkeypatch.setattr(recipe, "checkpoints", lambda: tables)
    folder = tmp_path / "store"
    monkeypatch.setenv("FACESWAP_WEIGHTS", str(folder))
    return folder


def write(checkpoint: str, path: Path, **changes: object) -> Path:
    """A stand-in container as published; ``changes`` replace top-level entries (None removes one)."""
    container = formats.stand_in_container(checkpoint)
    for key, value in changes.items():
        container.pop(key, None)
        if value is not None:
            container[key] = value
    torch.save(container, path)
    return path
