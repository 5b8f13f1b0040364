"""What all tests may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from faceswap_cli.memory import give_back
from faceswap_cli.records import U8

ROOT = Path(__file__).resolve().parent.parent
# Commands that tests start, and library calls (below), take the quick method unless a test names another.
os.environ.setdefault("FACESWAP_METHOD", "mesh")


@pytest.fixture(autouse=True, scope="session")
def _quick_method() -> Iterator[None]:
    """Of the whole session: what fixtures of a module make must be made with the same method."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("faceswap_cli.swap.BEST", "mesh")
        yield


@pytest.fixture(autouse=True, scope="module")
def _memory_given_back() -> Iterator[None]:
    """Full-size networks of one module leave gigabytes of free heap, which several workers do not have."""
    yield
    give_back()


@pytest.fixture
def shared() -> Path:
    """The folder of test data that is not part of the repository: FACESWAP_SHARED, or beside it."""
    folder = Path(os.environ.get("FACESWAP_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no test data in {folder}; set FACESWAP_SHARED")
    return folder


@pytest.fixture(scope="session")
def _signing_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("signing")


@pytest.fixture(autouse=True)
def _own_signing_key(_signing_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests sign with a key of their own: nothing is written into the user's folders."""
    monkeypatch.setattr("faceswap_cli.provenance.keys.key_path", lambda: _signing_folder / "signer.pem")


@pytest.fixture(scope="session")
def finder() -> Iterator[object]:
    """The face models, loaded once."""
    from faceswap_cli.config import DetectOptions
    from faceswap_cli.faces.finder import FaceFinder

    with closing(FaceFinder(DetectOptions())) as models:
        yield models


@pytest.fixture(scope="session")
def portrait(finder: object) -> U8:
    """(512, 512, 3) head and a little room, upright: the largest face of the example picture."""
    from PIL import Image

    from faceswap_cli.faces.crops import cut, upright_crop
    from faceswap_cli.faces.detect import find_faces

    with Image.open(ROOT / "examples" / "source.jpg") as image:
        picture = np.asarray(image.convert("RGB"), np.uint8)
    mesh = find_faces(picture, finder=finder)[0].landmarks  # type: ignore[arg-type]
    return cut(picture, upright_crop(mesh, 512, 2.4), 512)
