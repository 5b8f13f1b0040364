"""What ``image`` and ``video`` share: checks before the work, one library call, report after it."""

from __future__ import annotations

import dataclasses
import logging
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faceswap_cli.chosen import some_swapped
from faceswap_cli.cli import inputs, ledger
from faceswap_cli.cli.gates import Gate, check_gates, figures_for, parse_gates, people_of, unknown
from faceswap_cli.cli.marks import without_sidecar
from faceswap_cli.cli.options import OutputFlags
from faceswap_cli.cli.printing import plain_path
from faceswap_cli.cli.session import Session
from faceswap_cli.cli.terms import require_terms
from faceswap_cli.config import JobOptions, SwapOptions
from faceswap_cli.devices import check_device_name, resolve_device
from faceswap_cli.errors import InputError, OutputError, UsageError
from faceswap_cli.jobs.seal import disown, is_own_result
from faceswap_cli.output import (
    PICTURE_SUFFIXES,
    VIDEO_SUFFIXES,
    Naming,
    check_inputs,
    check_output,
    output_path,
    same_file,
)

if TYPE_CHECKING:
    from faceswap_cli.metrics.evaluate import Evaluation
    from faceswap_cli.records import Report, Segment

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Order:
    """A swap whose arguments are understood and whose inputs are there."""

    command: str
    given: inputs.Given
    flags: OutputFlags
    options: SwapOptions
    gates: tuple[Gate, ...]
    to_stdout: bool
    one_source: bool = True
    """Do the sources show one person?"""


def take_order(
    session: Session, command: str, files: Sequence[str], flags: OutputFlags, *, accept_terms: bool
) -> Order:
    """Usage first, then the terms, then the inputs: nothing is read before it is allowed."""
    gates = parse_gates(flags.fail_under)
    told = flags.ledger is not None or flags.report is not None or bool(session.invocation.machine)
    told = told or any(gate.name == "identity" for gate in gates)
    options = _measuring(session.settings.swap_options(), told)
    check_device_name(options.job.device)
    if flags.report is not None and options.mark.compare:
        raise UsageError("--report already shows before and after; leave out --compare")
    cast = options.track.cast if command == "video" else None
    sources, target = inputs.split_files(files, cast)
    if flags.force and flags.skip_existing:
        raise UsageError("--force and --skip-existing exclude each other")
    to_stdout = flags.output == "-" or (flags.output is None and target == "-")
    if to_stdout:
        if session.invocation.machine:
            raise UsageError("--json and --events need stdout for themselves; name an output file with -o")
        inputs.refuse_terminal()
    require_terms(accept_terms)
    check_consent(options)
    check_cast(cast)
    named = [Path(name) for name in (*sources, target) if name != "-"]
    check_inputs([*named, *filter(None, (options.track.reference, cast, options.paste.occlusion_mask))])
    check_inputs(cast_photos(cast))
    check_order(command, sources, target)
    if not flags.skip_existing:  # the libraries take seconds to load, and nothing else would be seen
        session.say(f"faceswap: {_names(files[:-1], cast)} into {_name(target)}")
    for line in without_effect(options):
        session.warn(line)
    given = inputs.take_inputs(files, session.owned, cast)
    return Order(command, given, flags, options, gates, to_stdout, one_source=cast is None)


def check_order(command: str, sources: Sequence[str], target: str) -> None:
    """A video before a picture is the wrong way round, or another command."""
    if sources and Path(sources[0]).suffix.lower() in VIDEO_SUFFIXES and target != "-":
        if Path(target).suffix.lower() in PICTURE_SUFFIXES and command == "video":
            meant = shlex.join(["faceswap", command, target, sources[0]])
            raise InputError(f"the order is SOURCE TARGET; did you mean: {meant}")
        raise InputError(f"{sources[0]} is a video; a source is a photograph, a folder of them, or @NAME")


def without_effect(options: SwapOptions) -> list[str]:
    """A line for each option that was set and does nothing here."""
    usual, job = JobOptions(), options.job
    official = {"appear_from": "--appear-from", "precision": "--precision"}
    found = [
        f"{flag} is for --profile 1024 and does nothing here"
        for name, flag in official.items()
        if job.profile != "1024" and getattr(job, name) != getattr(usual, name)
    ]
    if job.profile != usual.profile and options.method not in ("auto", "fslsd"):
        found.append(f"--profile is for --method fslsd and does nothing with {options.method}")
    return found


def _names(sources: Sequence[str], cast: Path | None) -> str:
    if cast is not None:
        return f"the cast of {cast.name}"
    return _name(sources[0]) + (f" and {len(sources) - 1} more" if len(sources) > 1 else "")


def _name(file: str) -> str:
    return "stdin" if file == "-" else file if file.startswith("@") else Path(file).name


def check_consent(options: SwapOptions) -> None:
    """The file of ``--consent`` names a person for both sides, and is valid today."""
    if options.mark.consent is not None:
        from faceswap_cli.policy.consent import read_consent

        read_consent(options.mark.consent)


def check_cast(cast: Path | None) -> None:
    """A cast file that is not there yet is made by another command."""
    if cast is not None and not cast.exists():
        made = shlex.join(["faceswap", "inspect", "CLIP", "--cast", str(cast)])
        raise InputError(f"{cast} does not exist; make it with: {made}")


def cast_photos(cast: Path | None) -> tuple[Path, ...]:
    """Every photograph or folder that the cast file names, if there is one."""
    if cast is None:
        return ()
    from faceswap_cli.cast.file import read_cast

    return read_cast(cast).sources


def _measuring(options: SwapOptions, identity: bool) -> SwapOptions:
    """Identity is measured where someone will read it; it costs some milliseconds a face."""
    wanted = identity or options.job.measure_identity
    return dataclasses.replace(options, job=dataclasses.replace(options.job, measure_identity=wanted))


def place_output(session: Session, order: Order, naming: Naming, *, only_look: bool = False) -> Path | None:
    """The file the library writes; None when ``--skip-existing`` leaves nothing to do.

    With ``only_look`` nothing at all is changed on disk.
    """
    used = _all_inputs(order)
    if order.to_stdout:
        path = inputs.temporary_folder(session.owned) / f"result{naming.ext}"
    else:
        path = output_path(order.flags.output, naming)
        flags = order.flags
        if flags.force and not only_look:
            disown(path)
        # A run that was killed just after it had named its result may clear up behind itself.
        own = is_own_result(path)
        skip = flags.skip_existing and not own
        if not check_output(path, used, force=flags.force or own, skip_existing=skip):
            _skipped(session, order, path)
            return None
    _check_reports(order, path, used)
    return path


def _all_inputs(order: Order) -> list[Path]:
    """Every file that is read, folders opened up."""
    track = order.options.track
    cast = track.cast if order.command == "video" else None
    found: list[Path] = []
    own = (order.options.mark.consent, order.options.paste.occlusion_mask)
    named = filter(None, (track.reference, cast, *own))
    for path in (*order.given.paths, *named, *cast_photos(cast)):
        found += path.iterdir() if path.is_dir() else [path]
    return found


def _check_reports(order: Order, output: Path, used: Sequence[Path]) -> None:
    """Ledger and report: files of their own, in folders that can be written."""
    force = order.flags.force or order.flags.skip_existing
    taken = {"output": output}
    for name, path in (("ledger", order.flags.ledger), ("report", order.flags.report)):
        if path is None:
            continue
        for other, there in taken.items():
            if same_file(path, there):
                raise OutputError(f"{path} is the {other} and cannot be the {name} as well")
        check_output(path, used, force=force, skip_existing=False)
        taken[name] = path


def _skipped(session: Session, order: Order, path: Path) -> None:
    session.say(f"faceswap: {path} exists, nothing to do")
    session.result({"command": order.command, "exit": 0, "output": path, "skipped": True})
    if session.for_people and not session.flags.quiet:
        plain_path(path)


def note(text: str) -> None:
    """Something about how the result is written that is worth a line with -v."""
    _log.info("%s", text)


def with_device(options: SwapOptions, *, may_cluster: bool = False) -> SwapOptions:
    """``options`` with a device that works, here or on the cluster; the choice of ``auto`` is logged (-v)."""
    if may_cluster and options.job.cluster is not None:
        from faceswap_cli.jobs.cluster import settle_device

        return dataclasses.replace(options, job=settle_device(options.job))
    device = resolve_device(options.job.device)
    _log.info("device %s: %s", device.name, device.reason)
    return dataclasses.replace(options, job=dataclasses.replace(options.job, device=device.name))


def finish(
    session: Session,
    order: Order,
    report: Report,
    device: str,
    losses: Sequence[str] = (),
) -> None:
    """Ledger, gates, result; the last two in this order, so that a missed gate is reported once."""
    if order.flags.ledger is not None:
        ledger.write_ledger(order.flags.ledger, report.ledger, report.consent)
    ready = {"identity": ledger.identity(report.ledger), "coverage": ledger.coverage(report.ledger)}
    data = _result(order, report, device, ready)
    data["not_kept"] = list(losses)
    session.invocation.partial = data
    started = time.perf_counter()
    found = None
    if order.flags.report is not None:
        found = _write_report(session, order, report, device)
    elif unknown(order.gates, ready):
        found = _evaluated(session, order, report)
    spent = time.perf_counter() - started
    if order.to_stdout:
        inputs.send(report.output)
    if found is not None:
        data |= {"verdict": found.verdict.as_dict(), "evaluation": found.as_dict()}
    values = figures_for(order.gates, ready, lambda: {} if found is None else found.figures)
    data["figures"] = {**ready, **values}
    _say_all(session, order, report, losses, found, spent)
    people = people_of(data["by_person"], data.get("evaluation", {}).get("people", ()))
    check_gates(order.gates, values, people, data.get("verdict"))
    session.result(data)
    if session.for_people and not order.to_stdout and not session.flags.quiet:
        plain_path(report.output)


def _say_all(
    session: Session,
    order: Order,
    report: Report,
    losses: Sequence[str],
    found: Evaluation | None,
    spent: float,
) -> None:
    """The last lines on stderr; measuring took ``spent`` seconds."""
    for note in without_sidecar(report.notes) if order.to_stdout else report.notes:
        if note not in losses:
            session.warn(note)
    session.say(_sentence(order, report))
    if order.flags.report is not None:
        session.say(f"faceswap: the report is in {order.flags.report}")
    if found is not None:
        session.say(f"faceswap: {found.verdict.sentence} (measured in {spent:.1f} s)")


def _evaluated(session: Session, order: Order, report: Report) -> Evaluation:
    """The finished file against its target and sources."""
    from faceswap_cli.metrics.evaluate import EvaluateOptions, evaluate

    sources = order.given.sources or cast_photos(order.options.track.cast)
    options = EvaluateOptions(ledger=report.ledger)
    return evaluate(report.output, sources, order.given.target, options=options, listen=session.listen)


def _write_report(session: Session, order: Order, report: Report, device: str) -> Evaluation | None:
    """Also measures the result, if it can be measured."""
    from faceswap_cli.report import Job, write_report
    from faceswap_cli.swap import method_name

    job = Job(
        command=order.command,
        report=report,
        sources=order.given.sources or cast_photos(order.options.track.cast),
        one_source=order.one_source,
        target=order.given.target,
        options=order.options,
        method=method_name(order.options.method),
        device=device,
    )
    assert order.flags.report is not None
    return write_report(order.flags.report, job, session.listen)


def _result(order: Order, report: Report, device: str, figures: Mapping[str, float | None]) -> dict[str, Any]:
    from faceswap_cli.swap import method_name

    return {
        "command": order.command,
        "exit": 0,
        "output": None if order.to_stdout else report.output,
        "method": method_name(order.options.method),
        "device": device,
        "frames": report.frames,
        "frames_with_swap": report.frames_with_swap,
        "faces_swapped": report.faces_swapped,
        "people": report.people,
        "people_swapped": report.people_swapped,
        "damaged_packets": report.damaged_packets,
        "size_changes": report.size_changes,
        "figures": dict(figures),
        "by_person": ledger.by_person(report.ledger),
        "tracks": ledger.summary(report.ledger),
        "consent_sha256": report.consent or None,
        "seconds": report.seconds,
        "notes": report.notes,
        "segments": [_segment(segment) for segment in report.segments],
    }


def _segment(segment: Segment) -> dict[str, Any]:
    """Times in ticks of the target's clock, and whether it was swapped, copied or encoded again."""
    from faceswap_cli.jobs.untouched import treatment

    return {
        "first_pts": segment.first_pts,
        "end_pts": segment.end_pts,
        "frames": segment.frames,
        "how": treatment(segment),
    }


def _sentence(order: Order, report: Report) -> str:
    still = order.command == "image"
    faces = "1 face" if report.faces_swapped == 1 else f"{report.faces_swapped} faces"
    frames = "1 frame" if report.frames == 1 else f"{report.frames} frames"
    where = "" if still else f" in {report.frames_with_swap} of {frames}"
    # "render: warp" and the like are parts of "render".
    spent = sum(seconds for stage, seconds in report.seconds.items() if ":" not in stage)
    text = f"faceswap: swapped {faces}{where}, {spent:.1f} s"
    if report.damaged_packets:
        text += f", damaged packets: {report.damaged_packets}"
    others = some_swapped(report.people_swapped, report.people, order.options.track, still=still)
    return text + (f"; {others}" if others else "")
