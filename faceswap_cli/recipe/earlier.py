"""What an earlier job can spare a new one; the contract between a kept job and the pipeline."""

from __future__ import annotations

from typing import Protocol

from faceswap_cli.config import SwapOptions
from faceswap_cli.jobs.journal import Journal
from faceswap_cli.jobs.keys import Key
from faceswap_cli.records import Analysis, Clip, Plan
from faceswap_cli.swap.engine import Scene


class Earlier(Protocol):
    """An earlier job on the same clip."""

    def analysis(self, clip: Clip, options: SwapOptions, key: Key) -> Analysis | None:
        """What pass 1 would find for ``key``; None when that is not known."""

    def lend(self, journal: Journal, job: Plan, scene: Scene, key: Key) -> None:
        """Put segments that the new job would render alike into its journal."""


class Nothing:
    """There was none."""

    def analysis(self, clip: Clip, options: SwapOptions, key: Key) -> Analysis | None:
        return None

    def lend(self, journal: Journal, job: Plan, scene: Scene, key: Key) -> None:
        pass


NOTHING = Nothing()
