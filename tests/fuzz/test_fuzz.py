"""Damaged files of every kind: only documented ends, no crash, no hang, no memory without bounds, no write
outside, no code run.  The long campaign is ``benchmarks/fuzz.py``.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fuzz import harness, readers
from tests.fuzz.corpus import LIBRARY_KINDS, Seed, seeds
from tests.fuzz.harness import Outcome, campaign, damaged, orders
from tests.fuzz.mutate import mutated

ROOT = Path(__file__).resolve().parent.parent.parent
INPUTS, SEED = 500, 20261

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and resource limits")


def test_a_short_campaign_finds_nothing(tmp_path: Path) -> None:
    """In a process of its own: children are forked, which threads of this one would not survive."""
    flags = f"--inputs {INPUTS} --seed {SEED} --workers 1"
    run = subprocess.run(
        [
            sys.executable,
            str(ROOT / "benchmarks" / "fuzz.py"),
            *flags.split(),
            "--folder",
            str(tmp_path / "fuzz"),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-2000:]
    assert f"| all | {INPUTS} |" in run.stdout
    for kind in LIBRARY_KINDS:
        assert f"| {kind} " in run.stdout, kind


def test_names_and_tags_cannot_steer_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    from faceswap_cli.cli.display import Live, Silent
    from faceswap_cli.plain import one_line

    for display in (Silent(), Live()):
        display.say("faceswap: 1/2 a\x1b[2J\ufeff.mp4\n  more")
        assert capsys.readouterr().err == "faceswap: 1/2 a?[2J?.mp4\n  more\n"
    assert one_line("a\x1b[2Jb\nc\u202ed \x07") == "a?[2Jb c?d ?"
    assert one_line("n\udce4me.mp4") == "n\udce4me.mp4"
    assert one_line("Straße 東京") == "Straße 東京"


@pytest.mark.slow
def test_whole_commands(tmp_path: Path) -> None:
    run = subprocess.run(
        [
            sys.executable,
            str(ROOT / "benchmarks" / "fuzz.py"),
            "--commands",
            "--inputs",
            "60",
            "--folder",
            str(tmp_path / "x"),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-2000:]


def test_the_same_number_gives_the_same_file(tmp_path: Path) -> None:
    corpus = seeds(tmp_path, ("manifest", "record"))
    first = [damaged(order, corpus) for order in orders(corpus, 60, 7)]
    assert first == [damaged(order, corpus) for order in orders(corpus, 60, 7)]
    assert first != [damaged(order, corpus) for order in orders(corpus, 60, 8)]
    whole = {seed.data for seed in corpus}
    assert sum(data in whole for data in first) < 6


def _loop(path: Path, out: Path) -> None:
    while True:
        time.sleep(0.05)


def _grow(path: Path, out: Path) -> None:
    held = bytearray(harness.MEMORY_MB + 200 << 20)
    for place in range(0, len(held), 4096):
        held[place] = 1


def _crash(path: Path, out: Path) -> None:
    os.abort()


def _raise(path: Path, out: Path) -> None:
    raise ZeroDivisionError("x")


def _write(path: Path, out: Path) -> None:
    (path.parent.parent / "other").write_text("outside")


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


def _unpickle(path: Path, out: Path) -> None:
    pickle.loads(pickle.dumps(_Evil()))


BAD = {
    "hang": _loop,
    "memory": _grow,
    "crash": _crash,
    "bug": _raise,
    "outside": _write,
    "outside, by a pickle": _unpickle,
}


@pytest.mark.parametrize("end", BAD)
def test_the_harness_sees_what_it_looks_for(
    end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(readers.READERS, "record", (BAD[end],))
    monkeypatch.setattr(harness, "MEMORY_MB", 600)
    seed = Seed("record", "a.json", b"{}")
    wanted = list(orders([seed], 2, 1))[1:]  # the first of some takes the slow steps as well
    found: list[Outcome] = campaign(
        wanted, [seed], tmp_path, workers=1, time_limit_s=2.0 if end == "hang" else 60
    )
    assert [(one.end, one.bad) for one in found] == [(end.partition(",")[0], True)]
    assert list((tmp_path / "bad").iterdir())


def test_mutations_stay_small() -> None:
    import random

    data = bytes(range(256)) * 40
    for number in range(300):
        assert len(mutated(data, random.Random(number), text=bool(number % 2))) < 3 * len(data) + 40_000
