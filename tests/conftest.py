"""What all tests may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def shared() -> Path:
    """The folder of test data that is not part of the repository: FACESWAP_SHARED, or beside it."""
    folder = Path(os.environ.get("FACESWAP_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no test data in {folder}; set FACESWAP_SHARED")
    return folder
