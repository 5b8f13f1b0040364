"""Charts as SVG paths and as numbers for the readout.

A plot is a box of ``WIDTH`` x ``HEIGHT`` units that the page stretches; labels are text beside
it, so they keep their size on a phone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from faceswap_cli.records import F64
from faceswap_cli.report.facts import clock, person_label
from faceswap_cli.report.series import Chart, Line

WIDTH, HEIGHT = 1000, 200


@dataclass(frozen=True, slots=True)
class DrawnLine:
    """One person's line; ``band`` is empty where nothing was pooled."""

    number: int
    """Position among the people of the page: it decides the color"""
    label: str
    path: str
    band: str
    mean: str
    worst: str


@dataclass(frozen=True, slots=True)
class DrawnChart:
    """A chart ready for the page."""

    name: str
    title: str
    meaning: str
    lines: tuple[DrawnLine, ...]
    ticks: tuple[str, ...]
    """From the top down"""
    times: tuple[str, ...]
    limit_y: float | None
    summary: str
    """In words, for those who do not see it"""


def draw(chart: Chart, length_s: float, start_s: float = 0.0) -> DrawnChart:
    """The plot is ``length_s`` seconds wide and begins at ``start_s`` of the target."""
    drawn = tuple(_line(k, line, chart, length_s) for k, line in enumerate(chart.lines))
    limit = None if chart.limit is None or chart.limit > chart.top else _y(np.array(chart.limit), chart.top)
    said = "; ".join(f"{line.label}: mean {line.mean}, {line.worst}" for line in drawn if line.path)
    return DrawnChart(
        chart.name,
        chart.title,
        chart.meaning,
        drawn,
        tuple(text(chart, chart.top * share) for share in (1.0, 0.5, 0.0)),
        tuple(clock(start_s + length_s * share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)),
        None if limit is None else round(float(limit), 1),
        said,
    )


def text(chart: Chart, value: float) -> str:
    return f"{value:.0%}" if chart.percent else f"{value:.2f}".rstrip("0").rstrip(".") if value else "0"


def _line(number: int, line: Line, chart: Chart, length_s: float) -> DrawnLine:
    if not len(line.values):
        return DrawnLine(number, person_label(line.person), "", "", "", "")
    x, y = _x(line.seconds, length_s), _y(line.values, chart.top)
    path = "".join(_path(x[piece], y[piece]) for piece in line.pieces())
    band = ""
    if line.pooled:
        low, high = _y(line.low, chart.top), _y(line.high, chart.top)
        band = "".join(_band(x[piece], low[piece], high[piece]) for piece in line.pieces())
    extreme = line.low.min() if chart.name == "coverage" else line.high.max()
    word = "lowest" if chart.name == "coverage" else "highest"
    precise = "{:.0%}" if chart.percent else "{:.2f}"
    return DrawnLine(
        number,
        person_label(line.person),
        path,
        band,
        precise.format(float(line.values.mean())),
        f"{word} {precise.format(float(extreme))}",
    )


def _x(seconds: F64, length_s: float) -> F64:
    return np.asarray(np.clip(seconds / max(length_s, 1e-6), 0, 1) * WIDTH)


def _y(values: F64, top: float) -> F64:
    """Values above the axis run along its upper edge."""
    return np.asarray((1 - np.clip(values / top, 0, 1)) * HEIGHT)


def _path(x: F64, y: F64) -> str:
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    # A single point would draw nothing: a stroke of no length with round ends is a dot.
    return f"M{points}" if len(x) > 1 else f"M{points}h0"


def _band(x: F64, low: F64, high: F64) -> str:
    there = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, high, strict=True))
    back = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x[::-1], low[::-1], strict=True))
    return f"M{there} {back}z"


def readout(charts: list[Chart], length_s: float) -> dict[str, Any]:
    """What the page's script needs to name the value under the cursor."""
    return {
        "length": round(length_s, 4),
        "charts": {
            chart.name: {
                "percent": chart.percent,
                "lines": [
                    {
                        "label": person_label(line.person),
                        "t": [round(t, 3) for t in line.seconds.tolist()],
                        "v": [round(v, 4) for v in line.values.tolist()],
                    }
                    for line in chart.lines
                ],
            }
            for chart in charts
        },
    }
