"""The fixtures of the command line: a machine of its own for each test that asks for it."""

from __future__ import annotations

from tests.cli.conftest import accepted, clip, machine, photo, pipeline, run

__all__ = ["accepted", "clip", "machine", "photo", "pipeline", "run"]
