"""One first pass serves all tests of faults in the second."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.small_job import SmallJob, analysed, copy_of
from tests.jobs.example import frames_digest


@pytest.fixture(scope="session")
def analysed_job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return analysed(tmp_path_factory.mktemp("analysed"))


@pytest.fixture
def job(analysed_job: Path, tmp_path: Path) -> SmallJob:
    """A job at the beginning of its second pass."""
    return copy_of(analysed_job, tmp_path / "job")


@pytest.fixture(scope="session")
def whole(analysed_job: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Digest of the frames that an undisturbed run makes."""
    undisturbed = copy_of(analysed_job, tmp_path_factory.mktemp("whole") / "job")
    undisturbed.run()
    return frames_digest(undisturbed.output)
