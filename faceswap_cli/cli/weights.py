"""``faceswap weights``: what is installed, official checkpoints, the golden check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from faceswap_cli.cli.examples import epilog
from faceswap_cli.cli.options import ShowFlags, expanded
from faceswap_cli.cli.printing import console, plain_path
from faceswap_cli.cli.session import Session, read_settings
from faceswap_cli.errors import FaceswapError, OutputError, UsageError, WeightsError
from faceswap_cli.events import Event
from faceswap_cli.own_edits import is_name
from faceswap_cli.user_files import TAUGHT

if TYPE_CHECKING:
    from faceswap_cli.swap.conform import FamilyResult
    from faceswap_cli.weights.store import Card
    from faceswap_cli.weights.taught import Taught

weights_app = typer.Typer(
    name="weights",
    help="Manage model weights: list, verify, download, import and export them.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Registry = Annotated[
    Path | None,
    typer.Option("--registry", help="JSON file with further entries.", metavar="FILE", show_default=False),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name as shown by 'faceswap weights list'.")]


def _progress(session: Session, stage: str) -> Callable[[int, int], None]:
    """Bytes as mebibytes, so that the display's counts stay readable."""

    def told(done: int, total: int) -> None:
        session.listen(Event("progress", {"stage": stage, "done": done >> 20, "total": max(total >> 20, 1)}))

    return told


def _show_card(card: Card) -> None:
    out = console()
    out.print(f"{card.name}: {card.title}", markup=False)
    out.print(f"  license  {card.licence} ({card.licence_use} use); {card.licence_url}", markup=False)
    out.print(f"  origin   {card.origin}, file {card.source_file}", markup=False)
    out.print(f"  sha256   {card.sha256}", markup=False)
    for note in card.notes:
        out.print(f"  note     {note}", markup=False)


@weights_app.command("list", epilog=epilog("weights list"))
@expanded
def list_weights(ctx: typer.Context, show: ShowFlags, registry: Registry = None) -> None:
    """List bundled, installed and known weights with their licenses."""
    with Session(ctx.obj, show, read_settings(show)) as session:
        from faceswap_cli.weights import registry as rows
        from faceswap_cli.weights import store

        known, here = rows.read_registry(registry), {card.name: card for card in store.installed()}
        own_edits = _taught_rows()
        own = sorted(rows.bundled_folder().glob("*"))
        bundled = [p for p in own if p.suffix in (".safetensors", ".task")]
        table = [
            {
                "name": row.name,
                "title": row.title,
                "installed": name in here,
                "licence": row.licence.name,
                "use": row.licence.use,
                "size": here[name].size if name in here else row.size,
                "pull": bool(row.addresses),
                "origin": row.origin,
            }
            for name, row in known.items()
        ]
        session.result(
            {
                "command": "weights list",
                "exit": 0,
                "folder": rows.installed_folder(),
                "weights": table,
                "bundled": [{"name": p.name, "size": p.stat().st_size} for p in bundled],
                "attributes": own_edits,
            }
        )
        if session.for_people:
            _print_list([*own_edits, *table], bundled)


def _taught_rows() -> list[dict[str, object]]:
    """Edits that the user has taught; what is wrong with one stands in its line."""
    from faceswap_cli.user_files import taught_names, taught_path
    from faceswap_cli.weights.taught import label_of, read_taught

    rows: list[dict[str, object]] = []
    for name in taught_names():
        row = {"name": label_of(name), "size": taught_path(name).stat().st_size, "use": "", "state": "taught"}
        try:
            about = read_taught(name)[0].about
            title = f"--edit {name}=...: {about.get('told', '')}; {about.get('pictures', '')}"
        except WeightsError as error:
            title = str(error)
        rows.append({**row, "title": title})
    return rows


def _print_list(table: list[dict[str, object]], bundled: list[Path]) -> None:
    from rich.table import Table

    shown = Table("name", "state", "MiB", "use", "what", box=None, pad_edge=False)
    for path in bundled:
        shown.add_row(path.name, "bundled", f"{path.stat().st_size / 2**20:.1f}", "commercial", "")
    for row in table:
        state = row.get("state") or (
            "installed" if row["installed"] else "can be pulled" if row["pull"] else "by hand"
        )
        size = int(str(row["size"]))
        shown.add_row(
            str(row["name"]),
            str(state),
            f"{size / 2**20:.1f}" if size else "",
            str(row["use"]),
            str(row["title"]),
        )
    console().print(shown, markup=False)


@weights_app.command("path", epilog=epilog("weights path"))
@expanded
def path(ctx: typer.Context, show: ShowFlags, name: Name) -> None:
    """Print the path of an installed or bundled file."""
    with Session(ctx.obj, show, read_settings(show)) as session:
        from faceswap_cli.policy import store as policies
        from faceswap_cli.weights import registry as rows
        from faceswap_cli.weights import store

        own = rows.bundled_folder() / Path(name).name
        if own.is_file():
            found = own
        elif name == policies.NAME:
            policies.read_card()
            found = policies.folder() / policies.MODEL
        elif name.startswith(f"{TAUGHT}/"):
            found = _taught(name).path
        else:
            store.read_card(name)
            found = store.weights_path(name)
        session.result({"command": "weights path", "exit": 0, "name": name, "path": found})
        if session.for_people:
            plain_path(found)


@weights_app.command("verify", epilog=epilog("weights verify"))
@expanded
def verify(
    ctx: typer.Context,
    show: ShowFlags,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME...]", help="Names to check. Default: all bundled and installed weights."
        ),
    ] = None,
) -> None:
    """Check the digests of weights, and the names and shapes of their tensors."""
    with Session(ctx.obj, show, read_settings(show)) as session:
        from faceswap_cli.policy import store as policies
        from faceswap_cli.user_files import taught_names
        from faceswap_cli.weights import store
        from faceswap_cli.weights.bundled import packed

        own_edits = [f"{TAUGHT}/{name}" for name in taught_names()]
        wanted = names or [*store.installed_names(), *own_edits, *packed()]
        if not names and policies.is_installed():
            wanted.insert(0, policies.NAME)
        checked: list[_Verified] = []
        broken: list[str] = []
        for name in wanted:
            try:
                checked.append(_verified(session, name))
            except FaceswapError as error:
                broken.append(str(error))
        rows = [{"name": card.name, "ok": True, "sha256": card.sha256} for card in checked]
        if not broken:
            session.result({"command": "weights verify", "exit": 0, "weights": rows})
        if session.for_people:
            for card in checked:
                console().print(f"ok    {card.name}  {card.sha256}", markup=False)
    if broken:
        raise WeightsError("; ".join(broken))


def _taught(label: str) -> Taught:
    """The verified edit behind ``attributes/NAME``."""
    from faceswap_cli.weights.taught import read_taught

    name = label.removeprefix(f"{TAUGHT}/")
    if not is_name(name):
        raise WeightsError(f"there is no edit named {name!r}; see: faceswap weights list")
    return read_taught(name)[0]


class _Verified(Protocol):
    """What every kind of weights knows of itself."""

    @property
    def name(self) -> str: ...
    @property
    def sha256(self) -> str: ...


def _verified(session: Session, name: str) -> _Verified:
    """Bundled files against the package, the content classifier and installed ones against their cards."""
    from faceswap_cli.policy import store as policies
    from faceswap_cli.weights import store
    from faceswap_cli.weights.bundled import packed, verify_bundled

    if name == policies.NAME:
        return policies.verify()
    if name.startswith(f"{TAUGHT}/"):
        return replace(_taught(name), name=name)
    return verify_bundled(name) if name in packed() else store.verify(name, _progress(session, "verify"))


@weights_app.command("import", epilog=epilog("weights import"))
@expanded
def import_weights(
    ctx: typer.Context,
    show: ShowFlags,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Published .pt, .safetensors or .onnx file.")],
    insist: Annotated[
        str | None, typer.Option("--as", help="Require that the file holds these weights.", metavar="NAME")
    ] = None,
) -> None:
    """Recognize a checkpoint by its keys, check it, convert it to safetensors, and install it."""
    with Session(ctx.obj, show, read_settings(show)) as session:
        from faceswap_cli.policy import store as policies
        from faceswap_cli.weights import store

        if file.suffix.lower() == ".onnx" or insist == policies.NAME:
            _import_policy(session, file, insist)
            return
        card = store.import_file(file, insist, _progress(session, "import"))
        found = store.weights_path(card.name)
        for note in card.notes:
            session.warn(note)
        session.result({"command": "weights import", "exit": 0, "card": card, "path": found})
        if session.for_people:
            _show_card(card)
            plain_path(found)


def _import_policy(session: Session, file: Path, insist: str | None) -> None:
    """A content classifier with the rules beside it."""
    from faceswap_cli.policy import store as policies

    if insist != policies.NAME:
        raise UsageError(
            f"{file.name}: an ONNX file can only be a content classifier; use --as {policies.NAME}"
        )
    card = policies.import_classifier(file)
    found = policies.folder() / policies.MODEL
    session.result({"command": "weights import", "exit": 0, "card": card, "path": found})
    if session.for_people:
        limits = ", ".join(f"{label} from {limit:g}" for label, limit in card.refuse.items())
        console().print(f"{card.name}: content classifier {card.source_file}, refuses {limits}", markup=False)
        plain_path(found)


@weights_app.command("pull", epilog=epilog("weights pull"))
@expanded
def pull(
    ctx: typer.Context,
    show: ShowFlags,
    name: Name,
    registry: Registry = None,
    allow_licence: Annotated[
        str,
        typer.Option(
            "--allow-license",
            "--allow-licence",
            help="Accepted use of the license: commercial or noncommercial.",
            metavar="USE",
        ),
    ] = "commercial",
) -> None:
    """Download, verify and install weights. No other command uses the network."""
    with Session(ctx.obj, show, read_settings(show)) as session:
        from faceswap_cli.weights import fetch, formats, store
        from faceswap_cli.weights.registry import LICENCE_CLASSES, installed_folder, row_of

        if allow_licence not in LICENCE_CLASSES:
            raise UsageError(
                f"--allow-license must be one of {', '.join(LICENCE_CLASSES)}, not {allow_licence}"
            )
        row = row_of(name, registry)
        session.say(f"{row.name}: {row.title}; license {row.licence.name} ({row.licence.use} use)")
        session.say(f"  {row.licence.url}")
        fetch.check_licence(row, allow_licence)
        folder = installed_folder() / "downloads"
        got = fetch.pull(row, folder, _progress(session, "download"))
        known = formats.recognise(formats.read_container(got), row.name)
        if known.checkpoint != row.checkpoint:
            raise WeightsError(f"{row.file} holds {known.checkpoint}, expected {row.checkpoint}")
        card = store.install(known, row, row.file, row.sha256)
        del known
        got.unlink(missing_ok=True)
        session.result({"command": "weights pull", "exit": 0, "card": card})
        if session.for_people:
            _show_card(card)


@weights_app.command("export", epilog=epilog("weights export"))
@expanded
def export(
    ctx: typer.Context,
    show: ShowFlags,
    name: Name,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Output: FILE.pt, FILE.safetensors, or a folder with --onnx."),
    ],
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Write ONNX graphs with a dynamic batch size.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", "-f", help="Overwrite an existing output.")] = False,
) -> None:
    """Export installed weights as published (.pt), as safetensors, or as ONNX graphs."""
    with Session(ctx.obj, show, read_settings(show)) as session:
        if output.is_file() and not force:
            raise OutputError(f"{output} exists; use --force to replace it")
        if onnx:
            from faceswap_cli.weights.onnx_export import export_networks

            written = export_networks(name, output, force=force)
        else:
            from faceswap_cli.weights.store import export_file

            written = [export_file(name, output)]
        session.result({"command": "weights export", "exit": 0, "name": name, "outputs": written})
        if session.for_people:
            for item in written:
                plain_path(item)


@weights_app.command("conform", epilog=epilog("weights conform"))
@expanded
def conform(
    ctx: typer.Context,
    show: ShowFlags,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with reference outputs (.npz).")],
    which: Annotated[
        str, typer.Option("--set", help="Set of stand-in weights that made the files.", metavar="NAME")
    ] = "A",
    threads: Annotated[int, typer.Option("--threads", help="Threads; 0 means one per core.")] = 0,
) -> None:
    """Compare the networks with stored outputs of the published ones; exit with 6 if one deviates."""
    with Session(ctx.obj, show, read_settings(show)) as session:
        import torch

        from faceswap_cli.swap.conform import check_folder

        if threads < 0:
            raise UsageError(f"--threads must be 0 or more, not {threads}")
        if threads:
            torch.set_num_threads(threads)

        result = check_folder(folder, which, _show_family if session.for_people else lambda row: None)
        failed = [row for row in result.families if not row.passed]
        session.result(
            {
                "command": "weights conform",
                "exit": 0 if result.passed else WeightsError.exit_code,
                "set": which,
                "passed": result.passed,
                "threads": torch.get_num_threads(),
                "unchecked": result.unchecked,
                "families": [{**asdict(row), "passed": row.passed} for row in result.families],
            }
        )
        if session.for_people:
            met = len(result.families) - len(failed)
            say = f"{met} of {len(result.families)} families within their bounds"
            if result.unchecked:
                say += f"; not checked: {', '.join(result.unchecked)}"
            console().print(say, markup=False)
    if not result.passed:
        raise typer.Exit(WeightsError.exit_code)


def _show_family(row: FamilyResult) -> None:
    state = "ok  " if row.passed else "FAIL"
    line = f"{state} {row.file:<15} {row.family:<28} {row.error:8.1e} of {row.bound:.0e}  {row.worst}"
    console().print(line, markup=False)
