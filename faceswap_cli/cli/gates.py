"""``--fail-under identity=0.6,coverage=0.95,jitter=1.2``: figures a result must reach."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from faceswap_cli.errors import QualityGateError, UsageError


@dataclass(frozen=True, slots=True)
class Gate:
    """One figure and its bound."""

    name: str
    bound: float
    at_most: bool
    """True when smaller is better."""

    def met(self, value: float) -> bool:
        return value <= self.bound if self.at_most else value >= self.bound

    def __str__(self) -> str:
        return f"{self.name} {'<=' if self.at_most else '>='} {self.bound:g}"


AT_MOST = {"identity": True, "coverage": False, "jitter": True}
"""Known figures: identity distance to the source, share of frames swapped, landmark jitter ratio."""


def parse_gates(text: str | None) -> tuple[Gate, ...]:
    """The gates of ``name=bound,name=bound``; :class:`UsageError` when one is not understood."""
    gates = []
    for part in (text or "").split(",") if text is not None else ():
        name, equals, bound = (piece.strip() for piece in part.partition("="))
        if name not in AT_MOST:
            raise UsageError(f"--fail-under does not know {name!r}; known: {', '.join(AT_MOST)}")
        try:
            value = float(bound)
        except ValueError:
            value = math.nan
        if not equals or not math.isfinite(value) or value < 0:
            raise UsageError(f"--fail-under needs a number from 0, as in {name}=0.6, not {part.strip()!r}")
        gates.append(Gate(name, value, AT_MOST[name]))
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
