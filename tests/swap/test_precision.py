"""Faces drawn in bfloat16 are those drawn in float32, by the weights that come with the program."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from drawn import crop, identity, mesh_points, photo, picture

from faceswap_cli.config import JobOptions, PasteOptions
from faceswap_cli.records import U8
from faceswap_cli.swap import fslsd256_weights
from faceswap_cli.swap.methods import fslsd256

LEAST_DB = 45.0


@pytest.fixture
def _read_anew() -> Iterator[None]:
    fslsd256_weights.ready_net.cache_clear()
    yield
    fslsd256_weights.ready_net.cache_clear()


def drawn(half: bool, monkeypatch: pytest.MonkeyPatch) -> tuple[U8, np.ndarray]:
    monkeypatch.setattr(fslsd256_weights, "half_precision", lambda device: half)
    fslsd256_weights.ready_net.cache_clear()
    method = fslsd256.build_fslsd256(JobOptions(device="cpu"), PasteOptions(occlusion=False))
    points = mesh_points()
    prepared = method.prepare(identity(photo(picture(points, (150, 110, 90), seed=1), points)))
    target = crop(picture(points), points, 320)
    face = method.render(prepared, target, method.encode(prepared, target), 0)
    return face.rgb, face.mask


@pytest.mark.usefixtures("_read_anew")
def test_half_precision_stays_45_db_near(monkeypatch: pytest.MonkeyPatch) -> None:
    (a, mask), (b, _) = (drawn(half, monkeypatch) for half in (True, False))
    inside = mask > 0.05
    error = np.square(a[inside].astype(np.float64) - b[inside]).mean()
    assert error > 0  # or the same was drawn twice
    assert 10 * np.log10(255**2 / error) > LEAST_DB
