"""Golden check of whole networks, and of the FSLSD chain from two pictures to the swapped one."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from faceswap_cli.nets import fslsd, megafs, psp
from faceswap_cli.nets import stylegan2 as generator_net
from faceswap_cli.nets.layout import channels_last
from faceswap_cli.swap import mixing, official
from faceswap_cli.weights import recipe
from faceswap_cli.weights.load import load_strict

Array = NDArray[Any]
Results = Iterator[tuple[str, Array]]
M = TypeVar("M", bound=nn.Module)
FSLSD, STYLEGAN2, PSP = "fslsd_celebahq_1024", "stylegan2_ffhq_1024", "psp_ffhq_encode"


def _stand_in(build: Callable[[], M], checkpoint: str, part: str, which: str, prefix: str = "") -> M:
    """A network with stand-in weights; ``prefix`` picks keys and is taken off them.

    Channels-last, as the program runs them.
    """
    specs = recipe.checkpoints()[checkpoint].components[part]
    state = {
        key.removeprefix(prefix): torch.from_numpy(
            np.asarray(recipe.fill(f"{which}/{checkpoint}/{part}/{key}", spec))
        )
        for key, spec in specs.items()
        if key.startswith(prefix)
    }
    module = load_strict(build, state, f"stand-in {checkpoint}/{part}")
    return channels_last(module)


def _feature(prefix: str, feature: Tensor) -> Results:
    """The stored views of a feature map (1, C, H, H): statistics, a sparse sample, two corners."""
    values = feature[0].double()
    side = values.shape[-1]
    name = f"{prefix}{side}"
    yield f"{name}_mean", values.mean((1, 2)).numpy()
    yield f"{name}_std", values.std((1, 2), correction=0).numpy()
    if side == 8:
        yield f"{name}_full", feature[0].numpy()
        return
    every, step = max(1, values.shape[0] // 16), side // 16
    picked = feature[0, ::every]
    yield f"{name}_sub", picked[:, step // 2 :: step, step // 2 :: step].numpy()
    yield f"{name}_tl", picked[:, :8, :8].numpy()
    yield f"{name}_br", picked[:, -8:, -8:].numpy()


def _picture(prefix: str, picture: Tensor) -> Results:
    """The stored views of a picture (1, 3, 1024, 1024)."""
    values = picture[0]
    yield f"{prefix}_mean", values.double().mean((1, 2)).numpy()
    yield f"{prefix}_std", values.double().std((1, 2), correction=0).numpy()
    yield f"{prefix}_sub8", values[:, 4::8, 4::8].numpy()
    yield f"{prefix}_area8", torch.nn.functional.avg_pool2d(values, 8).numpy()
    yield f"{prefix}_crop", values[:, 480:544, 480:544].numpy()
    yield f"{prefix}_tl", values[:, :32, :32].numpy()
    yield f"{prefix}_br", values[:, -32:, -32:].numpy()


def _psp_encoder(which: str) -> psp.GradualStyleEncoder:
    return _stand_in(psp.GradualStyleEncoder, PSP, "state_dict", which, "encoder.")


def psp_encoder(golden: Mapping[str, Array], which: str) -> Results:
    """Both stand-in pictures through the pSp encoder."""
    encoder = _psp_encoder(which)
    average = recipe.beside(PSP, which)["latent_avg"]
    yield "latent_avg", average
    for name in ("source", "target"):
        small = official.shrink_to_256(recipe.image(name, 1024, which))
        yield f"{name}_256", small
        raw = encoder(official.to_input(small))
        yield f"{name}_raw", raw[0].numpy()
        yield f"{name}_codes", psp.add_average(raw, torch.from_numpy(average))[0].numpy()


def stylegan2(golden: Mapping[str, Array], which: str) -> Results:
    """The plain generator: synthesis from codes, mapping, truncation."""
    generator = _stand_in(generator_net.Generator, STYLEGAN2, "g_ema", which)
    codes = recipe.codes("codes", which)
    yield "codes", codes
    image, features = generator.synthesis(torch.from_numpy(codes)[None])
    yield from _picture("image", image)
    for feature in features:
        yield from _feature("f", feature)
    z = recipe.normal("z", (512,), which)
    yield "z", z
    w = generator.mapping(torch.from_numpy(z)[None])
    yield "w", w[0].numpy()
    average = torch.from_numpy(recipe.beside(STYLEGAN2, which)["latent_avg"])
    truncated = generator_net.truncate(w, average, 0.7)
    yield "w_trunc07", truncated[0].numpy()
    image = generator(truncated[:, None].expand(-1, 18, -1))
    yield "image_z_trunc07_sub8", image[0, :, 4::8, 4::8].numpy()


def _landmarks(which: str) -> Tensor:
    """(1, 212, 2): source points, then target points."""
    names = ("source_landmarks", "target_landmarks")
    return torch.from_numpy(np.concatenate([recipe.landmarks(name, which) for name in names]))[None]


def _target_input(which: str) -> Tensor:
    x = official.to_input(recipe.image("target", 1024, which))
    return x.contiguous(memory_format=torch.channels_last)


def fslsd_parts(golden: Mapping[str, Array], which: str) -> Results:
    """Each network of the FSLSD file alone."""
    points = _landmarks(which)
    yield "landmarks_source", points[0, :106].numpy()
    yield "landmarks_target", points[0, 106:].numpy()
    maps = fslsd.pixel_maps(points)
    yield "heat_nonzero_cyx", maps[0].nonzero().numpy()
    landmark_encoder = _stand_in(fslsd.LandmarkEncoder, FSLSD, "encoder_lmk", which)
    yield "landmark_code", landmark_encoder.from_points(points)[0].numpy()
    yield "landmark_code", landmark_encoder(maps)[0].numpy()
    codes = torch.from_numpy(recipe.codes("codes", which))[None]
    yield "bald_in", codes[0].numpy()
    yield "bald_out", _stand_in(fslsd.LatentEditor, FSLSD, "bald_model", which)(codes)[0].numpy()
    mask = yield from _mask(which)
    target = _stand_in(fslsd.TargetEncoder, FSLSD, "encoder_target", which)(_target_input(which))
    source = _stand_in(generator_net.Generator, FSLSD, "generator", which).features(codes)
    levels: list[Tensor] = []
    decoder = _stand_in(fslsd.FeatureDecoder, FSLSD, "decoder", which)
    picture = decoder(source, target, mask, keep=levels)
    yield from _picture("decoder_out", picture)
    for prefix, features in (("t", target), ("g", source), ("d", levels[:-1])):
        for feature in features:
            yield from _feature(prefix, feature)


def _mask(which: str) -> Generator[tuple[str, Array], None, Tensor]:
    labels = recipe.labels("target_labels", which)
    yield "labels", labels
    mask = official.face_mask(official.label_mask(labels))
    yield "mask_x16", (mask[0, 0] * 16).round().to(torch.uint8).numpy()
    for used in fslsd.mask_levels(mask, 8):
        side = used.shape[-1]
        step = max(1, side // 64)
        yield f"mask_used_{side}", used[0, 0, step // 2 :: step, step // 2 :: step].numpy()
    return mask


def fslsd_chain(golden: Mapping[str, Array], which: str) -> Results:
    """From two pictures, their points and the target's labels to the swapped picture."""
    average = torch.from_numpy(recipe.beside(PSP, which)["latent_avg"])
    encoder = _psp_encoder(which)
    codes = []
    for name in ("source", "target"):
        small = official.shrink_to_256(recipe.image(name, 1024, which))
        codes.append(psp.add_average(encoder(official.to_input(small)), average))
        yield f"{name}_codes", codes[-1][0].numpy()
    del encoder
    points = _landmarks(which)
    structure = _stand_in(fslsd.LandmarkEncoder, FSLSD, "encoder_lmk", which).from_points(points)
    yield "landmark_code", structure[0].numpy()
    mixed = mixing.mix(codes[0], structure, codes[1])
    yield "fusion_before_bald", mixed[0].numpy()
    edited = _stand_in(fslsd.LatentEditor, FSLSD, "bald_model", which)(mixed)
    yield "fusion_after_bald", edited[0].numpy()
    source = _stand_in(generator_net.Generator, FSLSD, "generator", which).features(edited)
    for feature in source:
        yield from _feature("g", feature)
    target = _stand_in(fslsd.TargetEncoder, FSLSD, "encoder_target", which)(_target_input(which))
    mask = official.face_mask(official.label_mask(recipe.labels("target_labels", which)))
    picture = _stand_in(fslsd.FeatureDecoder, FSLSD, "decoder", which)(source, target, mask)
    yield from _picture("swapped", picture)
    yield "swapped_u8_sub8", official.to_uint8(picture)[4::8, 4::8]


def megafs_swapper(golden: Mapping[str, Array], which: str) -> Results:
    """The latent swappers that FSLSD compares with."""
    source, target = (recipe.codes(name, which) for name in ("mega_source", "mega_target"))
    yield "source", source
    yield "target", target
    pair = torch.from_numpy(source)[None], torch.from_numpy(target)[None]
    yield "lcr", mixing.megafs_split(*pair)[0].numpy()
    yield "ftm", _stand_in(megafs.FaceTransferModule, "megafs_swapper", "ftm", which)(*pair)[0].numpy()
    injection = _stand_in(megafs.InjectionModule, "megafs_swapper", "injection", which)
    yield "injection", injection(*pair)[0].numpy()
