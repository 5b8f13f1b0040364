"""A person file made of numbers: what the format must carry."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from faceswap_cli.identity.enrolled import Enrolled, Share
from faceswap_cli.identity.faceid import Faceid
from faceswap_cli.records import SourcePhoto


def made(*, photos: int = 0, seed: int = 0) -> Faceid:
    rng = np.random.default_rng(seed)

    def some(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    def picture(side: int) -> np.ndarray:
        return rng.integers(0, 256, (side, side, 3), dtype=np.uint8)

    person = Enrolled(
        name="anna",
        texture=picture(96),
        surroundings=picture(16),
        points=some(478, 3),
        light=some(478, 3),
        neutral=some(478, 3),
        seen=some(478),
    )
    kept = tuple(
        SourcePhoto(Path(f"{k}.png"), picture(40), some(478, 3), np.zeros(128, np.float32), 0.5)
        for k in range(photos)
    )
    shares = (Share("photo 1", 0.75, 0.9, 3.0, 300.0, 0.2), Share("photo 2", 0.25, 0.3, -24.0, 150.0, 0.25))
    return Faceid(person, some(128), some(2, 128), shares, kept, ("no left profile",), "2025-01-01", "0.1")
