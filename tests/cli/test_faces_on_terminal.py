"""A source picture with several faces shows them, numbered, where a person looks on."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from faceswap_cli.cli import faces

RED, BLUE = (np.full((48, 48, 3), color, np.uint8) for color in ((250, 0, 0), (0, 0, 250)))


def drawn(monkeypatch: pytest.MonkeyPatch, **given: Any) -> str:
    out = Console(file=io.StringIO(), width=60, highlight=False, **given)
    monkeypatch.setattr(faces, "console", lambda: out)
    faces.show_faces([RED, BLUE, RED])
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def test_faces_are_numbered_and_in_color(monkeypatch: pytest.MonkeyPatch) -> None:
    text = drawn(monkeypatch, force_terminal=True, color_system="truecolor")
    lines = text.splitlines()
    assert len(lines) == 2 * (1 + faces.TILE // 2)  # two of them fit beside each other
    assert lines[0].index("1") < lines[0].index("2")
    assert "3" in lines[1 + faces.TILE // 2]
    assert "38;2;250;0;0" in lines[1]
    assert "48;2;0;0;250" in lines[1]


@pytest.mark.parametrize(
    "given",
    [
        {"force_terminal": False},
        {"force_terminal": True, "no_color": True},
        {"force_terminal": True, "color_system": "standard"},
    ],
)
def test_nothing_is_drawn_without_a_terminal_or_colors(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]
) -> None:
    assert drawn(monkeypatch, **given) == ""
