"""Profile 256 of ``fslsd`` with a small, untrained network: what holds whatever the weights are."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from drawn import SIDE, crop, identity, mesh_points, photo, picture

from faceswap_cli.config import JobOptions, PasteOptions
from faceswap_cli.errors import UsageError, WeightsError
from faceswap_cli.faces.landmarks import LIPS_INNER, OVAL
from faceswap_cli.geometry import masks
from faceswap_cli.nets.fslsd256 import Fslsd256
from faceswap_cli.nets.fslsd256_encoders import PRESETS
from faceswap_cli.nets.refiner import INPUTS, SIDE_OUT
from faceswap_cli.records import F32, U8, FaceCrop, RenderedFace
from faceswap_cli.swap import appearance
from faceswap_cli.swap.methods.fslsd256 import Fslsd256Method
from faceswap_cli.training.export import export_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("weights") / "net.safetensors"
    export_weights(Fslsd256(PRESETS["tiny"]), path, 0)
    return path


@pytest.fixture(scope="module")
def method(weights: Path) -> Fslsd256Method:
    return Fslsd256Method(JobOptions(device="cpu"), PasteOptions(occlusion=False), weights)


def swapped(method: Fslsd256Method, target: FaceCrop) -> RenderedFace:
    points = mesh_points()
    prepared = method.prepare(identity(photo(picture(points, seed=1), points)))
    return method.render(prepared, target, method.encode(prepared, target), 0)


@pytest.mark.parametrize("side", [96, 256, 384])
def test_any_crop_size(method: Fslsd256Method, side: int) -> None:
    """The untrained network draws little more than the warped, relit source: the same face comes back."""
    points = mesh_points()
    target = crop(picture(points), points, side)
    drawn = swapped(method, target)
    assert drawn.rgb.shape[:2] == drawn.mask.shape
    assert drawn.mask.max() > 0.95
    assert drawn.mask[0].max() == pytest.approx(0.0, abs=1e-3)
    inside = drawn.mask > 0.9
    difference = np.abs(drawn.rgb.astype(int) - drawn.crop.rgb.astype(int))[inside]
    assert difference.mean() < 25.0


def test_mask_stays_inside_the_face(method: Fslsd256Method) -> None:
    points = mesh_points()
    drawn = swapped(method, crop(picture(points), points))
    unit = drawn.crop.landmarks / drawn.crop.rgb.shape[1]
    window = masks.Window(0, 0, drawn.mask.shape[1], drawn.mask.shape[0], drawn.crop.rgb.shape[1])
    hull = masks.grow(masks.union(unit.astype(np.float32), (OVAL,), window), 4)
    assert drawn.mask[hull < 0.01].max() < 0.05


def test_the_refiner_sees_the_face_as_it_is_pasted_and_its_answer_is_laid_on(weights: Path) -> None:
    method = Fslsd256Method(JobOptions(device="cpu"), PasteOptions(occlusion=False), weights)
    points = mesh_points()
    target = crop(picture(points), points)
    stacks, faces = [], []
    for change in (0.0, 6.0):

        def answer(stack: U8, change: float = change) -> F32:
            stacks.append(stack)
            return np.full((SIDE_OUT, SIDE_OUT, 3), (change, 0, 0), np.float32)

        method.refine = answer
        faces.append(swapped(method, target))
    plain, lit = (appearance.lightness(face.rgb) for face in faces)
    inside = faces[0].mask > 0.9
    assert np.median((lit - plain)[inside]) == pytest.approx(6.0, abs=0.5)
    small = cv2.resize(appearance.lightness(target.rgb), (128, 128), interpolation=cv2.INTER_AREA)
    away = stacks[0][INPUTS.index("mask")] == 0
    np.testing.assert_allclose(stacks[0][0][away] / 2.55, small[away], atol=1.5)
    assert not np.array_equal(stacks[0][0][~away], stacks[0][6][~away])


def test_a_dark_face_stays_dark(method: Fslsd256Method) -> None:
    """The network sees it brightened; the result has the footage's exposure."""
    points = mesh_points()
    rgb = (picture(points) * 0.12).astype(np.uint8)
    drawn = swapped(method, crop(rgb, points))
    inside = drawn.mask > 0.9
    wanted = float(drawn.crop.rgb[inside].mean())
    assert float(drawn.rgb[inside].mean()) == pytest.approx(wanted, rel=0.35)


def test_open_mouth_keeps_the_targets_inside(method: Fslsd256Method) -> None:
    points = mesh_points()
    opened = points.copy()
    low = [14, 87, 178, 88, 95, 317, 402, 318, 324]
    opened[low, 1] += 0.05 * SIDE
    rgb = picture(opened)
    inner = masks.union((opened / SIDE).astype(np.float32), (LIPS_INNER,), SIDE) > 0.9
    rgb[inner] = (20, 220, 20)
    plain = replace(crop(rgb, opened), opacity=1.0)
    drawn = swapped(method, plain)
    green = drawn.rgb[..., 1].astype(int) - drawn.rgb[..., 0]
    assert int((green > 120).sum()) > 0.4 * int(
        (drawn.crop.rgb[..., 1].astype(int) - drawn.crop.rgb[..., 0] > 120).sum()
    )


def test_code_has_a_weight_for_each_entry(method: Fslsd256Method) -> None:
    points = mesh_points()
    prepared = method.prepare(identity(photo(picture(points), points)))
    code = method.encode(prepared, crop(picture(points), points))
    assert np.shape(method.smoothing.beta) == code.shape
    assert np.isfinite(code).all()


def test_travels_to_workers(method: Fslsd256Method) -> None:
    """Method and source are sent to other processes; what comes back draws the same pixels."""
    points = mesh_points()
    target = crop(picture(points), points)
    prepared = method.prepare(identity(photo(picture(points, seed=1), points)))
    other, there = pickle.loads(pickle.dumps((method, prepared), protocol=5))
    one = method.render(prepared, target, method.encode(prepared, target), 0)
    two = other.render(there, target, other.encode(there, target), 0)
    np.testing.assert_array_equal(one.rgb, two.rgb)


def test_damaged_weights_are_refused(tmp_path: Path, weights: Path) -> None:
    broken = tmp_path / "net.safetensors"
    broken.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(WeightsError, match="cannot be read"):
        Fslsd256Method(JobOptions(device="cpu"), PasteOptions(), broken)


def test_shape_mix_is_checked() -> None:
    with pytest.raises(UsageError, match="shape_mix"):
        JobOptions(shape_mix=1.6)
