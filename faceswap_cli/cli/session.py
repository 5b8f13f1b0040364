"""One run of one command: its display, log, signals, and the way it reports its result and errors."""

from __future__ import annotations

import _thread
import logging
import os
import shlex
import signal
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from faceswap_cli.cli.display import EventLines, build_display
from faceswap_cli.cli.options import ShowFlags, given
from faceswap_cli.cli.printing import write_json
from faceswap_cli.config_files import Settings, resolve
from faceswap_cli.errors import Interrupted, OutputError, UsageError
from faceswap_cli.events import SCHEMA, Event, StopRequest
from faceswap_cli.plain import one_line

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


@dataclass
class Invocation:
    """What ``main`` must know to report an error of the command that it started."""

    argv: tuple[str, ...]
    verbose: int = 0
    machine: str = ""
    """``json`` or ``events`` when stdout belongs to a program"""
    resumable: bool = False
    partial: dict[str, Any] = field(default_factory=dict)
    """Of the result, what is known when an error ends the command."""


def read_settings(show: ShowFlags, *groups: Any) -> Settings:
    """Command line, environment and files, merged."""
    use_files = not show.no_config
    if show.config is not None and show.no_config:
        raise UsageError("--config and --no-config exclude each other")
    return resolve(
        given(show, *groups), config=show.config, use_files=use_files, environ=os.environ, folder=Path.cwd()
    )


@dataclass
class Session:
    """``with Session(...) as session``: everything that is undone at the end of a command."""

    invocation: Invocation
    flags: ShowFlags
    settings: Settings
    soft_stop: bool = False
    """True for commands whose work survives: the first signal only asks them to stop."""
    stop: StopRequest = field(default_factory=StopRequest)
    owned: ExitStack = field(default_factory=ExitStack)
    """Temporary files and the like, released when the command ends, however it ends."""

    def __post_init__(self) -> None:
        if self.flags.json and self.flags.events:
            raise UsageError("--json and --events exclude each other: both claim stdout")
        if self.flags.quiet and self.flags.verbose:
            raise UsageError("--quiet and --verbose exclude each other")
        show = self.settings.show_options()
        self.invocation.verbose = self.flags.verbose
        self.invocation.machine = "json" if self.flags.json else "events" if self.flags.events else ""
        self.invocation.resumable = self.soft_stop
        self._display = build_display(show.progress, quiet=self.flags.quiet)
        self._lines = EventLines() if self.flags.events else None
        self._log_file = show.log_file
        self._leaving = False
        self._announcing = _thread.allocate_lock()
        """Held from a first signal until its line is out"""

    def __enter__(self) -> Session:
        self.owned.callback(self._display.close)
        try:
            self._start_log()
            for number in CODES:
                self.owned.callback(self._restore, number, signal.signal(number, self._on_signal))
        except BaseException:
            self.owned.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            logging.getLogger("faceswap_cli").debug("the command failed", exc_info=error)
        # What follows is the last line of the command; a reader who has stopped reading may not hold it up.
        if self._announcing.acquire(timeout=1):
            self._announcing.release()
        self.owned.close()

    def listen(self, event: Event) -> None:
        """The listener that library calls get."""
        if event.kind == "warning":
            self.warn(
                str(event.data.get("message", "")), **{k: v for k, v in event.data.items() if k != "message"}
            )
            return
        self._display.show(event)
        if self._lines is not None:
            self._lines.show(event)

    def warn(self, message: str, **data: Any) -> None:
        """A message for the user that is not an error."""
        if not self.flags.quiet:
            self._display.say(f"faceswap: warning: {one_line(message)}")
        if self._lines is not None:
            self._lines.show(Event("warning", {"message": message, **data}))

    def say(self, message: str) -> None:
        """A line for people on stderr, unless quiet or a program listens."""
        if not self.flags.quiet and not self.invocation.machine:
            self._display.say(message)

    def pause(self) -> None:
        """Take a live display off the terminal until the next event."""
        self._display.close()

    @property
    def for_people(self) -> bool:
        """True when stdout is read by people."""
        return not self.invocation.machine

    def result(self, data: dict[str, Any]) -> None:
        """The machine-readable result; commands print the other one themselves."""
        self._display.close()
        if self._lines is not None:
            self._lines.show(Event("result", data))
        elif self.flags.json:
            write_json({"schema": SCHEMA, **data})

    def _start_log(self) -> None:
        """Library messages go to stderr (-v, -vv) and in full to ``--log-file``."""
        logger = logging.getLogger("faceswap_cli")
        level = {0: logging.WARNING, 1: logging.INFO}.get(self.flags.verbose, logging.DEBUG)
        handlers: list[logging.Handler] = [_ToDisplay(self, logging.ERROR if self.flags.quiet else level)]
        if self._log_file is not None:
            try:
                to_file = logging.FileHandler(self._log_file, encoding="utf-8")
            except OSError as error:
                raise OutputError(
                    f"log file {self._log_file} cannot be written ({error.strerror})"
                ) from error
            to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
            self.owned.callback(to_file.close)
            handlers.append(to_file)
        self.owned.callback(logger.setLevel, logger.level)
        self.owned.callback(setattr, logger, "propagate", logger.propagate)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        for handler in handlers:
            self._attach(logger, handler)
        # Warnings of libraries are for developers: they go to the log, not between our lines.
        self.owned.callback(logging.captureWarnings, False)
        logging.captureWarnings(True)
        self._attach(
            logging.getLogger("py.warnings"), handlers[-1] if self._log_file else logging.NullHandler()
        )

    def _attach(self, logger: logging.Logger, handler: logging.Handler) -> None:
        logger.addHandler(handler)
        self.owned.callback(logger.removeHandler, handler)

    def _restore(self, number: int, before: Any) -> None:
        if not self._leaving:
            signal.signal(number, before)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """First: ask for a stop, or stop where nothing is kept anyway.  Second: leave at once."""
        code = CODES[signal.Signals(number)]
        if self.stop.requested:
            self._leaving = True
            for other in CODES:
                signal.signal(other, signal.SIG_IGN)  # nothing comes between this and the clearing up
            self.owned.close()
            if not self.flags.quiet:
                again = shlex.join(["faceswap", *self.invocation.argv])
                kept = (
                    f"; finished segments are kept; to resume: {again}" if self.invocation.resumable else ""
                )
                # Past our own streams, whose locks the interrupted line may hold.
                os.write(2, f"faceswap: error: stopped at once{kept}\n".encode())
            os._exit(code)
        self.stop.request(code)
        if not self.soft_stop:
            raise Interrupted("stopped", exit_code=code)
        if not self.flags.quiet:
            # From another thread: this one may be in the middle of a line itself, or of starting a thread,
            # whose lock it would wait for here for ever: hence the bare function.
            self._announcing.acquire()
            _thread.start_new_thread(self._announce, ())

    def _announce(self) -> None:
        try:
            self._display.say("faceswap: finishing the current segment; press Ctrl-C again to stop now")
        finally:
            self._announcing.release()


class _ToDisplay(logging.Handler):
    """Log lines through the display, so that a live one is not torn."""

    def __init__(self, session: Session, level: int) -> None:
        super().__init__(level)
        self._session = session

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info is None:
            self._session._display.say(f"faceswap: {record.getMessage()}")
