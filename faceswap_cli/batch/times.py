"""``batch --dry-run``: how long the rows will take, from one row of each kind that is tried.

Rows of one kind have equal options and are all clips, or all pictures.  Of clips the middle one by its
frames is tried (:mod:`faceswap_cli.forecast`), and time follows frames; of pictures the first is swapped in
a temporary folder that goes.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from faceswap_cli.batch import engine
from faceswap_cli.batch.rows import Row
from faceswap_cli.config import RangeOptions
from faceswap_cli.errors import FaceswapError, Interrupted
from faceswap_cli.events import Event, Listener, StopRequest

TRIES = 2
"""Rows of a kind that are tried when the first ones fail"""


def expected_seconds(rows: Sequence[Row], listen: Listener, stop: StopRequest) -> dict[int, float]:
    """Seconds by the row's index, for the rows still to do; a kind of which nothing works is left out."""
    todo = [row for row in rows if row.state == "todo" and row.output is not None]
    found: dict[int, float] = {}
    for _, group in groupby(sorted(todo, key=_kind), key=_kind):
        found |= _of_a_kind(list(group), listen, stop)
    return found


def _kind(row: Row) -> tuple[bool, str]:
    return row.target.clip is None, repr(replace(row.options, range=RangeOptions()))


def _of_a_kind(rows: Sequence[Row], listen: Listener, stop: StopRequest) -> dict[int, float]:
    ordered = sorted(rows, key=lambda row: row.target.clip.frames if row.target.clip else 0)
    middle = len(ordered) // 2
    problem = None
    for row in (ordered[middle:] + ordered[:middle])[:TRIES]:
        try:
            return _clips(row, rows, listen, stop) if row.target.clip else _pictures(row, rows, listen, stop)
        except Interrupted:
            raise
        except FaceswapError as error:
            problem = problem or error
    listen(Event("warning", {"message": f"no estimate: {problem}"}))
    return {}


def _clips(tried: Row, rows: Sequence[Row], listen: Listener, stop: StopRequest) -> dict[int, float]:
    from faceswap_cli.forecast import forecast
    from faceswap_cli.jobs.estimate import assemble_seconds

    seen = forecast(tried.sources, tried.target.path, tried.options, listen, stop)
    each = (seen.seconds["analyse"] + seen.seconds["render"]) / max(seen.frames, 1)
    found, before = {}, None
    for row in sorted(rows, key=lambda row: row.index):
        size = row.target.path.stat().st_size
        again = 0.0 if row.sources == before else seen.seconds["prepare"]
        found[row.index] = again + each * _frames(row) + assemble_seconds(size, size)
        before = row.sources
    return found


def _frames(row: Row) -> int:
    from faceswap_cli.tracking.analyse import expected_frames
    from faceswap_cli.video.ranges import pts_range

    assert row.target.clip is not None
    return expected_frames(row.target.clip, *pts_range(row.target.clip, row.options.range))


def _pictures(tried: Row, rows: Sequence[Row], listen: Listener, stop: StopRequest) -> dict[int, float]:
    assert tried.output is not None
    with tempfile.TemporaryDirectory(prefix="faceswap-", ignore_cleanup_errors=True) as folder:
        source = engine.identify(tried.sources, tried.options.detect)
        trial = replace(tried, output=Path(folder) / tried.output.name)
        engine.swap_row(trial, source, listen, stop)
        started = time.perf_counter()  # of the second one: the first loads the networks
        engine.swap_row(trial, source, listen, stop)
        each = time.perf_counter() - started
    return dict.fromkeys((row.index for row in rows), each)
