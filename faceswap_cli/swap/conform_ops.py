"""Golden check of the streams and of single operations on tiny tensors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from faceswap_cli.errors import WeightsError
from faceswap_cli.nets import fslsd, irse, psp, stylegan2, upfirdn2d
from faceswap_cli.swap import official
from faceswap_cli.weights import recipe

Array = NDArray[Any]
_INPUT = re.compile(r"/(in\d+|w\..*|note)$")
_PROBES = (
    ("psp_ffhq_encode", "state_dict", "encoder.input_layer.0.weight"),
    ("psp_ffhq_encode", "state_dict", "encoder.body.0.res_layer.0.running_var"),
    ("stylegan2_ffhq_1024", "g_ema", "convs.0.conv.weight"),
    ("stylegan2_ffhq_1024", "g_ema", "noises.noise_3"),
    ("fslsd_celebahq_1024", "encoder_lmk", "styles.6.linear.weight"),
    ("fslsd_celebahq_1024", "encoder_target", "encoder.7.0.1.weight"),
    ("fslsd_celebahq_1024", "decoder", "decoder.0.upsample_conv.weight"),
    ("fslsd_celebahq_1024", "decoder", "decoder.0.blur.kernel"),
    ("fslsd_celebahq_1024", "bald_model", "dense.17.weight"),
)


def is_input(name: str) -> bool:
    """Arrays that are given rather than computed."""
    return _INPUT.search(name) is not None


def streams(golden: Mapping[str, Array], which: str) -> Iterator[tuple[str, Array]]:
    """First and last values of nine tensors and of every kind of input."""
    for checkpoint, part, key in _PROBES:
        spec = recipe.checkpoints()[checkpoint].components[part][key]
        values = recipe.fill(f"{which}/{checkpoint}/{part}/{key}", spec).ravel()
        yield f"{checkpoint}/{part}/{key}", np.concatenate([values[:4], values[-4:]]).astype(np.float32)
    yield "image", recipe.image("source", 64, which).ravel()[:48]
    yield "codes", recipe.codes("codes", which).ravel()[:8]
    yield "landmarks", recipe.landmarks("source_landmarks", which)[:24]
    yield "labels", np.bincount(recipe.labels("target_labels", which).ravel(), minlength=19)


def _module(build: Callable[[], nn.Module]) -> Callable[[list[Tensor], dict[str, Tensor]], Tensor]:
    """An operation that is one of our modules; batches are also run picture by picture.

    One picture and several take different paths through the modulated convolution, and both are compared.
    """

    def run(inputs: list[Tensor], weights: dict[str, Tensor]) -> Tensor:
        module = build().eval()
        module.load_state_dict(weights, strict=True)
        whole: Tensor = module(*inputs)
        count = inputs[0].shape[0]
        if count == 1:
            return whole
        singly = [module(*(x if len(x) == 1 else x[k : k + 1] for x in inputs)) for k in range(count)]
        return torch.cat([whole, torch.cat(singly)])

    return run


def _kernel(
    run: Callable[[Tensor, Tensor], Tensor],
) -> Callable[[list[Tensor], dict[str, Tensor]], Tensor]:
    return lambda inputs, weights: run(inputs[0], weights["kernel"])


_OPERATIONS: dict[str, Callable[[list[Tensor], dict[str, Tensor]], Tensor]] = {
    "upsample2": _kernel(upfirdn2d.upsample2),
    "downsample2": _kernel(upfirdn2d.downsample2),
    "blur_after_up": _kernel(lambda x, kernel: upfirdn2d.depthwise(x, kernel, 1)),
    "blur_before_down": _kernel(lambda x, kernel: upfirdn2d.depthwise(x, kernel, 2)),
    "fused_leaky_relu": _module(lambda: upfirdn2d.FusedLeakyReLU(3)),
    "equal_linear": _module(lambda: stylegan2.EqualLinear(8, 5)),
    "equal_linear_lrmul_0.01_act": _module(lambda: stylegan2.EqualLinear(8, 5, lr_mul=0.01, activation=True)),
    "pixel_norm": _module(stylegan2.PixelNorm),
    "modconv": _module(lambda: stylegan2.ModulatedConv2d(3, 4, 3, 8)),
    "modconv_up": _module(lambda: stylegan2.ModulatedConv2d(3, 4, 3, 8, upsample=True)),
    "modconv_nodemod": _module(lambda: stylegan2.ModulatedConv2d(3, 4, 3, 8, demodulate=False)),
    "styled_conv_up": _module(lambda: stylegan2.StyledConv(3, 4, 8, upsample=True)),
    "to_rgb": _module(lambda: stylegan2.ToRGB(3, 8)),
    "conv_layer_1x1": _module(lambda: upfirdn2d.ConvLayer(3, 4, 1)),
    "conv_layer_down": _module(lambda: upfirdn2d.ConvLayer(3, 4, 3, down=True)),
    "transpose_blur": _module(lambda: fslsd.TransposeBlur(3, 4)),
    "ir_se_16_16_s1": _module(lambda: irse.BottleneckIRSE(16, 16, 1)),
    "ir_se_16_16_s2": _module(lambda: irse.BottleneckIRSE(16, 16, 2)),
    "ir_se_16_32_s2": _module(lambda: irse.BottleneckIRSE(16, 32, 2)),
    "gradual_style_block_8": _module(lambda: psp.GradualStyleBlock(16, 16, 8)),
    "upsample_add": lambda inputs, weights: psp.upsample_add(*inputs),
}


def _two_layer_mapping(x: Tensor, which: str) -> Tensor:
    """The latent editor of two layers; its weights are streams, too big to store."""
    editor = fslsd.LatentEditor(layers=2).eval()
    state = {
        key: torch.from_numpy(
            recipe.stream(f"{which}/ops/fm/{key}").standard_normal(tuple(value.shape), dtype=np.float32)
        )
        for key, value in editor.state_dict().items()
    }
    editor.load_state_dict(state)
    edited: Tensor = editor(x.view(-1, 2, 512)).flatten(1)
    return edited


def _operation(
    op: str, inputs: list[Tensor], weights: dict[str, Tensor], which: str
) -> Iterator[tuple[str, Array]]:
    if op == "mask_chain":
        for mask in fslsd.mask_levels(inputs[0], 4):
            yield f"{op}/out{mask.shape[-1]}", mask.numpy()
    elif op == "to_uint8":
        yield f"{op}/out", official.to_uint8(inputs[0])
    elif op == "f_mapping_2_layers":
        yield f"{op}/out", _two_layer_mapping(inputs[0], which).numpy()
    elif op in _OPERATIONS:
        result = _OPERATIONS[op](inputs, weights)
        count = inputs[0].shape[0]
        yield f"{op}/out", result[:count].numpy()
        if len(result) > count:
            yield f"{op}/out", result[count:].numpy()


def operations(golden: Mapping[str, Array], which: str) -> Iterator[tuple[str, Array]]:
    """Every operation of the file on its stored inputs and weights."""
    for op in dict.fromkeys(name.split("/")[0] for name in golden):
        numbered = sorted(name for name in golden if re.fullmatch(re.escape(op) + r"/in\d+", name))
        inputs = [torch.from_numpy(golden[name]) for name in numbered]
        prefix = f"{op}/w."
        weights = {
            name.removeprefix(prefix): torch.from_numpy(np.asarray(value))
            for name, value in golden.items()
            if name.startswith(prefix)
        }
        try:
            yield from _operation(op, inputs, weights, which)
        except (RuntimeError, IndexError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())
            raise WeightsError(
                f"ops.npz: {op} lacks what it needs ({reason}); fetch the file again"
            ) from error
