"""A real face: the public-domain portrait of the examples."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceswap_cli.config import DetectOptions
from faceswap_cli.faces.crops import cut, upright_crop
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.faces.finder import FaceFinder
from faceswap_cli.records import U8

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def finder() -> Iterator[FaceFinder]:
    with closing(FaceFinder(DetectOptions())) as models:
        yield models


@pytest.fixture(scope="session")
def portrait(finder: FaceFinder) -> U8:
    """(512, 512, 3) head and a little room, upright: the largest face of the example picture."""
    with Image.open(ROOT / "examples" / "source.jpg") as image:
        picture = np.asarray(image.convert("RGB"), np.uint8)
    mesh = find_faces(picture, finder=finder)[0].landmarks
    return cut(picture, upright_crop(mesh, 512, 2.4), 512)
