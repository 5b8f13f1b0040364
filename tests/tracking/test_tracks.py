"""Linking: two people crossing, gaps, flashes, cuts, doubts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from faceswap_cli.faces.landmarks import bounds
from faceswap_cli.records import F32, Face
from faceswap_cli.tracking import tracks
from faceswap_cli.tracking.tracks import Linker, Open, Piece, credible, filled, joined, lasting, opacity
from tests.faces.meshes import face


def seen(mesh: F32, score: float = 0.95) -> Face:
    return Face(box=bounds(mesh), landmarks=mesh, score=score)


def link(
    frames: Sequence[Sequence[Face]],
    *,
    cuts: Sequence[int] = (),
    bridge: int = 7,
    who: Callable[[Open], F32] | None = None,
) -> list[Piece]:
    """Pieces of a whole clip; ``who`` tells the embedding of a piece."""
    linker, done = Linker(bridge), []
    for k, faces in enumerate(frames):
        _, ended = linker.step(k, faces, cut=k in cuts)
        done += ended
    done += linker.finish()
    return [replace(piece.closed(), embedding=who(piece) if who else None) for piece in done]


def noise(k: int) -> F32:
    return np.random.default_rng(k).normal(0, 0.4, (478, 3)).astype(np.float32)


def shots_of(count: int, *cuts: int) -> np.ndarray:
    return np.searchsorted(np.array(cuts), np.arange(count), side="right").astype(np.int64)


def test_one_face_one_piece() -> None:
    pieces = link([[seen(face(100 + 3 * k, 90) + noise(k))] for k in range(30)])
    assert [piece.span for piece in pieces] == [(0, 29)]


def test_fast_motion_is_followed() -> None:
    # 40 px a frame with a mesh about 92 px wide: boxes overlap little, the speed is known.
    pieces = link([[seen(face(100 + 40 * k, 90))] for k in range(15)])
    assert len(pieces) == 1


def test_two_people_side_by_side_whatever_the_order() -> None:
    frames = []
    for k in range(20):
        both = [seen(face(100, 100) + noise(k)), seen(face(300, 100) + noise(k + 99))]
        frames.append(both if k % 2 else both[::-1])
    pieces = link(frames)
    assert len(pieces) == 2
    assert all(np.ptp(piece.landmarks[:, 1, 0]) < 5 for piece in pieces)


def test_people_who_cross_are_told_apart_by_their_looks() -> None:
    paths = [[(80 + 8 * k, 100) for k in range(40)], [(392 - 8 * k, 104) for k in range(40)]]
    looks = [np.zeros(128, np.float32), np.full(128, 0.1, np.float32)]
    frames = [[seen(face(*path[k]), 0.90 + 0.05 * i) for i, path in enumerate(paths)] for k in range(40)]

    def who(piece: Open) -> F32:
        """As the network would see it: an average over the faces in the piece (told by their scores)."""
        share = (np.mean(piece.scores) - 0.90) / 0.05
        return ((1 - share) * looks[0] + share * looks[1]).astype(np.float32)

    pieces = joined(link(frames, who=who), shots_of(40), 7)
    long = sorted(pieces, key=lambda piece: -len(piece.frames))[:2]
    assert sum(len(piece.frames) for piece in pieces) == 80
    for piece in long:
        assert len(set(np.round(piece.scores, 2))) == 1  # no piece changes person
        assert len(piece.frames) >= 35


def test_a_short_gap_is_bridged_with_confidence_nought() -> None:
    frames = [[] if 10 <= k < 15 else [seen(face(100 + 2 * k, 90))] for k in range(30)]
    (piece,) = link(frames)
    numbers, landmarks, confidence = filled(piece)
    np.testing.assert_array_equal(numbers, np.arange(30))
    np.testing.assert_array_equal(np.flatnonzero(confidence == 0), np.arange(10, 15))
    np.testing.assert_allclose(landmarks[12], face(124, 90), atol=1e-3)


def test_a_long_gap_splits() -> None:
    frames = [[] if 10 <= k < 18 else [seen(face(100, 90))] for k in range(30)]
    assert [piece.span for piece in link(frames, bridge=7)] == [(0, 9), (18, 29)]


def test_a_cut_splits_though_the_next_face_is_in_the_same_place() -> None:
    pieces = link([[seen(face(100, 90))] for _ in range(20)], cuts=[8])
    assert [piece.span for piece in pieces] == [(0, 7), (8, 19)]
    assert len(joined(pieces, shots_of(20, 8), 7)) == 2


def test_a_flash_taken_for_a_cut_is_mended() -> None:
    pieces = link(
        [[seen(face(100, 90))] for _ in range(20)], cuts=[8, 9], who=lambda p: np.ones(128, np.float32)
    )
    assert len(pieces) == 3
    (whole,) = joined(pieces, shots_of(20), 7)
    np.testing.assert_array_equal(whole.frames, np.arange(20))


def test_strangers_are_not_joined() -> None:
    number = iter(range(9))
    pieces = link(
        [[seen(face(100, 90))] for _ in range(20)],
        cuts=[8],
        who=lambda p: np.full(128, next(number), np.float32),
    )
    assert len(joined(pieces, shots_of(20), 7)) == 2


def test_a_mistake_of_one_frame_leaves_nothing() -> None:
    frames = [[seen(face(100, 90))] for _ in range(20)]
    frames[11] = [*frames[11], seen(face(300, 200))]
    pieces = lasting(link(frames), shots_of(20))
    assert [piece.span for piece in pieces] == [(0, 19)]


def test_a_clip_of_two_frames_keeps_its_face() -> None:
    assert len(lasting(link([[seen(face(100, 90))]] * 2), shots_of(2))) == 1


def test_a_jump_is_not_followed() -> None:
    frames = [[seen(face(100, 90))]] * 10 + [[seen(face(260, 90))]] * 10
    assert [piece.span for piece in link(frames)] == [(0, 9), (10, 19)]


def restless(amount: float, score: float) -> Piece:
    rng = np.random.default_rng(5)
    meshes = [face(100, 90) + rng.normal(0, amount, (478, 3)).astype(np.float32) for _ in range(8)]
    return link([[seen(mesh, score)] for mesh in meshes])[0]


@pytest.mark.parametrize(
    ("amount", "score", "kept"), [(0.3, 0.66, True), (6.0, 0.66, False), (6.0, 0.9, True)]
)
def test_poor_and_restless_pieces_are_no_faces(amount: float, score: float, kept: bool) -> None:
    assert credible(restless(amount, score)) is kept


def test_opacity_ramps() -> None:
    np.testing.assert_allclose(opacity(10, 3, fade_in=True, fade_out=False)[:4], [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(opacity(10, 3, fade_in=False, fade_out=True)[-4:], [1, 0.75, 0.5, 0.25])
    assert opacity(10, 3, fade_in=False, fade_out=False).min() == 1
    assert opacity(4, 9, fade_in=True, fade_out=True).tolist() == [0.5, 1, 1, 0.5]
    assert opacity(10, 0, fade_in=True, fade_out=True).min() == 1


def test_one_face_is_assigned_as_many_are() -> None:
    """A single row or column takes the short way; a second face that fits nobody takes the long one."""
    costs = np.array([[0.4, 0.1, 0.3]])
    wide = np.concatenate([costs, np.full((1, 3), tracks.FORBIDDEN)])
    assert tracks.assign(costs) == [(0, 1)] == tracks.assign(wide)
    assert tracks.assign(costs.T) == [(1, 0)]
    assert tracks.assign(np.full((1, 2), tracks.FORBIDDEN)) == []
