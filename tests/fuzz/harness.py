"""Runs damaged files in child processes and says how each one ended.

A child is forked from a process that has imported everything, takes one input after the other, and
is replaced when it crashes, hangs or outgrows its memory.  Each has a box of its own:

    BOX/in     the damaged file
    BOX/out    may be written to
    BOX/home   the user's folders, may be written to
    BOX/safe   must stay as it is, and so must everything else on the disk

An audit hook sees every file that Python opens for writing, renames or removes, every program that
is started and every connection; what libraries do by themselves shows in ``safe``.
"""

from __future__ import annotations

import faulthandler
import gc
import multiprocessing
import os
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from faceswap_cli.errors import FaceswapError
from tests.fuzz.containers import mutated_inside
from tests.fuzz.corpus import Seed
from tests.fuzz.mutate import mutated
from tests.fuzz.readers import COMMANDS, READERS, SLOW_STEPS, Step

SLOW_EVERY = 6
TIME_LIMIT_S = 60.0
"""For one input; thousands of times what it takes on a free machine"""
MEMORY_MB = 1500
"""A few kilobytes of input must not take more than this"""
ADDRESSES_MB = 4000
"""What a child may map beyond what it has at the start: behind it allocations fail"""
FILE_MB = 200
DOCUMENTED = frozenset({0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 130, 143})
_WRITES = (
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.mkdir",
    "os.truncate",
    "os.link",
    "os.symlink",
    "os.chmod",
)
_STARTS = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "subprocess.Popen",
    "socket.connect",
    "pty.spawn",
)
_TRIAL = ["-m", "faceswap_cli.provenance.trial"]
"""The only program that reading a file may start: ours, with the file's path and limits on what it takes."""
_UNPICKLED = ("os", "posix", "nt", "subprocess", "builtins", "shutil", "sys", "runpy")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one input ended."""

    number: int
    kind: str
    seed: str
    end: str
    """``read``, the code of a documented error, or what must not be: ``crash``, ``hang``, ``bug``, ..."""
    bad: bool
    detail: str = ""
    seconds: float = 0.0
    peak_mb: int = 0


@dataclass(frozen=True, slots=True)
class Order:
    """One input to be made and read."""

    number: int
    seed: Seed
    dice: int
    """Of the random numbers"""
    commands: bool = False
    """Given to whole commands instead of the functions that read it"""


def orders(seeds: Sequence[Seed], count: int, seed: int, *, commands: bool = False) -> Iterator[Order]:
    """``count`` inputs, the kinds in turn and the seeds of a kind in turn."""
    by_kind: dict[str, list[Seed]] = {}
    for one in seeds:
        by_kind.setdefault(one.kind, []).append(one)
    kinds = sorted(by_kind)
    for number in range(count):
        own = by_kind[kinds[number % len(kinds)]]
        chosen = own[number // len(kinds) % len(own)]
        yield Order(number, chosen, seed * 1_000_003 + number, commands)


def damaged(order: Order, seeds: Sequence[Seed]) -> bytes:
    """The bytes of an input: the same for the same seed, number and corpus."""
    dice = random.Random(order.dice)
    other = dice.choice([seed for seed in seeds if seed.kind == order.seed.kind]).data
    if dice.random() < 0.5:
        return mutated_inside(order.seed.name, order.seed.data, dice, text=order.seed.text, other=other)
    return mutated(order.seed.data, dice, text=order.seed.text, other=other)


def campaign(
    wanted: Sequence[Order],
    seeds: Sequence[Seed],
    folder: Path,
    *,
    workers: int = 2,
    time_limit_s: float = TIME_LIMIT_S,
    tell: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Read every input; bad ones are kept in ``folder/bad``."""
    found: list[Outcome] = []
    waiting = list(reversed(wanted))
    hands = [_Hand(folder / f"box{k}", seeds, time_limit_s) for k in range(min(workers, len(waiting)))]
    try:
        while waiting or any(hand.order for hand in hands):
            for hand in hands:
                if hand.order is None and waiting:
                    hand.take(waiting.pop())
            wait([hand.pipe for hand in hands if hand.order], timeout=1.0)
            for hand in hands:
                outcome = hand.look()
                if outcome is not None:
                    found.append(outcome)
                    tell(outcome)
    finally:
        for hand in hands:
            hand.close()
    return found


class _Hand:
    """A child and what it works on."""

    def __init__(self, box: Path, seeds: Sequence[Seed], limit_s: float) -> None:
        self._box, self._seeds, self._limit = box, seeds, limit_s
        self.order: Order | None = None
        self._since = 0.0
        for name in ("in", "out", "home", "safe"):
            (box / name).mkdir(parents=True, exist_ok=True)
        (box / "safe" / "file").write_text("untouched")
        self._start()

    def _start(self) -> None:
        context: Any = multiprocessing.get_context("fork")
        self.pipe, theirs = context.Pipe()
        self._child = context.Process(target=_work, args=(theirs, self._box, self._seeds), daemon=True)
        self._child.start()
        theirs.close()

    def take(self, order: Order) -> None:
        self.order, self._since = order, time.monotonic()
        self.pipe.send(order)

    def look(self) -> Outcome | None:
        """What has become of the order, when it has ended."""
        order, seconds = self.order, time.monotonic() - self._since
        if order is None:
            return None
        outcome: Outcome | None = None
        with suppress(EOFError, ConnectionError):
            if self.pipe.poll():
                outcome = self.pipe.recv()
        if outcome is None and not self._child.is_alive():
            self._child.join()
            outcome = self._lost(order, "crash", f"ended with {self._child.exitcode}", seconds)
        elif outcome is None and seconds > self._limit:
            outcome = self._lost(order, "hang", f"{seconds:.0f} s", seconds)
        if outcome is not None:
            self.order = None
            self._check_safe(outcome)
            if outcome.bad:
                self._keep(order)
        return outcome

    def _lost(self, order: Order, end: str, detail: str, seconds: float) -> Outcome:
        if end == "hang":
            os.kill(self._child.pid, 6)  # faulthandler shows where it is
            self._child.join(5)
            self._child.kill()
        self._child.join()
        where = _tail(self._box / "stderr")
        self._start()
        return Outcome(
            order.number, order.seed.kind, order.seed.name, end, True, f"{detail} {where}", seconds
        )

    def _check_safe(self, outcome: Outcome) -> None:
        inside = [path.name for path in (self._box / "safe").rglob("*")]
        assert inside == ["file"], f"input {outcome.number} wrote outside: {inside}"
        assert (self._box / "safe" / "file").read_text() == "untouched", f"input {outcome.number}"

    def _keep(self, order: Order) -> None:
        folder = self._box.parent / "bad"
        folder.mkdir(exist_ok=True)
        (folder / f"{order.number}-{order.seed.kind}-{order.seed.name}").write_bytes(
            damaged(order, self._seeds)
        )

    def close(self) -> None:
        self._child.kill()
        self._child.join()
        self.pipe.close()


def _tail(path: Path) -> str:
    with suppress(OSError):
        lines = path.read_text(errors="replace").splitlines()
        return " | ".join(line.strip() for line in lines if "File" in line)[:400]
    return ""


def _work(pipe: Connection, box: Path, seeds: Sequence[Seed]) -> None:
    """The child."""
    _enclose(box)
    guard = Guard(box)
    sys.addaudithook(guard)
    while True:
        try:
            order = pipe.recv()
        except EOFError:
            os._exit(0)
        pipe.send(_one(order, seeds, box, guard))


def _enclose(box: Path) -> None:
    """Own folders, limits, nothing on the terminal."""
    os.setsid()
    stderr = os.open(box / "stderr", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    os.dup2(stderr, 2)
    faulthandler.enable(open(2, "w", closefd=False))  # noqa: SIM115
    home = str(box / "home")
    tempfile.tempdir = str(box / "out")
    os.environ.update(
        HOME=home, XDG_DATA_HOME=home, XDG_CONFIG_HOME=home, XDG_CACHE_HOME=home, TMPDIR=str(box / "out")
    )
    os.environ.update(FACESWAP_ACCEPT_TERMS="1", OMP_NUM_THREADS="1")
    os.chdir(box / "safe")
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * 4096
    limits = {resource.RLIMIT_AS: mapped + (ADDRESSES_MB << 20), resource.RLIMIT_FSIZE: FILE_MB << 20}
    for kind, size in limits.items():
        resource.setrlimit(kind, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Guard:
    """An audit hook that notes what an input must not cause."""

    def __init__(self, box: Path) -> None:
        self.active = False
        self.broken: list[str] = []
        self._may = tuple(f"{box / name}{os.sep}" for name in ("in", "out", "home"))

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.active:
            return
        if event == "open":
            path, mode, flags = arguments
            writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if writes or (isinstance(mode, str) and set(mode) & set("wax+")):
                self._check(event, path)
        elif event in _WRITES:
            for path in arguments[: 2 if event in ("os.rename", "os.link", "os.symlink") else 1]:
                self._check(event, path)
        elif event == "subprocess.Popen" and list(arguments[1][1:3]) == _TRIAL:
            return
        elif event in _STARTS or (event == "pickle.find_class" and arguments[0] in _UNPICKLED):
            self.broken.append(f"{event} {arguments}"[:200])

    def _check(self, event: str, path: object) -> None:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return
        full = os.path.realpath(os.path.join(os.getcwd(), os.fsdecode(path)))
        if not f"{full}{os.sep}".startswith(self._may) and full != os.devnull:
            self.broken.append(f"{event} {full}")


def _one(order: Order, seeds: Sequence[Seed], box: Path, guard: Guard) -> Outcome:
    for name in ("in", "out", "home"):
        shutil.rmtree(box / name)
        (box / name).mkdir()
    data = damaged(order, seeds)
    steps = (COMMANDS if order.commands else READERS)[order.seed.kind]
    if not order.commands and order.number % SLOW_EVERY < 1:
        steps += SLOW_STEPS.get(order.seed.kind, ())
    _forget_peak()
    guard.broken.clear()
    start, ends = time.perf_counter(), []
    for step in steps:
        for name in ("in", "out"):
            shutil.rmtree(box / name)
            (box / name).mkdir()
        path = box / "in" / order.seed.name
        path.write_bytes(data)
        ends.append(_end_of(step, path, box / "out", guard))
    seconds, peak = time.perf_counter() - start, _peak_mb()
    bad = [end for end in ends if end[0]]
    end, detail = (bad[0][1], bad[0][2]) if bad else (ends[0][1], "")
    if not bad and peak > MEMORY_MB:
        bad, end, detail = [(True, "", "")], "memory", f"{peak} MB"
    if bad:
        gc.collect()
    return Outcome(order.number, order.seed.kind, order.seed.name, end, bool(bad), detail, seconds, peak)


def _end_of(step: Step, path: Path, out: Path, guard: Guard) -> tuple[bool, str, str]:
    """(bad, how it ended, what was wrong)"""
    guard.active = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            step(path, out)
        end, detail = "read", ""
    except FaceswapError as error:
        end, detail = error.code, str(error)
        if error.exit_code not in DOCUMENTED or not detail.strip():
            return True, "message", f"{step.__name__}: {detail[:300]!r}"
    except MemoryError:
        return True, "memory", f"{step.__name__}: {_where()}"
    except Exception as error:  # noqa: BLE001  that is what is looked for
        return True, "bug", f"{step.__name__}: {type(error).__name__}: {error} {_where()}"[:600]
    finally:
        guard.active = False
    if guard.broken:
        return True, "outside", f"{step.__name__}: {guard.broken[0]}"
    return False, end, detail


def _where() -> str:
    frames = traceback.extract_tb(sys.exc_info()[2])
    own = [frame for frame in frames if "faceswap_cli" in frame.filename] or frames
    return " <- ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in reversed(own[-4:]))


def _forget_peak() -> None:
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_mb() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) >> 10
    return 0


@dataclass
class Tally:
    """Ends of inputs by kind."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    bad: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        row = self.counts.setdefault(f"{outcome.kind} {outcome.seed.rpartition('.')[2]}", {})
        row[outcome.end] = row.get(outcome.end, 0) + 1
        if outcome.bad:
            self.bad.append(outcome)
