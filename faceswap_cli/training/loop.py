"""The one explicit training loop: steps, phases and their gates, figures, sheets, states."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from faceswap_cli.events import NEVER, StopRequest
from faceswap_cli.training.batches import Batch, Sampler
from faceswap_cli.training.export import export_weights
from faceswap_cli.training.measure import fixed_batches, measure, sheet
from faceswap_cli.training.options import Phase
from faceswap_cli.training.state import load_state, save_state
from faceswap_cli.training.trainer import Progress, Trainer, agreed

LOWER_BETTER = ("identity", "landmarks", "expression", "gaze", "pose")
WEIGHTS = "fslsd-256.safetensors"
METRICS = "metrics.ndjson"


def gate_open(phase: Phase, figures: dict[str, float]) -> bool:
    """Whether the phase's figures hold; a figure that was never measured keeps the gate shut."""
    for name, limit in phase.gate.items():
        value = figures.get(name, math.nan)
        good = value <= limit if name in LOWER_BETTER else value >= limit
        if not good:
            return False
    return True


@dataclass
class Journal:
    """Metrics as NDJSON, one line at a time."""

    path: Path

    def write(self, **values: Any) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        clean = {k: round(v, 6) if isinstance(v, float) else v for k, v in values.items()}
        with self.path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(clean) + "\n")


Show = Callable[[dict[str, Any]], None]


class Run:
    """A training run: steps, figures, sheets, states; stops at ``max_time_s``, at a signal, or at the end."""

    def __init__(self, trainer: Trainer, stop: StopRequest = NEVER, show: Show | None = None) -> None:
        self.trainer, self.stop, self.show = trainer, stop, show
        self.folder = trainer.options.folder
        self.journal = Journal(self.folder / METRICS)
        self.began = time.monotonic()
        self.saved = self.began
        self.window: list[tuple[float, int]] = []
        self.sums: dict[str, list[float]] = {}
        self.fixed: list[Batch] = []

    def go(self, max_time_s: float = math.inf, max_steps: int = 10**12) -> Progress:
        trainer, progress = self.trainer, self.trainer.progress
        state = load_state(self.folder)
        if state is not None:
            trainer.restore(state)
            progress = trainer.progress
        try:
            self._steps(progress.step + max_steps, max_time_s)
        finally:
            trainer.close()
        self._save()
        return progress

    def _steps(self, end_step: int, max_time_s: float) -> None:
        trainer, progress = self.trainer, self.trainer.progress
        while not self._finished() and progress.step < end_step:
            started = time.monotonic()
            values = trainer.step()
            progress.seconds += time.monotonic() - started
            self._note(values)
            self._attend()
            if self._must_stop(max_time_s):
                break

    def _must_stop(self, max_time_s: float) -> bool:
        """The same answer in every process: the first one decides."""
        late = time.monotonic() - self.began > max_time_s or self.stop.requested
        return agreed(late, self.trainer.place)

    def _finished(self) -> bool:
        """Move on to the next phase when this one is done; True after the last."""
        trainer, progress = self.trainer, self.trainer.progress
        phase = trainer.phase
        if progress.phase_images < phase.images:
            return False
        late = progress.phase_images >= phase.images * phase.patience
        if not late and not agreed(gate_open(phase, progress.figures), trainer.place):
            return False
        if progress.phase + 1 >= len(trainer.options.phases):
            return True
        self._line(event="phase", ended=phase.name, gate_open=gate_open(phase, progress.figures))
        progress.phase += 1
        progress.phase_images = 0
        return False

    def _note(self, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.sums.setdefault(name, []).append(value)
        progress = self.trainer.progress
        self.window.append((time.monotonic(), progress.images))
        self.window = self.window[-200:]
        if progress.step % 20 == 0 and self.trainer.place.first:
            means = {name: float(np.mean(v)) for name, v in self.sums.items()}
            self._line(event="step", phase=self.trainer.phase.name, **means)
            self.sums = {}

    @property
    def rate(self) -> float:
        """Images a second over the last steps, all processes together."""
        if len(self.window) < 2:
            return 0.0
        (t0, i0), (t1, i1) = self.window[0], self.window[-1]
        return (i1 - i0) / max(t1 - t0, 1e-6)

    def _line(self, **values: Any) -> None:
        progress = self.trainer.progress
        if not self.trainer.place.first:
            return
        row = {"step": progress.step, "images": progress.images, "rate": self.rate, **values}
        self.journal.write(time=round(time.time(), 1), **row)
        if self.show is not None:
            self.show(row)

    def _attend(self) -> None:
        """Figures, sheets and states when they are due."""
        options, step = self.trainer.options, self.trainer.progress.step
        if self.trainer.place.first and step % options.measure_every == 0:
            self.measure()
        if self.trainer.place.first and step % options.sheet_every == 0:
            self.draw_sheet()
        due = time.monotonic() - self.saved > options.save_every_s
        if agreed(due, self.trainer.place):
            self._save()

    def _batches(self) -> list[Batch]:
        if not self.fixed:
            trainer = self.trainer
            kept = Sampler(trainer.sampler.pool, trainer.basis, 7, held_out=True)
            if len(kept.people) < 2:
                kept = Sampler(trainer.sampler.pool, trainer.basis, 7)
            kept.mean = trainer.sampler.mean
            kept.shape_mix = 0.0
            self.fixed = [b.to(trainer.place.device) for b in fixed_batches(kept, 6, 8)]
        return self.fixed

    def measure(self) -> dict[str, float]:
        trainer = self.trainer
        trainer.progress.figures = measure(trainer.ema, trainer.eyes, self._batches())
        self._line(event="figures", phase=trainer.phase.name, **trainer.progress.figures)
        return trainer.progress.figures

    def draw_sheet(self) -> None:
        path = self.folder / "sheets" / f"{self.trainer.progress.images:08d}.png"
        sheet(self.trainer.ema, self._batches(), path)

    def _save(self) -> None:
        trainer = self.trainer
        state = trainer.state()
        if trainer.place.first:
            save_state(self.folder, state)
            export_weights(trainer.ema, self.folder / WEIGHTS, trainer.progress.images)
        self.saved = time.monotonic()
