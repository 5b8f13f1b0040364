"""Crops are shrunk once for two uses, and never taken for others."""

from __future__ import annotations

import pickle

import numpy as np

from faceswap_cli.swap.shrunk import KEPT, Shrunk


def crop(seed: int, side: int = 96) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3)).astype(np.uint8)


def test_the_second_use_takes_what_the_first_has_made() -> None:
    shrunk, rgb = Shrunk(32), crop(0)
    first = shrunk.of(rgb)
    assert shrunk.of(rgb) is first
    np.testing.assert_array_equal(shrunk.of(rgb), first)
    assert shrunk.of(first) is first


def test_what_is_kept_is_bounded_and_belongs_to_its_crop() -> None:
    shrunk = Shrunk(32)
    alive = [crop(k) for k in range(KEPT + 5)]
    for rgb in alive:
        shrunk.of(rgb)
    assert len(shrunk._kept) == KEPT
    for k in range(200):  # numbers of arrays that are gone come again
        np.testing.assert_array_equal(shrunk.of(crop(k)), Shrunk(32).of(crop(k)))
    assert pickle.loads(pickle.dumps(shrunk))._kept == {}
