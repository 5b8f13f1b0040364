"""``faceswap video --dry-run``: show the plan and its time, memory and disk use; write nothing."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faceswap_cli.cli import swap
from faceswap_cli.cli.printing import clock, console
from faceswap_cli.cli.session import Session
from faceswap_cli.output import Naming

if TYPE_CHECKING:
    from faceswap_cli.jobs.estimate import Estimate, PersonPlan

_STAGES = {"prepare": "sources and plan", "analyse": "finding faces", "render": "rendering"}


def tell(session: Session, order: swap.Order, naming: Naming) -> None:
    """Estimate the job of ``order`` and print it."""
    output = swap.place_output(session, order, naming, only_look=True)
    if output is None:
        return
    options = swap.with_device(order.options)
    from faceswap_cli.forecast import forecast

    found = forecast(order.given.sources, order.given.target, options, session.listen, session.stop)
    shown = None if order.to_stdout else output
    data = {"command": order.command, "exit": 0, "dry_run": True, "output": shown}
    session.result({**data, "device": options.job.device, **_data(found)})
    if session.for_people:
        from rich.table import Table

        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(style="bold")
        for name, text in _lines(found, shown, options.job.device, bool(order.flags.report or order.gates)):
            table.add_row(name, text)
        console().print(table, markup=False)


def _data(found: Estimate) -> dict[str, Any]:
    data = asdict(found)
    data["people"] = [{**person, "face": str(person["person"] + 1)} for person in data["people"]]
    return data


def _lines(
    found: Estimate, output: Path | None, device: str, measured: bool = False
) -> list[tuple[str, str]]:
    more = "; --report and --fail-under read both files again, which is not counted" if measured else ""
    workers = "1 process" if found.workers == 1 else f"{found.workers} processes"
    rest = found.segments - found.swapped_segments - found.copied_segments
    others = [f"{found.copied_segments} copied"] if found.copied_segments else []
    others += [f"{rest} encoded again"] if rest else []
    stages = [f"{name} {_time(found.seconds[stage])}" for stage, name in _STAGES.items()]
    stages.append(f"joining {_time(found.seconds['assemble'])}")
    exact = found.frames_seen == found.frames
    ram = "not known on this system" if found.ram_mb is None else _size(found.ram_mb * 1e6)
    return [
        ("output", "stdout" if output is None else str(output)),
        ("frames", _frames(found)),
        ("shots", str(found.shots)),
        ("people", str(len(found.people))),
        *(_person(one, exact=exact) for one in found.people),
        ("segments", ", ".join([f"{found.segments}: {found.swapped_segments} with a swap", *others])),
        ("time", f"about {_time(found.seconds['total'])} on {device}, {workers} ({', '.join(stages)}){more}"),
        ("memory", ram),
        *([("GPU memory", _size(found.vram_mb * 1e6))] if found.vram_mb else []),
        ("disk", f"{_size(found.disk_bytes)} while it runs"),
        ("output size", f"about {_size(found.output_bytes)}"),
        ("tried", f"{found.frames_tried} frames were rendered for this estimate and discarded"),
    ]


def _frames(found: Estimate) -> str:
    if found.frames_seen == found.frames:
        return str(found.frames)
    return f"{found.frames}; {found.frames_seen} of them were searched, so shots and people are estimates"


def _person(one: PersonPlan, *, exact: bool) -> tuple[str, str]:
    about = "" if exact else "about "
    role = f"source {one.source}" if one.source else "not swapped"
    return f"  --face {one.person + 1}", f"{about}{one.frames} frames, {role}"


def _time(seconds: float) -> str:
    return f"{max(round(seconds), 1)} s" if seconds < 60 else clock(seconds)


def _size(count: float) -> str:
    for unit in ("kB", "MB"):
        count /= 1000
        if count < 1000:
            return f"{count:.3g} {unit}"
    return f"{count / 1000:.3g} GB"
