"""A face moved from one light and skin tone to another."""

from __future__ import annotations

import numpy as np

from faceswap_cli.records import F32
from faceswap_cli.swap.appearance import LAB_OFFSET, USUAL_SHADE, measure_shade, relight

FROM, TO = np.array([50, 20, 30], np.float32), np.array([74, 10, 12], np.float32)
"""Lab of two skins, the second one lighter and paler."""


def fields(shape: tuple[int, ...]) -> tuple[F32, F32]:
    return np.broadcast_to(FROM, shape).copy(), np.broadcast_to(TO, shape).copy()


def test_shadows_take_the_color_of_the_skin_they_fall_on() -> None:
    black = np.array([-LAB_OFFSET, 0, 0], np.float32)
    shadow = (FROM + black) / 2
    lab = np.stack([FROM, shadow]).astype(np.float32)[None]
    lit, dark = relight(lab, *fields(lab.shape))[0]
    assert np.allclose(lit, TO, atol=1e-3)
    assert np.allclose(dark[1:] / (dark[0] + LAB_OFFSET), TO[1:] / (TO[0] + LAB_OFFSET), atol=1e-4)


def test_another_skin_hardly_tints_the_whites_of_the_eyes() -> None:
    white = np.full((4, 4, 3), (60, 0, 2), np.float32)
    pale, dark = fields(white.shape)[::-1]
    tinted = relight(white, pale, dark)[..., 2].max()
    eyes = relight(white, pale, dark, None, np.ones((4, 4), np.float32))[..., 2].max()
    assert tinted > 10
    assert 0 < eyes < 0.5 * tinted


def test_colored_light_tints_the_eyes_as_well() -> None:
    white = np.full((4, 4, 3), (60, 0, 2), np.float32)
    skin, lit = (np.full((4, 4, 3), color, np.float32) for color in ((60, 12, 16), (60, 15, 50)))
    by_light = relight(white, skin, lit, None, np.ones((4, 4), np.float32))[..., 2].mean()
    assert 0.5 * (lit - skin)[0, 0, 2] < by_light - 2 < 0.9 * (lit - skin)[0, 0, 2]


def test_grey_shadows_do_not_turn_blue_on_a_paler_skin() -> None:
    shadow = np.full((4, 4, 3), (20, 4, 5), np.float32)
    moved = relight(shadow, *fields(shadow.shape))[0, 0]
    assert 0 < moved[1] < TO[1]
    assert 0 < moved[2] < TO[2]


def test_sepia_footage_takes_the_color_contrast_away() -> None:
    lips = np.full((4, 4, 3), (45, 40, 20), np.float32)
    gray = relight(lips, *fields(lips.shape), np.zeros(2, np.float32))
    level = (gray[..., 0] + LAB_OFFSET) / (TO[0] + LAB_OFFSET)
    assert np.allclose(gray[..., 1:], TO[1:] * level[..., None], atol=1e-3)


def shaded(slopes: tuple[float, float]) -> F32:
    """Skin with dark and bright places; shade gains a* and b* by ``slopes`` beyond a change of light."""
    luma = 50 + 6 * np.sin(np.linspace(0, 12, 64, dtype=np.float32))[:, None] * np.ones((1, 64), np.float32)
    level = (luma + LAB_OFFSET) / (FROM[0] + LAB_OFFSET)
    depth = np.clip(luma - FROM[0], -8, 0)
    color = [FROM[k] * level + slope * depth for k, slope in zip((1, 2), slopes, strict=True)]
    return np.dstack([luma, *color]).astype(np.float32)


def test_shade_takes_the_hue_that_it_has_in_the_target() -> None:
    orange, gray = shaded((-0.7, -0.6)), shaded((0.0, -0.1))
    light, skin = np.broadcast_to(FROM, orange.shape).copy(), np.ones(orange.shape[:2], np.float32)
    found = tuple(measure_shade(lab, light, skin) for lab in (orange, gray))
    np.testing.assert_allclose(found, [(-0.7, -0.6), (0.0, -0.1)], atol=0.05)
    moved = relight(orange, light, light, shades=(found[0], found[1]))
    np.testing.assert_allclose(moved, gray, atol=0.5)
    assert np.abs(orange - gray).max() > 3


def test_skin_without_shade_says_nothing_about_its_hue() -> None:
    flat = np.broadcast_to(FROM, (8, 8, 3)).copy()
    np.testing.assert_allclose(measure_shade(flat, flat, np.ones((8, 8), np.float32)), USUAL_SHADE)
