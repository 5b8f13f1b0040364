"""Everything a page says in words and numbers: headline figures, people, settings, weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from faceswap_cli.config import SwapOptions
from faceswap_cli.config_files import FLAGS
from faceswap_cli.events import stage_title
from faceswap_cli.records import LedgerRow
from faceswap_cli.report.job import Job
from faceswap_cli.weights.registry import bundled
from faceswap_cli.weights.store import file_sha256, installed

_BUNDLED = {
    "face_landmarker.task": "finds faces and their 478 points",
    "identity.safetensors": "measures identity distances; swaps are trained with it",
    "occluder.safetensors": "finds what is in front of a face",
    "beard.safetensors": "finds beards",
    "rims.safetensors": "finds rims and lenses of glasses",
    "recognition.safetensors": "measures likeness; nothing is trained with it",
}
_FSLSD256 = {
    "fslsd-256.safetensors": "draws what no photograph shows",
    "refiner.safetensors": "fits light and color to the surroundings",
}


@dataclass(frozen=True, slots=True)
class Headline:
    """One large number."""

    name: str
    value: str
    note: str


@dataclass(frozen=True, slots=True)
class PersonFacts:
    """The ledger of one person, in one line."""

    person: int
    label: str
    chosen: bool
    frames: int
    swapped: int
    reasons: str
    """Why not, where it was not swapped; empty when it always was."""
    identity: str
    worst_identity: str
    yaw: str
    occluded: str
    seen: str
    """From when to when"""


@dataclass(frozen=True, slots=True)
class Setting:
    """One option of the job."""

    name: str
    value: str
    changed: bool
    """Other than the default?"""
    flag: str = ""
    """Of the command line"""


def person_label(person: int) -> str:
    return f"Person {person + 1}"


def clock(seconds: float) -> str:
    """``75.25`` -> ``1:15.3``"""
    tenths = max(round(seconds * 10), 0)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{head}:{rest // 10:02d}.{rest % 10}"


def _identity(rows: Sequence[LedgerRow]) -> list[tuple[float, LedgerRow]]:
    return [(row.identity_distance, row) for row in rows if row.identity_distance is not None and row.swapped]


def headlines(job: Job) -> list[Headline]:
    """The figures that people look for first."""
    report, figures = job.report, job.evaluation.figures if job.evaluation else {}
    found = _likeness(figures)
    wanted = job.wanted
    if job.command == "video":
        share = report.frames_with_swap / len(wanted) if wanted else 0.0
        note = f"{report.frames_with_swap} of {len(wanted)} frames with a chosen person"
        found.append(Headline("Coverage", _percent(share), note))
        if "jitter" in figures:
            found.append(
                Headline("Jitter", f"{figures['jitter']:.2f}x", "of the footage's own; lower is steadier")
            )
        found.append(
            Headline("Frames", f"{report.frames:,}", _plural(report.people, "person", "people") + " seen")
        )
    else:
        note = _plural(report.people, "face", "faces") + " found"
        found.append(Headline("Faces swapped", str(report.faces_swapped), note))
    spent = sum(seconds for stage, seconds in report.seconds.items() if ":" not in stage)
    found.append(Headline("Time taken", f"{spent:.1f} s", f"method {job.method} on {job.device}"))
    return found


def _likeness(figures: Mapping[str, float]) -> list[Headline]:
    """How much the result looks like the source, where it was measured."""
    found = []
    if "likeness" in figures:
        note = "cosine to the source; strangers reach about 0.44, two photographs of one person 0.9"
        found.append(Headline("Likeness", f"{figures['likeness']:.2f}", note))
    if "likeness_gain" in figures:
        gain = figures["likeness_gain"]
        who = "the source" if gain > 0 else "the target"
        found.append(
            Headline("Likeness gain", f"{gain:+.2f}", f"over the likeness to the target: nearer to {who}")
        )
    return found


def _percent(share: float) -> str:
    """Never rounded up to all: 99.96 % is not 100 %."""
    return "100%" if share >= 1 else f"{min(share, 0.9994):.1%}"


def _plural(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def people(job: Job) -> list[PersonFacts]:
    """Those who were chosen first, then everybody else in the ledger."""
    others = sorted(set(job.people) - set(job.chosen))
    return [_person(job, person) for person in (*job.chosen, *others)]


def _person(job: Job, person: int) -> PersonFacts:
    rows = job.rows(person)
    distances = _identity(rows)
    worst = max(distances, key=lambda item: item[0], default=None)
    reasons = Counter(row.reason or "unknown" for row in rows if not row.swapped)
    swapped = [row for row in rows if row.swapped]
    when = ""
    if worst is not None and job.command == "video":
        when = f" at {clock(worst[1].time_s)}"
    return PersonFacts(
        person=person,
        label=person_label(person),
        chosen=person in job.chosen,
        frames=len({row.pts for row in rows}),
        swapped=len({row.pts for row in swapped}),
        reasons=", ".join(f"{reason} ({count})" for reason, count in reasons.most_common()),
        identity=f"{sum(v for v, _ in distances) / len(distances):.3f}" if distances else "",
        worst_identity=f"{worst[0]:.3f}{when}" if worst else "",
        yaw=f"{max(abs(row.yaw) for row in rows):.0f}°",
        occluded=f"{max(row.occluded for row in swapped):.0%}" if swapped else "",
        seen=f"{clock(rows[0].time_s)} to {clock(rows[-1].time_s)}",
    )


def figures(job: Job) -> list[tuple[str, str, str, str]]:
    """(name, value, limit, meaning) of the evaluation, and what else was compared."""
    return job.evaluation.table() if job.evaluation else []


def by_person(job: Job) -> list[str]:
    """Headings of the people of a result of several sources; empty for one source."""
    people = job.evaluation.people if job.evaluation else ()
    return [f"{person_label(one.person)}: {one.source}" for one in people]


def settings(options: SwapOptions) -> list[Setting]:
    """Every option, by group; files by their names alone."""
    usual = dict(_flat(asdict(SwapOptions())))
    flags = {keys[0]: f"--{flag.replace('_', '-')}" for flag, keys in FLAGS.items() if keys}
    found = []
    for name, value in _flat(asdict(options)):
        changed = value != usual[name] and name != "job.measure_identity"  # which the report asks for
        found.append(Setting(name, _said(value), changed, flags.get(name, "")))
    return found


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _said(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "on" if value else "off"
    if value == "":
        return "none"
    return value.name if isinstance(value, Path) else str(value)


def weights(job: Job) -> list[tuple[str, str, str]]:
    """(file, what for, SHA-256) of the networks that took part."""
    small = job.method == "fslsd" and job.options.job.profile != "1024"
    own = _BUNDLED | (_FSLSD256 if small else {})
    rows = [(name, what, file_sha256(bundled(name))) for name, what in own.items()]
    if job.method == "fslsd" and not small:
        rows += [(card.name, f"{card.title}; license {card.licence}", card.sha256) for card in installed()]
    return rows


def stages(job: Job) -> list[tuple[str, str]]:
    """(stage, seconds), the parts of a stage indented by their name."""
    found = []
    for name, seconds in job.report.seconds.items():
        stage, colon, part = name.partition(":")
        found.append((f"{stage_title(stage)}{colon}{part}", f"{seconds:.2f} s"))
    return found
