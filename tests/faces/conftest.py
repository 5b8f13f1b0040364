"""A real face: the public-domain portrait of the examples."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceswap_cli.config import DetectOptions
from faceswap_cli.faces.finder import FaceFinder
from faceswap_cli.records import U8

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def portrait() -> U8:
    """(512, 512, 3)"""
    with Image.open(ROOT / "examples" / "source.jpg") as image:
        return np.asarray(image.convert("RGB"), np.uint8)[:512, :512].copy()


@pytest.fixture(scope="session")
def finder() -> Iterator[FaceFinder]:
    with closing(FaceFinder(DetectOptions())) as models:
        yield models
