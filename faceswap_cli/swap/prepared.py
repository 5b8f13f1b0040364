"""What a method computes once per source person, kept for the next target of the same person."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from faceswap_cli.config import JobOptions, PasteOptions, SwapOptions
from faceswap_cli.records import SourceIdentity
from faceswap_cli.swap.method import SwapMethod

KEPT = 8
"""Results kept at a time; one of ``mesh`` takes 7 MB."""


def prepared(method: SwapMethod, source: SourceIdentity, options: SwapOptions) -> Any:
    """``method.prepare(source)``; the same object when nothing that it depends on has changed."""
    changes = options.edit.appearance
    return _prepared(
        _Case(method.name, method.inputs_digest, options.job, options.paste, changes, source, method)
    )


@contextmanager
def meanwhile(work: Callable[[], None]) -> Iterator[None]:
    """Do ``work`` in a thread beside the block, and be done with it when the block is.

    ``work`` only runs ahead of what is done again, and properly, after the block: its errors are raised then.
    """

    def run() -> None:
        with suppress(Exception):
            work()

    thread = threading.Thread(target=run, name="meanwhile", daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@dataclass(frozen=True)
class _Case:
    name: str
    inputs: str
    job: JobOptions
    paste: PasteOptions
    changes: tuple[tuple[str, float], ...]
    source: SourceIdentity
    """Compared by identity: a batch identifies each person once"""
    method: SwapMethod = field(compare=False)


@lru_cache(maxsize=KEPT)
def _prepared(case: _Case) -> Any:
    source = replace(case.source, changes=case.changes) if case.changes else case.source
    return case.method.prepare(source)
