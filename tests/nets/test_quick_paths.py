"""What inference on a processor does by other means than the library's is the same as what training does."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from faceswap_cli.nets.blocks import StyledConv, folded, unfolded
from faceswap_cli.nets.fslsd256 import Fslsd256, blank_scene
from faceswap_cli.nets.fslsd256_encoders import PRESETS
from faceswap_cli.nets.meshfield import enlarged


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(5)


def test_folding_moves_the_same_pixels() -> None:
    x = torch.randn(2, 4, 16, 24)
    with torch.no_grad():
        small = folded(x, 2)
        assert torch.equal(small, F.pixel_unshuffle(x, 2))
        assert small.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(unfolded(small, 2), x)
    assert torch.equal(folded(x, 2), small)


def test_folding_rounds_as_products_do() -> None:
    x = torch.randn(1, 3, 8, 8)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(folded(x, 2), F.pixel_unshuffle(x, 2).bfloat16())


@pytest.mark.parametrize(("cells", "side"), [(8, 256), (64, 256), (64, 128), (5, 7)])
def test_enlarging_is_bilinear(cells: int, side: int) -> None:
    maps = torch.randn(2, 3, cells, cells)
    expected = F.interpolate(maps, size=(side, side), mode="bilinear", align_corners=False)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = enlarged(maps, side)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=5e-6, rtol=0)


def test_a_style_scales_before_enlarging_as_behind_it() -> None:
    layer = StyledConv(6, 4, 8, up=True)
    x, w = torch.randn(2, 6, 5, 5), torch.randn(2, 8)
    style = layer.affine(w)
    style = style / style.abs().amax(dim=1, keepdim=True)
    y = F.interpolate(x, scale_factor=2.0, mode="nearest") * style[..., None, None]
    y = (
        F.conv2d(y, layer.weight, padding=1)
        * torch.rsqrt(style.square() @ layer.power().t() + 1e-8)[..., None, None]
    )
    expected = F.leaky_relu(y + layer.bias[:, None, None], 0.2) * 2**0.5
    torch.testing.assert_close(layer(x, w), expected, atol=1e-5, rtol=1e-4)


def test_the_face_alone_is_that_of_the_whole_pass() -> None:
    net = Fslsd256(PRESETS["tiny"]).eval()
    scene = blank_scene(2).apply(lambda x: torch.rand_like(x))
    with torch.no_grad():
        source = net.encode_source(
            torch.rand(1, 3, 256, 256) * 2 - 1, F.normalize(torch.randn(1, 128), dim=1)
        )
        code = net.style(scene.erased)
        alone, whole = net.face(source, scene, code), net(source, scene)
    assert torch.equal(alone, whole.face)
    assert whole.side.shape == whole.face.shape
    assert float(alone.std()) > 0.01
    # With gradients every step takes the library's way.
    torch.testing.assert_close(net(source, scene, code).face, alone, atol=2e-4, rtol=0)
