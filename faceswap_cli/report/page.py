"""The page itself: one file without network, build step or library, in a template of its own.

Everything that comes from files (names, metadata, reasons) is escaped by the template; on top of
that the page's own policy lets nothing load and only this style and this script run.
"""

from __future__ import annotations

import base64
import hashlib
import time
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from faceswap_cli import __version__
from faceswap_cli.provenance.mark import CONTAINER_KEY, SOURCE_TYPE
from faceswap_cli.report import facts
from faceswap_cli.report.draw import HEIGHT, WIDTH, DrawnChart
from faceswap_cli.report.frames import Pair, Portrait
from faceswap_cli.report.job import Job
from faceswap_cli.report.verdict import verdict


@dataclass(frozen=True, kw_only=True, eq=False)
class Page:
    """What goes on the page."""

    job: Job
    pairs: list[Pair] = field(repr=False)
    start_s: float
    """Begin of the part that was worked on, in seconds from the first frame of the target"""
    length_s: float
    portraits: list[Portrait] = field(default_factory=list, repr=False)
    charts: list[DrawnChart] = field(default_factory=list)
    readout: dict[str, Any] = field(default_factory=dict, repr=False)
    cuts: list[float] = field(default_factory=list)


def render(page: Page) -> str:
    """HTML of ``page``."""
    style = _part("page.css") + _shape(page)
    script = _part("page.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    moments = [pair.moment.time_s for pair in page.pairs]
    values = {
        "page": page,
        "style": Markup(style),
        "script": Markup(script),
        "policy": policy,
        "mark": (CONTAINER_KEY, SOURCE_TYPE),
        "made": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "version": __version__,
        "clock": facts.clock,
        "shown": lambda name: _name(Path(name)),
        "moments": moments,
        "cuts": [round(cut / max(page.length_s, 1e-6) * WIDTH, 1) for cut in page.cuts],
        "size": (WIDTH, HEIGHT),
        "data": {
            **page.readout,
            "start": round(page.start_s, 3),
            "moments": [round(t - page.start_s, 3) for t in moments],
        },
    }
    return _templates().get_template("page.html").render(**values, **_said(page))


def _said(page: Page) -> dict[str, Any]:
    """The words and tables about the job."""
    job = page.job
    return {
        "job": job,
        "still": job.command == "image",
        "target": _name(job.target),
        "sources": [_name(path) for path in job.sources],
        "output": _name(job.report.output),
        "headlines": facts.headlines(job),
        "verdict": verdict(job),
        "people": facts.people(job),
        "figures": facts.figures(job),
        "by_person": facts.by_person(job),
        "by_person_rows": job.evaluation.people_table() if job.evaluation else [],
        "settings": facts.settings(job.options),
        "weights": facts.weights(job),
        "stages": facts.stages(job),
        "notes": [*job.notes, *job.report.notes],
    }


def _name(path: Path) -> str:
    """File names need not be valid text; what cannot be shown is shown as a question mark."""
    return path.name.encode("utf-8", "replace").decode("utf-8")


def _shape(page: Page) -> str:
    """The proportions of the pictures, for the style: no element needs a style of its own."""
    if not page.pairs:
        return ""
    whole = page.pairs[0].whole[0]
    return f":root{{--shape:{whole.width / whole.height:.5f}}}"


def _hash(text: str) -> str:
    """As content security policies name a script or a style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@lru_cache(maxsize=4)
def _part(name: str) -> str:
    return files("faceswap_cli.report").joinpath("page", name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("faceswap_cli.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
