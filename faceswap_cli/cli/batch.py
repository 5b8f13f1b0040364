"""``faceswap batch``: many targets in one process, each on its own."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, fields, make_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from faceswap_cli.batch import manifest as manifests
from faceswap_cli.batch import rows as jobs
from faceswap_cli.batch import targets
from faceswap_cli.batch.leftovers import leftovers, sentence
from faceswap_cli.batch.records import Records
from faceswap_cli.batch.rows import Place, Request, Row
from faceswap_cli.cli import batch_run
from faceswap_cli.cli.gates import Gate, parse_gates
from faceswap_cli.cli.options import REPORTING, AcceptTerms, ClipFlags, LookFlags, ShowFlags, expanded
from faceswap_cli.cli.session import Session, read_settings
from faceswap_cli.cli.swap import check_cast, check_consent, with_device
from faceswap_cli.cli.terms import require_terms
from faceswap_cli.cli.values import sources, values_of
from faceswap_cli.config import SwapOptions
from faceswap_cli.config_files import FLAGS, Settings
from faceswap_cli.devices import check_device_name
from faceswap_cli.errors import InputError, UsageError
from faceswap_cli.identity.people import resolved
from faceswap_cli.output import PICTURE_SUFFIXES, VIDEO_SUFFIXES, check_inputs


def _settings_of(group: type) -> type:
    """Those flags of ``group`` that are settings: the others are for one clip."""
    hints = get_type_hints(group, include_extras=True)
    own = [(f.name, hints[f.name], field(default=f.default)) for f in fields(group) if f.name in FLAGS]
    return make_dataclass(f"{group.__name__}OfABatch", own, frozen=True, kw_only=True)


if TYPE_CHECKING:
    ClipSettings = ClipFlags
else:
    ClipSettings = _settings_of(ClipFlags)

Arguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[SRC] TARGETS...",
        help="Source first: a photograph, a folder of photographs of one person, or @NAME. All others are "
        "targets: files, folders, patterns such as 'clips/**/*.mp4'. "
        "With --source or --cast all are targets.",
        show_default=False,
        autocompletion=sources,
    ),
]


def _option(*names: str, text: str, panel: str | None = None, metavar: str | None = None) -> Any:
    return typer.Option(
        *names,
        help=text,
        rich_help_panel=panel,
        metavar=metavar,
        show_default=False,
        autocompletion=values_of(names[0]),
    )


@dataclass(frozen=True, kw_only=True)
class BatchFlags:
    """What is done, where results go, and when to give up."""

    output: Annotated[
        str | None,
        _option(
            "--output",
            "-o",
            text="Output folder, or template with {stem} {ext} {source} "
            "{index}. Required, except with --manifest.",
            metavar="FOLDER",
        ),
    ] = None
    source: Annotated[
        list[str] | None,
        _option(
            "--source",
            "-s",
            text="Source of one person: photograph, folder or @NAME. Repeat it for more people. Default: the "
            "first argument.",
            metavar="SRC",
        ),
    ] = None
    pairs: Annotated[
        bool,
        _option(
            "--pairs",
            text="Pair the first source with the first target, and so on. "
            "Default: every source with every target.",
        ),
    ] = False
    manifest: Annotated[
        Path | None,
        _option(
            "--manifest",
            "-m",
            text="Read the jobs from a table (CSV or JSON Lines) with source, target, output, and options. "
            "Default: none.",
        ),
    ] = None
    force: Annotated[bool, _option("--force", "-f", text="Overwrite existing outputs (never inputs).")] = (
        False
    )
    skip_existing: Annotated[
        bool, _option("--skip-existing", text="Skip targets that already have an output.")
    ] = False
    max_failures: Annotated[
        int, _option("--max-failures", text="Stop after N failures; 0 means never. Default: 0.", metavar="N")
    ] = 0
    dry_run: Annotated[
        bool, _option("--dry-run", text="Show what would be done, with estimated times; write nothing.")
    ] = False
    ledger: Annotated[
        Path | None,
        _option(
            "--ledger",
            text="Folder for ledgers, one per result: a JSON line per face and frame. Default: none.",
            panel=REPORTING,
            metavar="FOLDER",
        ),
    ] = None
    fail_under: Annotated[
        str | None,
        _option(
            "--fail-under",
            text="Count a result as failed if a figure misses its bound, for any person: likeness=0.6,"
            "coverage=0.95, or verdict (not 'Good'). Default: no check.",
            panel=REPORTING,
            metavar="NAME=BOUND,...",
        ),
    ] = None


@expanded
def batch(
    ctx: typer.Context,
    batch: BatchFlags,
    look: LookFlags,
    clip: ClipSettings,
    show: ShowFlags,
    files: Arguments = None,
    accept_terms: AcceptTerms = False,
) -> None:
    """Swap a face in many files.

    One failure does not stop the others; the exit code is then 8. Run the same command again to continue
    a batch that did not finish; --skip-existing adds only what is new later.
    """
    settings = read_settings(show, look, clip)
    with Session(ctx.obj, show, settings, soft_stop=not batch.dry_run) as session:
        gates = parse_gates(batch.fail_under)
        requests, place = _requests(files or [], batch, _measured_settings(session, batch, gates))
        for device in {request.options.job.device for request in requests}:
            check_device_name(device)
        require_terms(accept_terms)
        for options in {request.options.mark.consent: request.options for request in requests}.values():
            check_consent(options)
        rows, records = _plan(session, requests, place, batch, _target_names(files or [], batch, settings))
        if batch.dry_run:
            batch_run.show_plan(session, rows)
            return
        ledgers = batch_run.ledger_files(batch.ledger, rows, force=batch.force)
        handling = batch_run.handling_of(gates, ledgers)
        batch_run.run(session, rows, records, handling, batch.max_failures)


def _measured_settings(session: Session, flags: BatchFlags, gates: Sequence[Gate]) -> Settings:
    """Identity is measured where someone will read it."""
    told = flags.ledger is not None or any(gate.name == "identity" for gate in gates)
    entries = dict(session.settings.entries)
    if told or session.invocation.machine:
        entries["job.measure_identity"] = replace(entries["job.measure_identity"], value=True)
    return Settings(entries)


def _requests(files: Sequence[str], flags: BatchFlags, settings: Settings) -> tuple[list[Request], Place]:
    """The rows to process; :class:`UsageError` where the arguments are not clear."""
    if flags.force and flags.skip_existing:
        raise UsageError("--force and --skip-existing exclude each other")
    if flags.max_failures < 0:
        raise UsageError(f"--max-failures must be 0 or more, not {flags.max_failures}")
    if flags.manifest is not None:
        if files or flags.pairs:
            named = "--pairs" if flags.pairs else files[0]
            raise UsageError(f"--manifest names all targets; leave out {named}")
        return _of_manifest(flags.manifest, flags, settings), jobs.place_of(flags.output, flags.manifest)
    options = settings.swap_options()
    if options.track.cast is not None:
        return _of_cast(files, flags, options), jobs.place_of(flags.output)
    people, others = _split(files, flags)
    sources, found = targets.expand_sources(people), targets.expand_targets(others)
    place = jobs.place_of(flags.output, several=len(sources) > 1 and not flags.pairs)
    if flags.pairs:
        return jobs.pairs(sources, found, options), place
    return jobs.products(sources, list(dict.fromkeys(found)), options), place


def _of_cast(files: Sequence[str], flags: BatchFlags, options: SwapOptions) -> list[Request]:
    """With ``--cast`` the cast file names the sources, and all arguments are targets."""
    if flags.source or flags.pairs:
        raise UsageError("--cast names the sources; leave out --source and --pairs")
    found = dict.fromkeys(targets.expand_targets(files))
    if not found:
        raise UsageError("give targets: faceswap batch --cast cast.toml TARGETS... -o FOLDER")
    return [Request((), target, options) for target in found]


def _split(files: Sequence[str], flags: BatchFlags) -> tuple[list[str], list[str]]:
    """Names of sources and of targets, by the rule in the help."""
    if flags.source:
        people, others = list(flags.source), list(files)
    elif flags.pairs:
        if len(files) % 2:
            raise UsageError(f"--pairs needs as many targets as sources: {len(files)} names do not split")
        half = len(files) // 2
        people, others = list(files[:half]), list(files[half:])
    else:
        people, others = list(files[:1]), list(files[1:])
    if not people or not others:
        raise UsageError("give a source and targets: faceswap batch SRC TARGETS... -o FOLDER")
    if len(others) == 1 and Path(people[0]).is_dir() and Path(others[0]).suffix.lower() in PICTURE_SUFFIXES:
        inside = {path.suffix.lower() for path in Path(people[0]).iterdir()}
        if inside & set(VIDEO_SUFFIXES):
            raise InputError(
                f"{people[0]} holds videos, but the source comes first; did you mean: "
                f"{shlex.join(['faceswap', 'batch', others[0], people[0]])} -o FOLDER"
            )
    return people, others


def _target_names(files: Sequence[str], flags: BatchFlags, settings: Settings) -> set[Path]:
    """What of the command line names targets: files, folders and patterns."""
    if flags.manifest is not None or settings.swap_options().track.cast is not None:
        return {Path(name) for name in files}
    return {Path(name) for name in _split(files, flags)[1]}


def _of_manifest(path: Path, flags: BatchFlags, settings: Settings) -> list[Request]:
    """The requests of a manifest; relative names in it are seen from its own folder."""
    if flags.source and len(flags.source) > 1:
        raise UsageError("with --manifest one --source may stand for lines that have none, not several")
    default = tuple(Path(resolved(name)) for name in flags.source or ())
    found = []
    for entry in manifests.read_manifest(path):
        options = manifests.row_options(settings, entry, path.parent)
        own = tuple(path.parent / resolved(name) for name in entry.sources)
        sources = () if options.track.cast is not None else own or default
        if own and not sources:
            raise UsageError(f"{entry.where}: the cast file names the sources; leave out source or cast")
        if not sources and options.track.cast is None:
            raise UsageError(f"{entry.where}: source is missing; add it, or give --source for all lines")
        found.append(Request(sources, path.parent / entry.target, options, entry.output, entry.where))
    return found


def _plan(
    session: Session, requests: list[Request], place: Place, flags: BatchFlags, named: Collection[Path]
) -> tuple[list[Row], Records]:
    """Rows with outputs and states; raises before any work when a file could be lost.

    ``named`` are the targets that were given by their names.
    """
    asked = {path for r in requests for path in (r.options.track.cast or r.options.track.reference,)}
    asked |= {request.options.paste.occlusion_mask for request in requests}
    for request in requests:
        check_cast(request.options.track.cast)
    check_inputs(sorted(path for path in asked if path is not None))
    known: dict[str, SwapOptions] = {}
    requests = [replace(r, options=_on_device(r.options, known)) for r in requests]
    largest = max((request.options.detect.max_pixels for request in requests), default=0)
    looks = targets.examine([request.target for request in requests], largest)
    rows = jobs.plan_rows(requests, looks, place)
    protected = [*looks, *([flags.manifest] if flags.manifest else [])]
    if flags.manifest is None:
        sources = {path for request in requests for path in request.sources}
        if left_out := leftovers(requests, rows, looks, sources, named):
            session.warn(sentence(left_out))
            rows = jobs.plan_rows([r for r in requests if r.target not in left_out], looks, place)
    records = Records(place.base)
    protected += jobs.files_read(rows, [])
    rows = jobs.settle(rows, records, protected, force=flags.force, skip_existing=flags.skip_existing)
    return rows, records


def _on_device(options: SwapOptions, known: dict[str, SwapOptions]) -> SwapOptions:
    """``options`` with a device that works; each name is tried once."""
    asked = options.job.device
    if asked not in known:
        known[asked] = with_device(options, may_cluster=True)
    return replace(options, job=replace(options.job, device=known[asked].job.device))
