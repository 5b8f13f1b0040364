"""``--fail-under verdict,likeness=0.6,coverage=0.95``: what a result must reach, and each person in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from faceswap_cli.errors import QualityGateError, UsageError

LOWER, HIGHER, ONE = "lower", "higher", "one"
VERDICT, GOOD = "verdict", "Good"
"""The gate without a bound, and what it wants; the same word as in ``metrics.verdict``"""
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
        if self.name == VERDICT:
            return VERDICT
        if self.good == ONE:
            low, high = self._band
            return f"{low:.3g} <= {self.name} <= {high:.3g}"
        return f"{self.name} {'<=' if self.good == LOWER else '>='} {self.bound:g}"


def parse_gates(text: str | None) -> tuple[Gate, ...]:
    """The gates of ``verdict,name=bound``; :class:`UsageError` when one is not understood."""
    gates = []
    for part in (text or "").split(",") if text is not None else ():
        name, equals, bound = (piece.strip() for piece in part.partition("="))
        if name == VERDICT and not equals:
            gates.append(Gate(VERDICT, math.nan, VERDICT))
            continue
        if name not in DIRECTIONS:
            known = ", ".join((*DIRECTIONS, VERDICT))
            wrong = f"{VERDICT} takes no number" if name == VERDICT else f"unknown metric {name!r}"
            raise UsageError(f"--fail-under: {wrong}; known: {known}")
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


def unknown(gates: tuple[Gate, ...], ready: Mapping[str, float | None]) -> bool:
    """Is there a gate whose value is not in ``ready``?"""
    return any(ready.get(gate.name) is None for gate in gates)


def figures_for(
    gates: tuple[Gate, ...],
    ready: Mapping[str, float | None],
    measure: Callable[[], Mapping[str, float]],
) -> dict[str, float]:
    """A value for every gate: from ``ready`` where it is known, else ``measure`` runs once."""
    measured = measure() if unknown(gates, ready) else {}
    found = {}
    for gate in gates:
        if gate.name == VERDICT:
            continue
        value = ready.get(gate.name)
        value = measured.get(gate.name) if value is None else value
        if value is None or not math.isfinite(value):
            raise QualityGateError(f"{gate.name} could not be measured, so '{gate}' is not met")
        found[gate.name] = value
    return found


def check_gates(
    gates: tuple[Gate, ...],
    values: Mapping[str, float],
    people: Mapping[str, Mapping[str, float | None]] = {},
    verdict: Mapping[str, str] | None = None,
) -> None:
    """Raise :class:`QualityGateError` that names every gate that is not met, and who misses it.

    ``people``: name -> figures; ``verdict`` as ``Verdict.as_dict`` gives it.
    """
    failed = []
    for gate in gates:
        if gate.name == VERDICT:
            if verdict is None or verdict["word"] != GOOD:
                failed.append(f"the verdict is not {GOOD!r} ({verdict['sentence'] if verdict else 'none'})")
        elif missed := list(_missed(gate, values, people)):
            failed.append(f"{gate} ({', '.join(missed)})")
    if failed:
        raise QualityGateError(f"quality gate not met: {'; '.join(failed)}; the result was kept")


def _missed(
    gate: Gate, values: Mapping[str, float], people: Mapping[str, Mapping[str, float | None]]
) -> Iterable[str]:
    """Who does not meet ``gate``: each person by name, or the result where there is one person."""
    if not people:
        if not gate.met(values[gate.name]):
            yield f"is {values[gate.name]:.3f}"
        return
    for name, figures in people.items():
        value = figures.get(gate.name)
        if value is None:
            yield f"of {name} it could not be measured"
        elif not gate.met(value):
            yield f"{name}: {value:.3f}"


def people_of(
    ready: Iterable[Mapping[str, Any]], measured: Iterable[Mapping[str, Any]]
) -> dict[str, dict[str, float | None]]:
    """Name -> figures of each person, from the ledger's part and from what was measured of them (JSON)."""
    figures: dict[int, dict[str, float | None]] = {}
    names: dict[int, str] = {}
    for one in measured:
        figures[one["person"]] = dict(one["figures"])
        names[one["person"]] = f"person {one['person'] + 1} ({one['source']})"
    for one in ready:
        own = {name: one[name] for name in DIRECTIONS if one.get(name) is not None}
        figures.setdefault(one["person"], {}).update(own)
        names.setdefault(one["person"], f"person {one['person'] + 1}")
    return {names[person]: figures[person] for person in sorted(figures)}
