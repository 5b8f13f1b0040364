"""What ``rerun`` and ``edit`` share: a result is made again from its recipe."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faceswap_cli.cli import inputs as arguments
from faceswap_cli.cli import swap
from faceswap_cli.cli.gates import parse_gates
from faceswap_cli.cli.options import OutputFlags
from faceswap_cli.cli.session import Session
from faceswap_cli.config import SwapOptions
from faceswap_cli.devices import check_device_name
from faceswap_cli.errors import OutputError, UsageError
from faceswap_cli.output import (
    CLIP_SUFFIXES,
    PICTURE_SUFFIXES,
    Naming,
    check_disk,
    output_path,
    same_file,
    video_bytes,
)

if TYPE_CHECKING:
    from faceswap_cli.recipe.earlier import Earlier
    from faceswap_cli.recipe.inputs import Inputs
    from faceswap_cli.recipe.record import Recipe
    from faceswap_cli.records import Report


@dataclasses.dataclass(frozen=True, slots=True)
class Remake:
    """A result that is to be made again."""

    command: str
    result: Path
    recipe: Recipe
    inputs: Inputs
    flags: OutputFlags
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    earlier: Earlier | None = None


def check_flags(flags: OutputFlags) -> None:
    """Before anything is read."""
    parse_gates(flags.fail_under)
    if flags.output == "-":
        raise UsageError("the result must be a file; give its name with -o")
    if flags.force and flags.skip_existing:
        raise UsageError("--force and --skip-existing exclude each other")


def remake(session: Session, asked: Remake) -> Report | None:
    """Make it, and report it as ``video`` and ``image`` do; None when there was nothing to do."""
    from faceswap_cli.recipe.again import check_program, make_again, options_of
    from faceswap_cli.recipe.earlier import NOTHING

    options = options_of(asked.recipe, asked.inputs, session.settings.swap_options(), asked.changes)
    order = _order(session, asked, options)
    output = _place(session, order, asked)
    if output is None:
        return None
    options = swap.with_device(order.options, may_cluster=asked.recipe.kind == "video")
    if asked.earlier is None:
        for text in check_program(asked.recipe, options, force=asked.flags.force):
            session.warn(f"{asked.result.name} was {text}")
    for path in asked.inputs.unused:
        session.warn(f"{path} was not used for {asked.result.name}: left out")
    report = make_again(
        asked.recipe, asked.inputs, output, options, session.listen, session.stop, asked.earlier or NOTHING
    )
    swap.finish(session, order, report, options.job.device)
    return report


def _order(session: Session, asked: Remake, options: SwapOptions) -> swap.Order:
    flags, gates = asked.flags, parse_gates(asked.flags.fail_under)
    check_device_name(options.job.device)
    swap.check_consent(options)
    if flags.report is not None and options.mark.compare:
        raise UsageError("--report already shows before and after; this result has --compare in it")
    told = bool(flags.ledger or flags.report or session.flags.json)
    told = told or any(gate.name == "identity" for gate in gates) or options.job.measure_identity
    options = dataclasses.replace(options, job=dataclasses.replace(options.job, measure_identity=told))
    given = arguments.Given(asked.inputs.sources, asked.inputs.target, target_from_stdin=False)
    one = len(asked.inputs.people) == 1
    return swap.Order(asked.command, given, flags, options, gates, to_stdout=False, one_source=one)


def _place(session: Session, order: swap.Order, asked: Remake) -> Path | None:
    """The file to write, checked like any other; the result that it is made from is never written over."""
    clip = None
    suffixes: tuple[str, ...] = PICTURE_SUFFIXES
    if asked.recipe.kind == "video":
        from faceswap_cli.video.probe import probe

        clip, suffixes = probe(asked.inputs.target), CLIP_SUFFIXES
    source, ending = asked.inputs.sources[0].stem, f"_{asked.command}"
    naming = Naming(asked.result, asked.result.suffix, suffixes, source, suffix=ending)
    path = output_path(asked.flags.output, naming)
    if same_file(path, asked.result):
        raise OutputError(f"{path} is the input and is never overwritten; choose another name with -o")
    size = 2 * asked.inputs.target.stat().st_size
    if clip is not None:
        from faceswap_cli.video.containers import check_output

        encode = order.options.encode
        for note in check_output(clip, path, encode):
            swap.note(note)
        pixels = clip.width * clip.height
        size = video_bytes(size // 2, pixels, clip.frames, lossless=encode.lossless)
    output = swap.place_output(session, order, naming)
    if output is not None:
        check_disk(output.parent, 2 * size, f"the result of {asked.inputs.target.name}")
    return output
