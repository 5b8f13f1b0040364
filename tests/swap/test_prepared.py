"""A source is prepared once for each way of swapping, not once for each target."""

from __future__ import annotations

import time
from typing import Any, cast

import numpy as np

from faceswap_cli.config import JobOptions, PasteOptions, SwapOptions
from faceswap_cli.records import SourceIdentity
from faceswap_cli.swap.method import SwapMethod
from faceswap_cli.swap.prepared import meanwhile, prepared


class Counting:
    """A method that counts how often it prepares."""

    name = "counting"

    def __init__(self, inputs_digest: str = "") -> None:
        self.inputs_digest = inputs_digest
        self.calls = 0

    def prepare(self, source: SourceIdentity) -> Any:
        self.calls += 1
        return object()


def person() -> SourceIdentity:
    return SourceIdentity("somebody", (), np.zeros(128, np.float32), "same digest")


def test_once_for_one_person_and_one_way() -> None:
    first, again = Counting(), Counting()
    known, options = person(), SwapOptions()
    kept = prepared(cast(SwapMethod, first), known, options)
    assert prepared(cast(SwapMethod, again), known, SwapOptions()) is kept
    assert (first.calls, again.calls) == (1, 0)


def test_anew_when_anything_differs() -> None:
    method, known = cast(SwapMethod, Counting()), person()
    kept = prepared(method, known, SwapOptions())
    others = [
        prepared(method, person(), SwapOptions()),
        prepared(method, known, SwapOptions(job=JobOptions(seed=1))),
        prepared(method, known, SwapOptions(paste=PasteOptions(feather=0.1))),
        prepared(cast(SwapMethod, Counting("other weights")), known, SwapOptions()),
    ]
    assert len({id(one) for one in [kept, *others]}) == 5


def test_what_runs_ahead_is_done_with_the_block_and_fails_in_silence() -> None:
    done: list[str] = []

    def work() -> None:
        time.sleep(0.05)
        done.append("work")
        raise ValueError("told when it is done properly")

    with meanwhile(work):
        done.append("block")
    assert done == ["block", "work"]
