"""Movement and shape from meshes: what counts, what does not, and by how much."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from faceswap_cli.faces import landmarks as index
from faceswap_cli.metrics import figures, heads, movement, proportions
from faceswap_cli.metrics.casting import alone
from faceswap_cli.metrics.observations import FrameRow, Observations, collect
from faceswap_cli.metrics.source import Source
from faceswap_cli.records import F32
from tests.metrics.synthetic import face, row, turned

FRAMES = 24
EYES_PX = 100.0


def speaking(amount: float = 1.0, shape: F32 | float = 0.0) -> list[F32]:
    """A head that turns and opens its mouth by up to 6 % of the eye distance."""
    found = []
    for k in range(FRAMES):
        mesh = face(EYES_PX) + shape
        opened = amount * 6.0 * np.sin(k / 3)
        mesh[list(index.LIPS_OUTER[1:10]), 1] += np.float32(opened)
        found.append(turned(mesh.astype(np.float32), yaw=10 * np.sin(k / 5), pitch=4 * np.cos(k / 4)))
    return found


def seen(result: list[F32], target: list[F32], source: Source | None = None) -> Observations:
    rows = [
        row(result_points=ours, target_points=theirs) for ours, theirs in zip(result, target, strict=True)
    ]
    return collect([FrameRow(k / 25, 1.0, (each,)) for k, each in enumerate(rows)], alone(source or Source()))


def value(name: str, found: Observations) -> float:
    return figures.METRICS[name].compute(found)


def other_face() -> F32:
    """Offsets of another person: a wider mouth, lower brows, a longer jaw."""
    offset = np.zeros((478, 3), np.float32)
    offset[list(index.LIPS_OUTER), 0] = (
        0.2 * (face(EYES_PX) - face(EYES_PX).mean(axis=0))[list(index.LIPS_OUTER), 0]
    )
    offset[list(index.BROWS), 1] = 4
    offset[list(proportions.OUTLINE), 1] = 6
    return offset


@pytest.mark.parametrize("amount", [0.5, 0.8, 1.2])
def test_the_gain_is_the_size_of_the_movement(amount: float) -> None:
    found = seen(speaking(amount), speaking())
    assert value("expression_gain", found) == pytest.approx(amount, abs=0.02)
    assert value("expression_correlation", found) == pytest.approx(1, abs=0.01)


def test_a_still_face_has_no_gain_and_the_error_of_the_movement() -> None:
    still, half = seen(speaking(0), speaking()), seen(speaking(0.5), speaking())
    assert value("expression_gain", still) == pytest.approx(0, abs=0.02)
    assert value("expression", still) == pytest.approx(2 * value("expression", half), rel=0.05)


def test_another_face_that_moves_alike_has_no_error() -> None:
    found = seen(speaking(shape=other_face()), speaking())
    assert value("expression", found) < 0.1
    assert value("expression_gain", found) == pytest.approx(1, abs=0.03)
    assert value("pose", found) < 0.5


def test_movement_out_of_step_is_not_correlated() -> None:
    ours = speaking()
    found = seen(ours[12:] + ours[:12], ours)
    assert value("expression_correlation", found) < 0.5


def test_movement_is_apart_from_size_and_place() -> None:
    moved = [2 * mesh + np.array([50, -20, 3], np.float32) for mesh in speaking()]
    assert value("expression", seen(moved, speaking())) == pytest.approx(0, abs=1e-3)


def test_a_constant_turn_is_no_error_of_pose_and_a_missing_turn_is() -> None:
    tilted = [turned(mesh, roll=12) for mesh in speaking()]
    assert value("pose", seen(tilted, speaking())) < 4
    frozen = [speaking()[0]] * FRAMES
    angles = [10 * np.sin(k / 5) for k in range(FRAMES)]
    assert value("pose", seen(frozen, speaking())) > 0.5 * np.std(angles)


def test_short_runs_and_a_still_target_have_no_figures() -> None:
    names = ("expression", "expression_gain", "expression_correlation", "pose")
    short = seen(speaking()[:2], speaking()[:2])
    assert all(np.isnan(value(name, short)) for name in names)
    still = seen(speaking(), [face(EYES_PX)] * FRAMES)
    assert np.isnan(movement.expression_gain(still)) or abs(movement.expression_gain(still)) > 100


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0, 1.5])
@pytest.mark.parametrize("figure", [proportions.shape, proportions.outline])
def test_shape_is_the_share_of_the_way(share: float, figure: Callable[[Observations], float]) -> None:
    source = heads.heads((face(EYES_PX) + other_face())[None]).canonical[0]
    result = speaking(shape=np.float32(share) * other_face())
    found = seen(result, speaking(), Source(shape=source))
    assert figure(found) == pytest.approx(share, abs=0.08)


def test_shape_without_a_source_or_a_way_is_unknown() -> None:
    assert np.isnan(proportions.shape(seen(speaking(), speaking())))
    target = heads.heads(np.stack(speaking())).canonical.mean(axis=0)
    assert np.isnan(proportions.shape(seen(speaking(), speaking(), Source(shape=target))))


def test_meshes_that_are_missing_stay_missing() -> None:
    points = np.stack([face(), np.full_like(face(), np.nan)])
    found = heads.heads(points)
    assert np.isfinite(found.canonical[0]).all()
    assert np.isnan(found.canonical[1]).all()
    assert np.isnan(found.rotation[1]).all()
