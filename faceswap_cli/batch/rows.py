"""Jobs out of what was asked: sources with targets, and a name for every result.

Everything that can go wrong with names goes wrong here, before any work: a result outside the
output folder, two results of one name, a result in the place of an input or of a finished file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from faceswap_cli.batch.records import Records, files_named, row_key
from faceswap_cli.batch.targets import VIDEOS, Target
from faceswap_cli.config import SwapOptions
from faceswap_cli.errors import FaceswapError, InputError, OutputError, UsageError
from faceswap_cli.jobs.seal import disown, is_own_result
from faceswap_cli.output import CLIP_SUFFIXES, PICTURE_SUFFIXES, PICTURES, Naming, check_folder, output_path

SEVERAL_SOURCES = "{stem}_{source}{ext}"
"""Default name where several people meet the same targets"""


@dataclass(frozen=True, slots=True)
class Request:
    """One swap that was asked for."""

    sources: tuple[Path, ...]
    """Photographs, or folders of them, of one person; none where a cast file names them"""
    target: Path
    options: SwapOptions = field(repr=False)
    output: str | None = None
    """Name or template of its own; None takes that of the batch"""
    where: str = ""
    """Line of the manifest, for messages"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where results go."""

    base: Path
    """Results with relative names are inside, and so are the records"""
    template: str | None
    """What ``-o`` says, with the name for those that have none of their own; None: beside the target"""
    outside: bool = False
    """True when a job may name an absolute path anywhere: without ``-o``"""


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One job of a batch, ready to be run."""

    index: int
    """From 1"""
    where: str
    sources: tuple[Path, ...]
    target: Target
    output: Path | None
    """None when the target cannot be read"""
    options: SwapOptions = field(repr=False)
    state: str = "todo"
    """``todo``, ``kept`` (made by an earlier run of this batch) or ``skipped`` (``--skip-existing``)"""
    key: str = field(repr=False, default="")

    @property
    def name(self) -> str:
        return self.target.path.name

    @property
    def source(self) -> str:
        """Who is put in, for people."""
        return ", ".join(path.name for path in self.sources) or str(self.options.track.cast)


def place_of(asked: str | None, manifest: Path | None = None, *, several: bool = False) -> Place:
    """The place that ``-o`` means; without it results lie where the manifest says.

    ``several``: each target meets several people, so the names in a folder must tell them apart.
    """
    if asked is None:
        if manifest is None:
            raise UsageError("-o is needed: a folder, or a template such as 'out/{stem}_{source}{ext}'")
        return Place(manifest.parent, None, outside=True)
    if asked in ("", "-"):
        raise UsageError("-o must name a folder or a template; a batch cannot go to stdout")
    if "{" in asked or "}" in asked:
        return Place(Path(os.path.dirname(asked.partition("{")[0]) or "."), asked)
    base = Path(asked)
    if base.suffix.lower() in (*PICTURES, *VIDEOS) and not base.is_dir():
        raise UsageError(f"-o {asked} names one file; a batch needs a folder, or a template with {{stem}}")
    return Place(base, os.path.join(_literal(base), SEVERAL_SOURCES if several else ""))


def products(sources: Sequence[Path], targets: Sequence[Path], options: SwapOptions) -> list[Request]:
    """Every target with every source, target by target."""
    return [Request((source,), target, options) for target in targets for source in sources]


def pairs(sources: Sequence[Path], targets: Sequence[Path], options: SwapOptions) -> list[Request]:
    """The first source with the first target, and so on."""
    if len(sources) != len(targets):
        raise UsageError(f"--pairs needs as many sources as targets, not {len(sources)} and {len(targets)}")
    return [Request((s,), t, options) for s, t in zip(sources, targets, strict=True)]


def plan_rows(requests: Sequence[Request], looks: Mapping[Path, Target], place: Place) -> list[Row]:
    """A row with a checked output name for every request; nothing is written yet."""
    rows = [_row(index, request, looks[request.target], place) for index, request in enumerate(requests, 1)]
    _refuse_doubles(rows)
    return rows


def own_results(requests: Sequence[Request], rows: Sequence[Row]) -> set[Path]:
    """Targets that are results of other rows: found again when results lie among the targets."""
    outputs = {_identity(row.output) for row in rows if row.output is not None}
    return {request.target for request in requests if _identity(request.target) in outputs}


def _row(index: int, request: Request, target: Target, place: Place) -> Row:
    output, problem = None, target.problem
    if problem is None and target.clip is None and request.options.track.cast is not None:
        problem = InputError(f"{target.path} is a picture; a cast file is for clips, give it a source")
        target = replace(target, problem=problem)
    if problem is None:
        try:
            output = _output(index, request, target, place)
        except (UsageError, OutputError) as error:
            where = request.where or f"result of {target.path.name}"
            raise type(error)(f"{where}: {error}") from error
        except FaceswapError as error:  # of this clip alone: nothing here can encode it
            target = replace(target, problem=error)
    return Row(index, request.where, request.sources, target, output, request.options)


def _output(index: int, request: Request, target: Target, place: Place) -> Path:
    naming, asked = _naming(index, request, target), place.template
    if request.output is not None:
        # Joining leaves an absolute name as it is.
        asked = os.path.join(_literal(place.base), request.output)
    free = place.outside and (request.output is None or os.path.isabs(request.output))
    path = Path(os.path.normpath(output_path(asked, naming)))
    if free:
        check_folder(path)
    elif not _inside(path, place.base):
        hint = " or are named by an absolute path" if place.outside else ""
        raise UsageError(f"{path} lies outside {place.base}; results stay inside the output folder{hint}")
    if target.clip is not None:
        from faceswap_cli.video.containers import check_output

        check_output(target.clip, path, request.options.encode)
    return path


def _literal(base: Path) -> str:
    """``base`` for use in a template: braces in a folder's name are not fields."""
    return str(base).replace("{", "{{").replace("}", "}}")


def _naming(index: int, request: Request, target: Target) -> Naming:
    cast = request.options.track.cast
    first = request.sources[0] if cast is None else cast
    source = first.name if first.is_dir() else first.stem
    path = target.path
    if target.clip is None:
        ext = path.suffix if path.suffix.lower() in PICTURE_SUFFIXES else ".png"
        return Naming(path, ext, PICTURE_SUFFIXES, source, index)
    from faceswap_cli.video.containers import output_extension

    ext = output_extension(target.clip, request.options.encode)
    return Naming(path, ext, CLIP_SUFFIXES, source, index)


def _inside(path: Path, base: Path) -> bool:
    """Also when links are followed."""
    lexical = Path(os.path.abspath(path)).is_relative_to(os.path.abspath(base))
    return lexical and Path(os.path.realpath(path.parent)).is_relative_to(os.path.realpath(base))


def _identity(path: Path) -> str:
    """One spelling for one place, there or not."""
    return os.path.normcase(os.path.join(os.path.realpath(path.parent), path.name))


def _refuse_doubles(rows: Iterable[Row]) -> None:
    seen: dict[str, Row] = {}
    for row in rows:
        if row.output is None:
            continue
        first = seen.setdefault(_identity(row.output), row)
        if first is not row:
            raise UsageError(
                f"{row.output} would be written twice: {_origin(first)} and {_origin(row)}; "
                "tell them apart by name, or with {source} or {index} in -o"
            )


def _origin(row: Row) -> str:
    return f"{row.where or row.target.path} (source {row.source})"


def settle(
    rows: Sequence[Row], records: Records, protected: Sequence[Path], *, force: bool, skip_existing: bool
) -> list[Row]:
    """Rows with the state of their outputs; :class:`OutputError` when a file would be lost.

    ``protected`` are all files that the batch reads.
    """
    inputs = {place for path in protected if (place := _inode(path)) is not None}
    settled = [_settled(row, records, inputs, skip_existing=skip_existing) for row in rows]
    todo = [row.output for row in settled if row.state == "todo" and row.output is not None]
    # What --restart throws away was made by this batch, and may be replaced.
    own = {row.output for row in settled if row.output and records.done(row.output, row.key) is not None}
    there = [path for path in todo if path.exists() and path not in own and not is_own_result(path)]
    if force:
        for path in there:
            disown(path)
    elif there:
        others = len(there) - 1
        more = f" and {others} other{'s' if others > 1 else ''} exist" if others else " exists"
        raise OutputError(
            f"{there[0]}{more}; use --force to replace or --skip-existing to keep what is there"
        )
    return settled


def _settled(row: Row, records: Records, inputs: set[tuple[int, int]], *, skip_existing: bool) -> Row:
    path = row.output
    if path is None:
        return row
    row = replace(row, key=row_key(row.sources, row.target.path, row.options))
    if is_own_result(path):  # its job was killed while it cleared up, and will go on with that
        return row
    if records.done(path, row.key) is not None:
        return row if row.options.job.restart else replace(row, state="kept")
    if not (path.exists() or path.is_symlink()):
        return row
    if _inode(path) in inputs:
        raise OutputError(f"{path} is an input and is never overwritten; choose another -o")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path} is not a regular file; choose another -o")
    return replace(row, state="skipped") if skip_existing else row


def files_read(rows: Sequence[Row], more: Sequence[Path]) -> list[Path]:
    """Every file that the batch reads, folders opened up."""
    found = list(more)
    for row in rows:
        found += [row.target.path, *files_named(row.options)]
    for path in dict.fromkeys(path for row in rows for path in row.sources):
        try:
            found += sorted(path.iterdir()) if path.is_dir() else [path]
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}); check its permissions") from error
    return found


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
