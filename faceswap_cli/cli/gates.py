"""``--fail-under likeness=0.6,coverage=0.95,jitter=1.2``: figures a result must reach."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from faceswap_cli.errors import QualityGateError, UsageError

LOWER, HIGHER, ONE = "lower", "higher", "one"
DIRECTIONS = {
    "likeness": HIGHER,
    "likeness_gain": HIGHER,
    "nearest": HIGHER,
    "identity": LOWER,
    "verified": HIGHER,
    "swap_ratio": HIGHER,
    "shape": HIGHER,
    "outline": HIGHER,
    "expression": LOWER,
    "expression_gain": ONE,
    "expression_correlation": HIGHER,
    "pose": LOWER,
    "gaze": LOWER,
    "invented": LOWER,
    "seam": LOWER,
    "seam_forehead": LOWER,
    "sharpness": ONE,
    "sharpness_fine": ONE,
    "sharpness_medium": ONE,
    "sharpness_coarse": ONE,
    "jitter": LOWER,
    "flow_warp": LOWER,
    "flicker": LOWER,
    "skin_flicker": ONE,
    "outside_psnr": HIGHER,
    "coverage": HIGHER,
    "lost": LOWER,
}
"""Known figures and where they should be; the same as in ``metrics.figures.METRICS``, which is slow to
import.  Figures that should be near 1 may be off by the factor of their bound: 1.25 and 0.8 mean the same."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One figure and its bound."""

    name: str
    bound: float
    good: str
    """``LOWER``, ``HIGHER`` or ``ONE``"""

    def met(self, value: float) -> bool:
        if self.good == ONE:
            low, high = self._band
            return low <= value <= high
        return value <= self.bound if self.good == LOWER else value >= self.bound

    @property
    def _band(self) -> tuple[float, float]:
        return min(self.bound, 1 / self.bound), max(self.bound, 1 / self.bound)

    def __str__(self) -> str:
        if self.good == ONE:
            low, high = self._band
            return f"{low:.3g} <= {self.name} <= {high:.3g}"
        return f"{self.name} {'<=' if self.good == LOWER else '>='} {self.bound:g}"


def parse_gates(text: str | None) -> tuple[Gate, ...]:
    """The gates of ``name=bound,name=bound``; :class:`UsageError` when one is not understood."""
    gates = []
    for part in (text or "").split(",") if text is not None else ():
        name, equals, bound = (piece.strip() for piece in part.partition("="))
        if name not in DIRECTIONS:
            raise UsageError(f"--fail-under: unknown metric {name!r}; known: {', '.join(DIRECTIONS)}")
        try:
            value = float(bound)
        except ValueError:
            value = math.nan
        if not equals or not math.isfinite(value) or value < 0:
            raise UsageError(f"--fail-under needs a number from 0, as in {name}=0.6, not {part.strip()!r}")
        if DIRECTIONS[name] == ONE and value == 0:
            raise UsageError(f"--fail-under {name} should be near 1: give a factor above 0, as in {name}=1.2")
        gates.append(Gate(name, value, DIRECTIONS[name]))
    return tuple(gates)


def figures_for(
    gates: tuple[Gate, ...],
    ready: Mapping[str, float | None],
    measure: Callable[[], Mapping[str, float]],
) -> dict[str, float]:
    """A value for every gate: from ``ready`` where it is known, else ``measure`` runs once."""
    missing = [gate.name for gate in gates if ready.get(gate.name) is None]
    measured = measure() if missing else {}
    found = {}
    for gate in gates:
        value = ready.get(gate.name)
        value = measured.get(gate.name) if value is None else value
        if value is None or not math.isfinite(value):
            raise QualityGateError(f"{gate.name} could not be measured, so '{gate}' is not met")
        found[gate.name] = value
    return found


def check_gates(gates: tuple[Gate, ...], values: Mapping[str, float]) -> None:
    """Raise :class:`QualityGateError` that names every gate that is not met."""
    failed = [f"{gate} (is {values[gate.name]:.3f})" for gate in gates if not gate.met(values[gate.name])]
    if failed:
        raise QualityGateError(f"quality gate not met: {'; '.join(failed)}; the result was kept")
