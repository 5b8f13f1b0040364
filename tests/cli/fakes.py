"""What the tests of the command line share: a fake library call, small files, what a command left."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from faceswap_cli.config import SwapOptions
from faceswap_cli.events import Event, Listener, StopRequest
from faceswap_cli.records import LedgerRow, Report


@dataclass
class Ran:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """stdout as the one JSON object that it must be."""
        assert self.out.count("\n") == 1
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    def failed(self, code: int, *words: str) -> None:
        """One line on stderr, behind the one that says what is done: our prefix, the code, the words."""
        # The portrait of the tests laughs, and a line says so.
        lines = [line for line in self.err.splitlines() if "the mouth is open" not in line]
        lines = lines[1:] if len(lines) > 1 and " into " in lines[0] else lines
        assert len(lines) == 1, self.err
        assert lines[0].startswith("faceswap: error: ")
        assert self.code == code, lines[0]
        for word in words:
            assert word in lines[0]


def row(pts: int, *, swapped: bool = True, person: int = 0, distance: float | None = 0.4) -> LedgerRow:
    return LedgerRow(
        pts, pts / 25, 0, person, swapped, "" if swapped else "lost", (1, 2, 3, 4), 5.0, 6.0, 7.0, distance
    )


@dataclass
class FakePipeline:
    """Stands for ``faceswap_cli.pipeline``: keeps its arguments and writes a small file."""

    calls: list[tuple[str, tuple[Path, ...], Path, Path, SwapOptions]] = field(default_factory=list)
    rows: tuple[LedgerRow, ...] = tuple(row(pts) for pts in range(10))
    people: int = 1
    error: BaseException | None = None
    during: Callable[[Listener, StopRequest], None] | None = None
    notes: tuple[str, ...] = ()

    def swap_video(
        self,
        sources: Sequence[Path],
        target: Path,
        output: Path,
        options: SwapOptions,
        listen: Listener,
        stop: StopRequest,
    ) -> Report:
        return self._swap("video", tuple(sources), target, output, options, listen, stop)

    def swap_image(
        self,
        sources: Sequence[Path],
        target: Path,
        output: Path,
        options: SwapOptions,
        listen: Listener,
        stop: StopRequest,
    ) -> Report:
        return self._swap("image", tuple(sources), target, output, options, listen, stop)

    def preview(
        self,
        sources: Sequence[Path],
        target: Path,
        output: Path,
        options: SwapOptions,
        count: int,
        listen: Listener,
        stop: StopRequest,
    ) -> Report:
        return self._swap(f"preview {count}", tuple(sources), target, output, options, listen, stop)

    def _swap(
        self,
        kind: str,
        sources: tuple[Path, ...],
        target: Path,
        output: Path,
        options: SwapOptions,
        listen: Listener,
        stop: StopRequest,
    ) -> Report:
        self.calls.append((kind, sources, target, output, options))
        for done in range(1, 11):
            listen(Event("progress", {"stage": "render", "done": done, "total": 10}))
        if self.during is not None:
            self.during(listen, stop)
        if self.error is not None:
            raise self.error
        output.write_bytes(b"made of " + os.fsencode(target.name))
        return Report(output, 10, 10, 10, self.people, 0, {"render": 0.5}, self.rows, self.notes)


def picture(path: Path) -> Path:
    noise = np.random.default_rng(list(os.fsencode(path.name))).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path
