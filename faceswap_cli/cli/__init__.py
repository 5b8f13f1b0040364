"""The command line: parse, build options, one library call, print.

:func:`main` turns every error into one line on stderr and an exit code.  Nothing heavy is
imported before a command runs.
"""

from __future__ import annotations

import errno
import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from faceswap_cli import __version__
from faceswap_cli.cli import (
    batch,
    bench,
    completion,
    doctor,
    edit,
    enroll,
    evaluate,
    image,
    inspect,
    rerun,
    settings,
    train,
    video,
)
from faceswap_cli.cli.examples import epilog
from faceswap_cli.cli.kinds import with_kinds
from faceswap_cli.cli.printing import event_line, write_json
from faceswap_cli.cli.session import Invocation
from faceswap_cli.cli.suggest import as_command, suggestion
from faceswap_cli.cli.weights import weights_app
from faceswap_cli.errors import DeviceError, FaceswapError, Interrupted, OutputError, SeveralFaces, UsageError
from faceswap_cli.events import SCHEMA
from faceswap_cli.plain import one_line

__all__ = ["app", "main"]

# Typer has its own copy of click since 0.20 and uses the package before: take the class from it.
_ParseError: type[Any] = typer.BadParameter.__mro__[2]

app = typer.Typer(
    name="faceswap",
    help="Put one person's face on another's in pictures and videos.",
    epilog=epilog("faceswap"),
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"faceswap {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", "-V", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    pass


PANELS: dict[str, tuple[Any, ...]] = {
    "Swap": (image.image, video.video, batch.batch, edit.edit, rerun.rerun),
    "People": (enroll.enroll,),
    "Check": (inspect.inspect, evaluate.evaluate, doctor.doctor, bench.bench),
    "Set up": (settings.config, settings.terms, completion.completion, train.train),
}
"""The commands as ``faceswap --help`` groups them."""

for _panel, _commands in PANELS.items():
    for _command in _commands:
        app.command(rich_help_panel=_panel, epilog=epilog(_command.__name__))(_command)
app.add_typer(weights_app, rich_help_panel="Set up", epilog=epilog("weights"))


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code and never raises."""
    invocation = Invocation(tuple(sys.argv[1:] if argv is None else argv))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # file names need not be valid text
            stream.reconfigure(errors="surrogateescape" if stream is sys.stdout else "backslashreplace")
    try:
        code = _run(invocation)
        sys.stdout.flush()
    except BrokenPipeError:
        return _closed_pipe()
    except SystemExit as stopped:
        # Typer ends so when its own printing met a closed pipe.
        return _closed_pipe() if isinstance(stopped.__context__, BrokenPipeError) else int(stopped.code or 0)
    except (KeyboardInterrupt, typer.Abort):
        return _report(Interrupted("stopped"), invocation)
    except Exception as error:  # noqa: BLE001  the last line of defence: one line instead of a traceback
        return _report(error, invocation)
    return code


def _run(invocation: Invocation) -> int:
    os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder would print its settings on stderr
    # Before numpy is loaded: frames are worked on side by side, in which threads inside its small products
    # only spin, for half of the processor time of a job in one process.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    completion.prepare()
    command = with_kinds(typer.main.get_command(app))
    args = as_command(invocation.argv) or ["--help"]
    if hint := suggestion(args, tuple(command.commands)):
        raise UsageError(hint)
    result = command.main(args, prog_name="faceswap", standalone_mode=False, obj=invocation)
    return result if isinstance(result, int) else 0


def _report(error: Exception, invocation: Invocation) -> int:
    """One line on stderr, for programs also one object or event on stdout; returns the exit code."""
    if invocation.verbose >= 2:
        traceback.print_exception(error, file=sys.stderr)
    known = as_known(error)
    message = one_line(str(known))
    if isinstance(known, Interrupted) and invocation.resumable:
        message += f"; to resume: {shlex.join(['faceswap', *invocation.argv])}"
    try:
        _tell_program(known, message, invocation)
        sys.stderr.write(f"faceswap: error: {message}\n")
        sys.stderr.flush()
        if isinstance(known, SeveralFaces) and not invocation.machine:
            from faceswap_cli.cli.faces import show_faces

            show_faces(known.pictures)
    except BrokenPipeError:
        _closed_pipe()
    return known.exit_code


def _tell_program(error: FaceswapError, message: str, invocation: Invocation) -> None:
    machine = invocation.machine or _asked_for(invocation.argv)
    more = getattr(error, "details", {})
    told = {"code": error.code, "exit": error.exit_code, "message": message, **more}
    if machine == "json":
        write_json({"schema": SCHEMA, **invocation.partial, "exit": error.exit_code, "error": told})
    elif machine == "events":
        sys.stdout.write(event_line("error", told))
        sys.stdout.flush()


def _asked_for(argv: Sequence[str]) -> str:
    """Whether stdout belongs to a program, for errors before the flags were understood."""
    flags = argv[: argv.index("--")] if "--" in argv else argv
    return "json" if "--json" in flags else "events" if "--events" in flags else ""


def as_known(error: Exception) -> FaceswapError:
    """``error`` as one of ours: parse errors, a full disk and full memory have codes of their own."""
    if isinstance(error, FaceswapError):
        return error
    if isinstance(error, _ParseError):
        context = getattr(error, "ctx", None)
        where = context.command_path if context is not None else "faceswap"
        text = error.format_message().rstrip(".") or "a command is missing"
        return UsageError(f"{text}; see {where} --help")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError("the disk is full; free some space or choose another disk with -o")
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return DeviceError("out of memory; try --threads 1, --batch 1 or --device cpu")
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return FaceswapError(f"unexpected failure ({text}); run again with -vv and report it")


def _closed_pipe() -> int:
    """The reader has gone: end quietly, and keep Python from complaining while it exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    except (OSError, ValueError):
        return 0
    finally:
        os.close(nowhere)
    return 0
