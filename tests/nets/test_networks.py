"""Properties of the networks that the golden arrays do not show: options, gradients, shortcuts."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from faceswap_cli.nets import fslsd, megafs, psp, stylegan2
from faceswap_cli.nets.layout import channels_last
from faceswap_cli.weights import recipe

SMALL = {"multiplier": 1, "most_channels": 16}


def seeded(build: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(3)
    module = build().eval()
    for name, tensor in module.named_parameters():
        if name.endswith("noise.weight") or name.endswith("bias"):
            torch.nn.init.normal_(tensor.data, std=0.2)
    return module


def generator(size: int = 32) -> stylegan2.Generator:
    module = seeded(lambda: stylegan2.Generator(size, 24, 2, **SMALL))
    assert isinstance(module, stylegan2.Generator)
    return module


@pytest.mark.parametrize(
    ("build", "checkpoint", "part", "prefix"),
    [
        (psp.GradualStyleEncoder, "psp_ffhq_encode", "state_dict", "encoder."),
        (stylegan2.Generator, "psp_ffhq_encode", "state_dict", "decoder."),
        (stylegan2.Generator, "stylegan2_ffhq_1024", "g_ema", ""),
        (stylegan2.Generator, "fslsd_celebahq_1024", "generator", ""),
        (fslsd.LandmarkEncoder, "fslsd_celebahq_1024", "encoder_lmk", ""),
        (fslsd.TargetEncoder, "fslsd_celebahq_1024", "encoder_target", ""),
        (fslsd.FeatureDecoder, "fslsd_celebahq_1024", "decoder", ""),
        (fslsd.LatentEditor, "fslsd_celebahq_1024", "bald_model", ""),
        (megafs.FaceTransferModule, "megafs_swapper", "ftm", ""),
        (megafs.InjectionModule, "megafs_swapper", "injection", ""),
    ],
)
def test_names_and_shapes_are_the_official_ones(
    build: Callable[[], nn.Module], checkpoint: str, part: str, prefix: str
) -> None:
    with torch.device("meta"):
        ours = {name: tuple(value.shape) for name, value in build().state_dict().items()}
    table = recipe.checkpoints()[checkpoint].components[part]
    theirs = {key.removeprefix(prefix): spec.shape for key, spec in table.items() if key.startswith(prefix)}
    assert ours == theirs


@pytest.mark.parametrize(("size", "layers"), [(8, 4), (64, 10), (256, 14), (1024, 18)])
def test_layers_follow_the_size(size: int, layers: int) -> None:
    with torch.device("meta"):
        module = stylegan2.Generator(size)
    assert module.layers == layers == stylegan2.layers_of(size)
    assert len(module.convs) == layers - 2


@pytest.mark.parametrize("size", [0, 4, 96])
def test_a_size_that_is_no_power_of_two_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        stylegan2.Generator(size)


def test_one_picture_and_a_batch_agree() -> None:
    module = generator()
    codes = torch.randn(3, module.layers, 24)
    with torch.inference_mode():
        together = module(codes)
        singly = torch.cat([module(code[None]) for code in codes])
    assert torch.allclose(together, singly, atol=2e-5)


def test_channels_last_changes_nothing_but_rounding() -> None:
    codes = torch.randn(1, 8, 24)
    with torch.inference_mode():
        plain = generator()(codes)
        last = channels_last(generator())(codes)
    assert torch.allclose(plain, last, atol=2e-5)


def test_features_leave_the_last_code_alone() -> None:
    module = generator()
    codes = torch.randn(1, module.layers, 24)
    other = codes.clone()
    other[:, -1] += 5
    with torch.inference_mode():
        for a, b in zip(module.features(codes), module.features(other), strict=True):
            assert torch.equal(a, b)
        assert not torch.equal(module(codes), module(other))
        for a, b in zip(module.features(codes), module.synthesis(codes)[1], strict=True):
            assert torch.equal(a, b)


def test_fixed_noise_is_repeatable_and_random_noise_is_not() -> None:
    module = generator()
    codes = torch.randn(1, module.layers, 24)
    with torch.inference_mode():
        assert torch.equal(module(codes), module(codes))
        assert not torch.equal(module(codes), module(codes, module.random_noise(1)))


@pytest.mark.parametrize("count", [1, 2])
def test_gradients_reach_every_parameter(count: int) -> None:
    module = generator(16)
    codes = module.mapping(torch.randn(count, 24))[:, None].expand(-1, module.layers, -1)
    image = module(codes)
    (image * torch.randn_like(image)).sum().backward()
    dead = [name for name, p in module.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert dead == []


def test_gradient_is_that_of_finite_differences() -> None:
    module = generator(8).double()
    codes = torch.randn(1, module.layers, 24, dtype=torch.float64, requires_grad=True)
    direction = torch.randn_like(codes)
    weight = torch.randn(1, 3, 8, 8, dtype=torch.float64)
    (module(codes) * weight).sum().backward()
    assert codes.grad is not None
    with torch.no_grad():
        step = 1e-6
        ahead, behind = ((module(codes + s * step * direction) * weight).sum() for s in (1, -1))
    # float32 is used inside the folded weight, hence the loose bound.
    assert float((codes.grad * direction).sum()) == pytest.approx(float(ahead - behind) / (2 * step), rel=0.2)


def test_heads_that_are_not_wanted_are_not_needed() -> None:
    encoder = seeded(lambda: psp.GradualStyleEncoder(heads=9, side=32))
    picture = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        full = encoder(picture)
        assert torch.equal(encoder(picture, rows=[8, 2, 4]), full[:, [8, 2, 4]])
        del encoder.latlayer2, encoder.styles[7:]  # type: ignore[index]
        assert torch.equal(encoder(picture, rows=range(3, 7)), full[:, 3:7])


def test_sparse_landmark_convolution_is_the_dense_one() -> None:
    encoder = seeded(lambda: fslsd.LandmarkEncoder(inputs=12, side=32))
    assert isinstance(encoder, fslsd.LandmarkEncoder)
    points = torch.rand(2, 12, 2) * 40 - 4
    points[0, 0] = torch.tensor([-1.0, 5.0])
    points[0, 1] = torch.tensor([0.2, 31.9])
    points[1, 2] = torch.tensor([float("nan"), 3.0])
    points[1, 3] = points[1, 4]
    with torch.inference_mode():
        maps = fslsd.pixel_maps(points, 32)
        assert torch.allclose(encoder.sparse_stem(points), encoder.input_layer[0](maps), atol=1e-5)
        assert torch.allclose(encoder.from_points(points), encoder(maps), atol=1e-5)


def test_pixel_rule() -> None:
    points = torch.tensor([[[3.9, 7.2], [-1.0, 4.0], [-0.5, 2.5], [256.0, 1.0], [-2.5, 1.0], [255.9, 0.0]]])
    maps = fslsd.pixel_maps(points)
    assert maps.nonzero()[:, 1:].tolist() == [[0, 7, 3], [2, 2, 0], [5, 0, 255]]


def test_gaussian_maps_peak_where_the_pixel_maps_are_lit() -> None:
    points = torch.tensor([[[100.7, 30.2], [-1.0, 4.0]]])
    bells = fslsd.gaussian_maps(points)
    assert bells[0, 0, 30, 100] == 1.0
    assert bells[0, 0, 30, 106] == pytest.approx(math.exp(-0.5))
    assert bells[0, 1].abs().max() == 0


def test_decoder_levels_and_mask() -> None:
    decoder = seeded(lambda: fslsd.FeatureDecoder(32, **SMALL))
    encoder = seeded(lambda: fslsd.TargetEncoder(32, **SMALL))
    with torch.inference_mode():
        target = encoder(torch.randn(1, 3, 32, 32))
        assert [f.shape[-1] for f in target] == [8, 16, 32]
        source = [torch.randn_like(f) for f in target]
        kept: list[torch.Tensor] = []
        nothing = decoder(source, target, torch.zeros(1, 1, 32, 32), keep=kept)
        assert [level.shape[-1] for level in kept] == [16, 32, 32]
        assert torch.equal(nothing, decoder(target, target, torch.ones(1, 1, 32, 32)))
        assert not torch.equal(nothing, decoder(source, target, torch.ones(1, 1, 32, 32)))


def test_bfloat16_stays_near() -> None:
    module = generator()
    codes = torch.randn(1, module.layers, 24)
    with torch.inference_mode():
        exact = module(codes)
        rough = module.bfloat16()(codes.bfloat16()).float()
    assert float((exact - rough).abs().max() / exact.std()) < 0.3
