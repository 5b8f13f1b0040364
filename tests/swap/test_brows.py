"""Drawn brows stand out from the skin about as far as the target's."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import SIDE, mesh_points

from faceswap_cli.faces import landmarks as parts
from faceswap_cli.geometry import masks
from faceswap_cli.geometry.masks import Window
from faceswap_cli.records import F32
from faceswap_cli.swap import appearance, brows
from faceswap_cli.swap.occluder_head import Seen
from faceswap_cli.swap.skin import whole_brows

N = 320
POINTS = np.asarray(mesh_points() / np.float32(SIDE), np.float32)
WINDOW = Window.around(POINTS[list(parts.OVAL)], N)
SKIN = np.array([65.0, 14.0, 16.0], np.float32)


def face(darker: float, redder: float = 0.0) -> F32:
    """(N, N, 3) L*a*b* of even skin with brows."""
    area = masks.blur(whole_brows((POINTS,), Window.full(N)), 1.0)[..., None]
    return np.asarray(SKIN + area * np.array([-darker, redder, 0.0], np.float32), np.float32)


def measured(lab: F32, seen: Seen | None = None) -> F32:
    """(3,) their contrast, where they are known."""
    found = brows.measure_contrast(appearance.rgb_from_lab(lab), POINTS, seen)
    assert found[0] > 0.9
    return found[1:] / found[0]


def covered(share: float) -> Seen:
    """A rim over a ``share`` of the left and right of the face."""
    shares = np.zeros((96, 96, 6), np.float32)
    x, _ = np.split(POINTS[[k for ring in parts.FEATURE_RINGS[2:4] for k in ring], :2] * 96, 2, axis=1)
    shares[..., 0] = 1.0
    shares[:, : int(x.min() + share * (x.max() - x.min())), :2] = (0.0, 1.0)
    return Seen(shares, 1.0)


def toned(drawn: F32, target: F32) -> F32:
    lab = np.ascontiguousarray(WINDOW.of(drawn))
    brows.tone_brows(lab, np.append(np.float32(1.0), measured(target)), POINTS, WINDOW)
    out = drawn.copy()
    WINDOW.of(out)[:] = lab
    return out


def test_contrast_is_measured_beside_the_skin() -> None:
    dark, fair = measured(face(30.0)), measured(face(8.0, 4.0))
    assert dark[0] > 2.5 * fair[0] > 10.0
    assert fair[1] > dark[1] + 2.0


@pytest.mark.parametrize(("source", "target"), [(30.0, 10.0), (10.0, 30.0)])
def test_brows_come_nearer_to_the_targets(source: float, target: float) -> None:
    before, wanted = measured(face(source))[0], measured(face(target))[0]
    after = measured(toned(face(source), face(target)))[0]
    assert min(before, wanted) < after < max(before, wanted)
    assert abs(after - wanted) < 0.8 * abs(before - wanted)


def test_their_hue_follows_and_the_skin_stays() -> None:
    out = toned(face(20.0), face(20.0, 6.0))
    assert measured(out)[1] > measured(face(20.0))[1] + 1.5
    far = masks.union(POINTS, (parts.OVAL,), N) * (
        1.0 - masks.grow(whole_brows((POINTS,), Window.full(N)), 12)
    )
    np.testing.assert_allclose(out[far > 0.5], np.broadcast_to(SKIN, out.shape)[far > 0.5], atol=0.1)


def test_brows_alike_and_brows_unknown_stay_as_they_are() -> None:
    drawn = face(20.0)
    np.testing.assert_allclose(toned(drawn, drawn), drawn, atol=0.5)
    lab = np.ascontiguousarray(WINDOW.of(drawn))
    brows.tone_brows(lab, brows.NONE, POINTS, WINDOW)
    assert (lab == WINDOW.of(drawn)).all()
    assert (
        brows.measure_contrast(appearance.rgb_from_lab(drawn), POINTS + np.float32(2.0)) == brows.NONE
    ).all()


def test_rims_over_brows_do_not_count() -> None:
    lab, seen = face(10.0), covered(0.2)
    rim = np.s_[:, : int(N / 96 * np.flatnonzero(seen.shares[0, :, 1]).max())]
    lab[rim] -= np.array([40.0, 0.0, 0.0], np.float32)
    assert measured(lab, seen)[0] == pytest.approx(measured(face(10.0))[0], abs=1.5)
    assert brows.measure_contrast(appearance.rgb_from_lab(lab), POINTS, covered(0.7))[0] == 0.0


def test_a_gain_has_limits() -> None:
    after = measured(toned(face(40.0), face(1.0)))[0]
    assert after > 0.5 * measured(face(40.0))[0]
