"""Low-rank changes: none at first, off on request, and the same when they are folded into the weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from faceswap_cli.enrol.lowrank import Deltas, tuned_layers
from faceswap_cli.errors import WeightsError
from faceswap_cli.identity.faceid import deltas_digest
from faceswap_cli.nets.fslsd256 import Fslsd256, Scene, blank_scene
from faceswap_cli.nets.fslsd256_encoders import EMBEDDING, SIDE
from faceswap_cli.swap import fslsd256_weights as loading

RANK = 4


@pytest.fixture
def net(tiny_weights: Path) -> Fslsd256:
    return loading.load_swap_net(tiny_weights).eval().requires_grad_(False)


def drawn(net: Fslsd256) -> Tensor:
    noise = torch.Generator().manual_seed(0)
    scene = blank_scene(1)
    filled = {k: torch.rand(getattr(scene, k).shape, generator=noise) for k in scene.__dataclass_fields__}
    source = net.encode_source(
        torch.rand(1, 3, SIDE, SIDE, generator=noise), torch.rand(1, EMBEDDING, generator=noise)
    )
    with torch.no_grad():
        face: Tensor = net(source, Scene(**filled)).face
    return face


def changed(net: Fslsd256) -> Deltas:
    deltas = Deltas(net, RANK)
    with torch.no_grad():
        for value in deltas.parameters():
            value.add_(0.1 * torch.randn(value.shape, generator=torch.Generator().manual_seed(1)))
    return deltas


def test_starts_without_effect(net: Fslsd256) -> None:
    before = drawn(net)
    Deltas(net, RANK)
    torch.testing.assert_close(drawn(net), before)


def test_off_is_the_network_as_it_was(net: Fslsd256) -> None:
    before = drawn(net)
    deltas = changed(net)
    assert float((drawn(net) - before).abs().mean()) > 1e-3
    with deltas.off():
        torch.testing.assert_close(drawn(net), before)
    assert float((drawn(net) - before).abs().mean()) > 1e-3


def test_only_the_deltas_are_trained(net: Fslsd256) -> None:
    deltas = changed(net)
    trained = {id(p) for p in net.parameters() if p.requires_grad}
    assert trained == {id(p) for p in deltas.parameters()}
    layers = tuned_layers(net)
    assert len(deltas.arrays()) == 2 * len(layers) == len(deltas.parameters())
    assert not any("style" in name or "structure" in name for name in layers)


def test_folded_in_it_draws_the_same(
    net: Fslsd256, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "half_precision", lambda device: False)
    deltas = changed(net)
    arrays = deltas.arrays()
    tuning = loading.Tuning(deltas_digest(arrays), arrays)
    folded = loading.tuned_net(tiny_weights, "cpu", tuning)
    torch.testing.assert_close(drawn(folded), drawn(net), atol=1e-4, rtol=1e-4)
    assert loading.tuned_net(tiny_weights, "cpu", tuning) is folded
    assert loading.ready_net(tiny_weights, "cpu") is not folded


@pytest.mark.parametrize("layer", ["decoder.nowhere", "decoder.last"])
def test_changes_of_another_network_are_refused(tiny_weights: Path, layer: str) -> None:
    arrays = {f"{layer}/up": np.ones((3, 2), np.float32), f"{layer}/down": np.ones((2, 5), np.float32)}
    with pytest.raises(WeightsError, match=f"do not fit .* at {layer}"):
        loading.tuned_net(tiny_weights, "cpu", loading.Tuning(layer, arrays))


def test_the_digest_names_the_changes() -> None:
    one = {"a/up": np.ones((3, 2), np.float32)}
    assert deltas_digest(one) == deltas_digest({"a/up": np.ones((3, 2), np.float32)}) != ""
    assert deltas_digest(one) != deltas_digest({"a/up": np.zeros((3, 2), np.float32)})
    assert deltas_digest({}) == ""
