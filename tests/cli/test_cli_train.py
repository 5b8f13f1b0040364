"""``faceswap train RECIPE`` as it is typed; training itself is replaced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.fakes import Ran

Run = Callable[..., Ran]
pytestmark = pytest.mark.usefixtures("accepted")

RECIPE = """
folder = "run"

[data]
pictures = ["faces"]

[refiner]
images = 64
pairs = 128
"""


@pytest.fixture
def recipe(machine: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from faceswap_cli.training import launch
    from faceswap_cli.training.pairs import PIECE

    def pairs(
        options: object, stop: object, tell: Callable[[int, int], None]
    ) -> tuple[list[Path], list[Path]]:
        for done in (1, 2, 3):
            tell(done * PIECE, 3 * PIECE)
        return [Path("a"), Path("b")], [Path("c")]

    monkeypatch.setattr(launch, "prepared", lambda options: range(7))
    monkeypatch.setattr(launch, "prepared_pairs", pairs)
    path = machine / "refiner.toml"
    path.write_text(RECIPE)
    return path


def test_prepare_counts_pairs(run: Run, recipe: Path) -> None:
    from faceswap_cli.training.pairs import PIECE

    ran = run("train", recipe, "--prepare")
    assert ran.code == 0, ran.err
    assert "7 faces in " in ran.err
    assert f"{3 * PIECE} pairs of faces in " in ran.err
    events = run("train", recipe, "--prepare", "--events").events
    steps = [e for e in events if e["event"] == "progress"]
    assert {e["stage"] for e in steps} == {"pairs"}
    assert (steps[-1]["done"], steps[-1]["total"]) == (3 * PIECE, 3 * PIECE)
    assert events[-1]["event"] == "result", "after the pairs, not before them"
    assert (events[-1]["faces"], events[-1]["pairs"]) == (7, 3 * PIECE)


def test_prepare_of_a_recipe_without_a_refiner_makes_no_pairs(run: Run, recipe: Path) -> None:
    recipe.write_text(
        RECIPE.partition("[refiner]")[0] + '[[phase]]\nname = "P1"\nimages = 64\nmix = { self = 1.0 }\n'
    )
    ran = run("train", recipe, "--prepare", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["faces"] == 7
    assert "pairs" not in ran.json
