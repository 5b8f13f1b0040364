"""What covers a source in every photograph is reported in one line."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import identity, mesh_points, photo, picture

from faceswap_cli.faces.landmarks import LEFT_EYE, LIPS_OUTER
from faceswap_cli.geometry import masks
from faceswap_cli.nets.occluder import CLASSES, SIDE_OUT
from faceswap_cli.records import F32, U8
from faceswap_cli.swap import hidden
from faceswap_cli.swap.occluder_head import Seen


def seeing(monkeypatch: pytest.MonkeyPatch, *answers: tuple[str, tuple[int, ...]] | None) -> None:
    """Let the head see one class around a ring of the mesh, in one photograph after the other."""
    turns = iter(answers)

    def look(rgb: U8, points: F32) -> Seen:
        shares = np.zeros((SIDE_OUT, SIDE_OUT, len(CLASSES)), np.float32)
        answer = next(turns)
        if answer is not None:
            name, ring = answer
            shares[..., CLASSES.index(name)] = masks.union(points, (ring,), SIDE_OUT, 6.0)
        shares[..., 0] = 1 - shares.sum(axis=-1)
        return Seen(shares, 1.0)

    monkeypatch.setattr(hidden, "look", look)


def photos(count: int) -> tuple:  # type: ignore[type-arg]
    points = mesh_points()
    return tuple(identity(photo(picture(points), points)).photos[0] for _ in range(count))


def test_hair_over_an_eye_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    seeing(monkeypatch, ("hair", LEFT_EYE))
    (note,) = hidden.hidden_notes(photos(1))
    assert note.startswith("hair covers the left eye")
    assert note.endswith("another photograph would help")


def test_what_another_photograph_shows_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    seeing(monkeypatch, ("thing", LIPS_OUTER), None)
    assert hidden.hidden_notes(photos(2)) == ()


def test_two_photographs_that_both_hide_the_mouth(monkeypatch: pytest.MonkeyPatch) -> None:
    seeing(monkeypatch, ("mask", LIPS_OUTER), ("mask", LIPS_OUTER))
    (note,) = hidden.hidden_notes(photos(2))
    assert note.startswith("a mask covers the mouth")
    assert "every photo" in note


def test_no_photographs_no_note() -> None:
    assert hidden.hidden_notes(()) == ()
