"""Chips and the recognition network: conversion, alignment, what distances say."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from faceswap_cli.faces.detect import find_faces
from faceswap_cli.faces.finder import FaceFinder
from faceswap_cli.faces.landmarks import FIVE
from faceswap_cli.geometry.align import apply
from faceswap_cli.identity.embed import (
    CHIP,
    SAME_PERSON,
    chip_from_points,
    embed,
    embed_chips,
    identity_network,
)
from faceswap_cli.nets.dlib_resnet import DlibResNet
from faceswap_cli.records import U8
from tests.faces.meshes import face

STORED = [
    [-0.0412, 0.1315, 0.0533, -0.0274, -0.0360, -0.0538, -0.0740, 0.0224, 0.1242, 0.0037],
    [-0.0658, 0.0059, 0.0244, 0.0829, -0.1555, -0.0211, 0.0164, -0.0942, 0.0364, -0.0565],
]

# Eye corners and base of the nose in dlib's chips, pixels (its own numbers, centers from 0, plus a half).
TEMPLATE = [(111.457, 46.85), (90.106, 48.397), (37.558, 46.873), (58.909, 48.406), (74.511, 88.28)]


def test_the_chip_is_the_least_squares_similarity() -> None:
    mesh = face(300, 200, 70, yaw=10, roll=40)
    matrix = chip_from_points(mesh)
    points = mesh[list(FIVE), :2].astype(np.float64)
    # The same by general least squares in (a, b, tx, ty).
    rows = [row for x, y in points for row in ((x, -y, 1, 0), (y, x, 0, 1))]
    a, b, tx, ty = np.linalg.lstsq(np.array(rows), np.array(TEMPLATE).ravel(), rcond=None)[0]
    np.testing.assert_allclose(matrix[:2], [[a, -b, tx], [b, a, ty]], atol=2e-3)


def test_chips_follow_the_face_and_come_in_batches() -> None:
    meshes = np.stack([face(300, 200, 70), face(50, 400, 30, roll=-75)])
    for mesh, matrix in zip(meshes, chip_from_points(meshes), strict=True):
        found = apply(matrix, mesh)[list(FIVE), :2]
        assert np.abs(found - TEMPLATE).max() < 6  # of the mean face


def test_the_network_reproduces_stored_descriptors() -> None:
    """Ten numbers per picture of the 32-bit weights, by another converter (equal to dlib to 1e-6)."""
    y, x = np.mgrid[:CHIP, :CHIP]
    ramp = np.stack([x, y, 255 - x], axis=-1).astype(np.uint8)
    checks = (((x // 10 + y // 10) % 2)[..., None] * np.array([200, 120, 60])).astype(np.uint8)
    found = embed_chips(np.stack([ramp, checks]))[:, :10]
    np.testing.assert_allclose(found, STORED, atol=1e-3)


def test_features_go_from_fine_to_coarse() -> None:
    maps = DlibResNet().features(torch.rand(2, 3, CHIP, CHIP) * 255)
    assert [tuple(m.shape[1:]) for m in maps] == [
        (32, 72, 72),
        (32, 35, 35),
        (64, 17, 17),
        (128, 8, 8),
        (256, 4, 4),
        (256, 2, 2),
    ]


def test_gradients_reach_the_picture() -> None:
    chip = (torch.rand(1, 3, CHIP, CHIP) * 255).requires_grad_()
    identity_network()(chip).pow(2).sum().backward()  # type: ignore[no-untyped-call]
    assert chip.grad is not None
    assert float(chip.grad.abs().sum()) > 0


def test_batch_and_single_agree() -> None:
    chips = np.random.default_rng(0).integers(0, 256, (3, CHIP, CHIP, 3)).astype(np.uint8)
    together = embed_chips(chips)
    np.testing.assert_allclose(np.concatenate([embed_chips(c[None]) for c in chips]), together, atol=1e-4)
    assert embed_chips(chips[:0]).shape == (0, 128)


def test_one_person_stays_one_and_flips_average(portrait: U8, finder: FaceFinder) -> None:
    pictures = [
        portrait,
        np.ascontiguousarray(portrait[:, ::-1]),
        np.asarray(cv2.resize(portrait, (300, 300), interpolation=cv2.INTER_AREA), np.uint8),
        np.ascontiguousarray(np.rot90(portrait)),
        (portrait * 0.5).astype(np.uint8),
    ]
    meshes = [find_faces(picture, finder=finder)[0].landmarks for picture in pictures]
    plain = [embed(p, m[None])[0] for p, m in zip(pictures, meshes, strict=True)]
    assert max(np.linalg.norm(e - plain[0]) for e in plain) < 0.6 * SAME_PERSON
    both = [embed(p, m[None], flip=True)[0] for p, m in zip(pictures[:2], meshes[:2], strict=True)]
    assert np.linalg.norm(both[0] - both[1]) < 0.6 * np.linalg.norm(plain[0] - plain[1])


def test_the_thread_count_is_left_as_it_was() -> None:
    usual = torch.get_num_threads()
    embed_chips(np.zeros((1, CHIP, CHIP, 3), np.uint8))
    assert torch.get_num_threads() == usual


@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_size_does_not_matter_to_the_chip(scale: float) -> None:
    mesh = face(300, 200, 60)
    np.testing.assert_allclose(
        apply(chip_from_points(mesh * np.float32(scale)), mesh * np.float32(scale))[:, :2],
        apply(chip_from_points(mesh), mesh)[:, :2],
        atol=1e-2,
    )
