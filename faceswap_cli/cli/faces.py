"""Faces of a picture, numbered, drawn on the terminal with half blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from faceswap_cli.cli.printing import console

if TYPE_CHECKING:
    from rich.text import Text

TILE = 24
"""Columns of a face, and twice its rows."""
_GAP = 2
_ENOUGH = ("256", "truecolor")
"""Color systems in which a face can be recognized."""


def show_faces(pictures: Sequence[Any]) -> None:
    """Draw ``pictures``, (S, S, 3) uint8, on stdout with their numbers, if it has enough colors."""
    out = console()
    if not out.is_terminal or out.no_color or out.color_system not in _ENOUGH:
        return
    at_once = max(out.width // (TILE + _GAP), 1)
    for first in range(0, len(pictures), at_once):
        for line in sheet(pictures[first : first + at_once], first + 1):
            out.print(line, soft_wrap=True)


def sheet(pictures: Sequence[Any], first: int) -> list[Text]:
    """Lines of a row of faces that begins with number ``first``."""
    import cv2
    from rich.text import Text

    small = [cv2.resize(picture, (TILE, TILE), interpolation=cv2.INTER_AREA) for picture in pictures]
    numbers = Text("".join(f"{first + k:<{TILE + _GAP}}" for k in range(len(small))).rstrip(), style="bold")
    lines = [numbers]
    for row in range(0, TILE, 2):
        line = Text()
        for picture in small:
            for upper, lower in zip(picture[row], picture[row + 1], strict=True):
                line.append("\u2580", style=f"rgb({_code(upper)}) on rgb({_code(lower)})")
            line.append(" " * _GAP)
        lines.append(line)
    return lines


def _code(pixel: Any) -> str:
    return ",".join(str(int(value)) for value in pixel)
