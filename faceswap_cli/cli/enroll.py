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
from faceswap_cli.cli.train import duration_s
from faceswap_cli.cli.values import names
from faceswap_cli.errors import FaceswapError, Interrupted, OutputError, UsageError
from faceswap_cli.events import progress
from faceswap_cli.identity import people
from faceswap_cli.output import check_inputs

if TYPE_CHECKING:
    from faceswap_cli.enrol.make import Enrolment
    from faceswap_cli.identity.enrolled import Share

LEVELS = (0, 1, 2, 3)

Arguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME PHOTO...",
        help="A name of your choice, then photographs of that person, or a folder of them.",
        show_default=False,
    ),
]
Level = Annotated[
    int,
    typer.Option(
        "--tune",
        metavar="0|1|2|3",
        help="Fitting: 0 encodes the photographs; 1 refines the codes; "
        "2 fine-tunes the network (minutes on a "
        "CPU); 3 fine-tunes it on the faces of --clip.",
    ),
]
TunedOn = Annotated[
    Path | None,
    typer.Option(
        "--clip",
        metavar="VIDEO",
        help="For --tune 3: the video in which this person will be used.",
        show_default=False,
    ),
]
MaxTime = Annotated[
    str | None,
    typer.Option(
        "--max-time",
        help="Time limit of the fitting, e.g. 90s; the best result so far is kept. Default: none.",
        show_default=False,
    ),
]
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
    tune: Level = 0,
    clip: TunedOn = None,
    max_time: MaxTime = None,
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
    if tune not in LEVELS:
        raise UsageError(f"--tune must be 0, 1, 2 or 3, not {tune}")
    if (tune == 3) != (clip is not None):
        raise UsageError("--tune 3 and --clip VIDEO go together; give both or neither")
    if no_picture and (tune or keep_photos):
        raise UsageError("--no-picture excludes --tune and --keep-photos; leave them out")
    limit = duration_s(max_time) if max_time else float("inf")
    with Session(ctx.obj, show, settings, soft_stop=True) as session:
        session.invocation.resumable = False  # what a signal leaves is a whole file, or none
        path = place(given[0], output, force=force)
        photos = _photos(given[1:])
        require_terms(accept_terms)
        check_inputs([*photos, *filter(None, (clip,))])
        asked: dict[str, Any] = {"level": tune, "clip": clip, "max_s": limit}
        asked |= {"keep_photos": keep_photos, "picture": not no_picture, "same_person": same_person}
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


def _enroll(session: Session, path: Path, photos: Sequence[Path], asked: dict[str, Any]) -> None:
    from faceswap_cli.enrol.make import EnrolOptions, enrol
    from faceswap_cli.enrol.tune import TuneOptions
    from faceswap_cli.identity.faceid import write_faceid

    def tell(stage: str, done: int, total: int) -> None:
        session.listen(progress(stage, done, total))

    options = EnrolOptions(
        level=asked["level"],
        clip=asked["clip"],
        keep_photos=asked["keep_photos"],
        picture=asked["picture"],
        same_person=asked["same_person"],
        detect=session.settings.swap_options().detect,
        tuning=TuneOptions(max_s=asked["max_s"]),
    )
    made = enrol(path.stem, photos, options, tell, session.stop)
    write_faceid(path, made.content)
    for note in made.content.notes:
        session.warn(note)
    for line in table(made.content.shares):
        session.say(line)
    if made.stopped:
        raise Interrupted(f"stopped; {path} holds the best so far", exit_code=session.stop.exit_code)
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


def _told(path: Path, made: Enrolment) -> dict[str, Any]:
    person = made.content.person
    return {
        "command": "enroll",
        "exit": 0,
        "output": path,
        "name": person.name,
        "level": person.level,
        "clip": person.clip or None,
        "weights": None if person.codes is None else person.codes.base,
        "photos": [asdict(share) for share in made.content.shares],
        "kept_photos": len(made.content.photos),
        "tuning": [{**asdict(outcome), "helped": outcome.helped} for outcome in made.outcomes],
        "notes": made.content.notes,
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

    shown = Table("name", "level", "photos", "made", "MiB", "", box=None, pad_edge=False)
    for row in rows:
        told = [str(row.get(key, "?")) for key in ("name", "level", "photos", "made")]
        shown.add_row(*told, f"{row['size'] / 2**20:.1f}", row["problem"])
    console().print(shown, markup=False)


def _looked_at(path: Path) -> dict[str, Any]:
    from faceswap_cli.identity.faceid import read_faceid

    row: dict[str, Any] = {"name": path.stem, "file": path, "size": path.stat().st_size, "problem": ""}
    try:
        content = read_faceid(path)
    except FaceswapError as error:
        return {**row, "problem": str(error)}
    codes = content.person.codes
    fits = codes is None or codes.base == _installed()
    problem = "" if fits else "made with other weights: enroll again"
    shown = {"level": content.person.level, "photos": len(content.shares), "made": content.made}
    return {**row, **shown, "kept_photos": len(content.photos), "problem": problem}


def _installed() -> str:
    """Digest of the network's weights; empty when there are none."""
    from faceswap_cli.errors import WeightsError
    from faceswap_cli.swap.fslsd256_weights import FILE, digest
    from faceswap_cli.weights.registry import bundled

    try:
        return digest(bundled(FILE))
    except WeightsError:
        return ""


def _remove(session: Session, name: str) -> None:
    path = people.remove(name)
    session.say(f"removed {path}")
    session.result({"command": "enroll --remove", "exit": 0, "removed": path})
