"""``faceswap enroll``: a person measured once, later given as ``@NAME``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceswap_cli.cli.options import AcceptTerms, ClipFlags, LookFlags, ShowFlags, expanded
from faceswap_cli.cli.printing import console, plain_path
from faceswap_cli.cli.session import Session, read_settings
from faceswap_cli.cli.terms import require_terms
from faceswap_cli.cli.values import names
from faceswap_cli.errors import FaceswapError, OutputError, UsageError
from faceswap_cli.events import progress
from faceswap_cli.identity import people
from faceswap_cli.output import check_inputs

if TYPE_CHECKING:
    from faceswap_cli.identity.enrolled import Share
    from faceswap_cli.identity.faceid import Faceid

Arguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME PHOTO...",
        help="A name of your choice, then photographs of that person, or a folder of them.",
        show_default=False,
    ),
]
Tune = Annotated[str | None, typer.Option("--tune", hidden=True, help="Removed; kept to say so.")]
KeepPhotos = Annotated[
    bool,
    typer.Option(
        "--keep-photos", help="Store the faces of the photographs in the file (needed for --profile 1024)."
    ),
]
NoPicture = Annotated[
    bool,
    typer.Option(
        "--no-picture",
        help="Store no pictures: only the identity embedding and a face generated from it.",
    ),
]
SamePerson = Annotated[
    bool,
    typer.Option("--same-person", help="Accept photographs that look like different people; all count."),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="Output file (.faceid) or folder. Default: your folder of people.",
        show_default=False,
    ),
]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite the person of this name.")]
List = Annotated[bool, typer.Option("--list", help="List the enrolled people.")]
Remove = Annotated[
    str | None,
    typer.Option(
        "--remove",
        metavar="NAME",
        help="Delete the file of this person.",
        show_default=False,
        autocompletion=names,
    ),
]


@expanded
def enroll(
    ctx: typer.Context,
    show: ShowFlags,
    arguments: Arguments = None,
    tune: Tune = None,
    keep_photos: KeepPhotos = False,
    no_picture: NoPicture = False,
    same_person: SamePerson = False,
    output: Output = None,
    force: Force = False,
    list_people: List = False,
    remove: Remove = None,
    accept_terms: AcceptTerms = False,
) -> None:
    """Measure a person once from photographs; later use @NAME as the source.

    More photographs from different sides give a better likeness. The table shows how much each one counts.
    """
    if tune is not None:
        raise UsageError("tuning was removed because swaps show the photographs directly; leave out --tune")
    given = arguments or []
    settings = read_settings(show, LookFlags(), ClipFlags())
    if list_people or remove is not None:
        if given or (list_people and remove is not None):
            raise UsageError("--list and --remove NAME take no other arguments; leave out the rest")
        with Session(ctx.obj, show, settings) as session:
            _list(session) if remove is None else _remove(session, remove)
        return
    if len(given) < 2:
        raise UsageError("give a name and photographs: faceswap enroll NAME PHOTO...")
    if no_picture and keep_photos:
        raise UsageError("--no-picture excludes --keep-photos; leave one out")
    with Session(ctx.obj, show, settings) as session:
        path = place(given[0], output, force=force)
        photos = _photos(given[1:])
        require_terms(accept_terms)
        check_inputs(photos)
        asked = {"keep_photos": keep_photos, "picture": not no_picture, "same_person": same_person}
        _enroll(session, path, photos, asked)


def place(name: str, output: Path | None, *, force: bool) -> Path:
    """The file to write; :class:`OutputError` when it is there and may not be replaced."""
    path = people.person_path(name)
    if output is not None:
        path = output if output.suffix == people.SUFFIX else output / path.name
        if path.suffix != people.SUFFIX or (output.suffix and output.suffix != people.SUFFIX):
            raise UsageError(f"-o {output}: an enrolled person's file ends in {people.SUFFIX}")
    if path.exists() and not force:
        raise OutputError(f"{path} exists; --force replaces it, or choose another name")
    return path


def _photos(names: Sequence[str]) -> list[Path]:
    for name in names:
        if name.startswith(people.MARK) or name.endswith(people.SUFFIX):
            raise UsageError(f"{name} is enrolled already; give photographs")
        if name in ("", "-"):
            raise UsageError(f"{name!r} is not a photograph; give files or a folder")
    return [Path(name) for name in names]


def _enroll(session: Session, path: Path, photos: Sequence[Path], asked: dict[str, bool]) -> None:
    from faceswap_cli.enrollment.make import EnrollOptions, enroll
    from faceswap_cli.identity.faceid import write_faceid

    def tell(stage: str, done: int, total: int) -> None:
        session.listen(progress(stage, done, total))

    options = EnrollOptions(detect=session.settings.swap_options().detect, **asked)
    made = enroll(path.stem, photos, options, tell)
    write_faceid(path, made)
    for note in made.notes:
        session.warn(note)
    for line in table(made.shares):
        session.say(line)
    known = path.parent == people.people_folder()
    source = f"{people.MARK}{path.stem}" if known else shlex.quote(str(path))
    session.say(f"next: faceswap video {source} TARGET")
    session.result(_told(path, made))
    if session.for_people and not session.flags.quiet:
        plain_path(path)


def table(shares: Sequence[Share]) -> list[str]:
    """Lines that say what each photograph contributes."""
    width = max(len(share.file) for share in shares)
    lines = [f"{'photo':<{width}}  weight    yaw  width  distance"]
    for share in sorted(shares, key=lambda share: -share.weight):
        lines.append(
            f"{share.file:<{width}}  {share.weight:>5.0%}  {share.yaw:>+5.0f}  {share.width_px:>5.0f}  "
            f"{share.distance:>8.2f}"
        )
    return lines


def _told(path: Path, made: Faceid) -> dict[str, Any]:
    return {
        "command": "enroll",
        "exit": 0,
        "output": path,
        "name": made.person.name,
        "photos": [asdict(share) for share in made.shares],
        "kept_photos": len(made.photos),
        "notes": made.notes,
    }


def _list(session: Session) -> None:
    rows = [_looked_at(path) for path in people.known_people()]
    session.result({"command": "enroll --list", "exit": 0, "folder": people.people_folder(), "people": rows})
    if not session.for_people:
        return
    if not rows:
        session.say(f"nobody is enrolled in {people.people_folder()}; try 'faceswap enroll NAME PHOTO...'")
        return
    from rich.table import Table

    shown = Table("name", "photos", "made", "MiB", "", box=None, pad_edge=False)
    for row in rows:
        told = [str(row.get(key, "?")) for key in ("name", "photos", "made")]
        shown.add_row(*told, f"{row['size'] / 2**20:.1f}", row["problem"])
    console().print(shown, markup=False)


def _looked_at(path: Path) -> dict[str, Any]:
    from faceswap_cli.identity.faceid import read_faceid

    row: dict[str, Any] = {"name": path.stem, "file": path, "size": path.stat().st_size, "problem": ""}
    try:
        content = read_faceid(path)
    except FaceswapError as error:
        return {**row, "problem": str(error)}
    return {
        **row,
        "photos": len(content.shares),
        "made": content.made,
        "kept_photos": len(content.photos),
    }


def _remove(session: Session, name: str) -> None:
    path = people.remove(name)
    session.say(f"removed {path}")
    session.result({"command": "enroll --remove", "exit": 0, "removed": path})
