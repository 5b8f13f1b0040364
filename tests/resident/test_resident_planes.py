"""Crops cut out of planes on the device, and faces pasted into them, beside what the host does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from faceswap_cli import colour
from faceswap_cli.geometry import align
from faceswap_cli.geometry.paste import paste_into_planes
from faceswap_cli.records import ColourTags, FaceCrop, Planes, RenderedFace
from faceswap_cli.resident.paste import Place, laid_over, layers, paste
from faceswap_cli.resident.planes import Held, cut_crops, cut_of, cuts_of, mirrored, together, upload
from tests.resident.made import Bench, planes_of, within
from tests.swap.drawn import mesh_points, picture

SIDE = 160


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)], scope="module")
def bench(request: pytest.FixtureRequest) -> Bench:
    return Bench(request.param)


def frame(
    seed: int = 0, size: tuple[int, int] = (240, 320), bits: int = 8, step: tuple[int, int] = (2, 2)
) -> Planes:
    """A drawn face and some noise in a larger picture."""
    height, width = size
    rgb = np.random.default_rng(seed).integers(60, 90, (height, width, 3)).astype(np.uint8)
    face = picture(mesh_points(), side=160, seed=seed)
    rgb[40:200, 90:250] = face[: min(160, height - 40), : width - 90]
    return planes_of(rgb, bits, step)


def placed(scale: float, angle: float, centre: tuple[float, float] = (170.0, 120.0)) -> np.ndarray:
    """(3, 3) crop_from_frame of ``SIDE`` pixels, each ``scale`` of the frame wide, about ``centre``."""
    axis = np.array([np.cos(angle), np.sin(angle)])
    unit = align.unit_from_square(np.array(centre), axis, np.array(0.5 * SIDE * scale))
    return align.scaled(unit, SIDE)


def held_on(bench: Bench, *pictures: Planes) -> Held:
    with bench.lane.visit() as there:
        return upload(pictures, bench.lane, there)


@pytest.mark.parametrize(
    ("bits", "step", "scale", "angle", "centre"),
    [
        (8, (2, 2), 0.7, 0.0, (170.0, 120.0)),
        (8, (2, 2), 0.9, 0.4, (170.0, 120.0)),
        (8, (2, 2), 1.1, -2.5, (20.0, 230.0)),
        (8, (1, 2), 0.5, 0.2, (170.0, 120.0)),
        (8, (1, 1), 1.3, 1.2, (330.0, -10.0)),
        (10, (2, 2), 0.8, 0.3, (170.0, 120.0)),
        (12, (1, 1), 0.4, 0.0, (160.0, 100.0)),
        (8, (2, 2), 2.3, 0.1, (170.0, 120.0)),
        (8, (2, 2), 4.6, 0.5, (170.0, 120.0)),
    ],
)
def test_crops_are_those_of_the_host(
    bench: Bench, bits: int, step: tuple[int, int], scale: float, angle: float, centre: tuple[float, float]
) -> None:
    """Turned, beyond the border, shrunk by whole factors.  OpenCV rounds places to 1/32 px."""
    size = (480, 640) if scale > 2 else (240, 320)
    pictures = [frame(k, size, bits, step) for k in (0, 1)]
    held, tags = held_on(bench, *pictures), ColourTags(matrix=1, full_range=bits == 10)
    matrices = [placed(scale, angle, centre), placed(scale * 1.03, angle + 0.02, centre)]
    cuts = [cuts_of(held, matrix, SIDE) for matrix in matrices]
    assert (cuts[0][0].shrink > 1) == (scale > 2)
    with bench.lane.visit() as there:
        found = there.down(cut_crops(held, tags, (0, 1), cuts, (there, bench.tables, SIDE)))
    for one, planes, matrix in zip(found.numpy(), pictures, matrices, strict=True):
        wanted = colour.warp_rgb(planes, tags, matrix, SIDE)
        within(one.transpose(1, 2, 0), wanted, 4, 0.995)


def test_a_cut_holds_every_place_it_is_asked_for() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        matrix = placed(rng.uniform(0.2, 6), rng.uniform(-3, 3), tuple(rng.uniform(-80, 400, 2)))
        cut = cut_of(matrix, SIDE, (240, 320))
        corners = cut.places @ np.array([[a, b, 1.0] for a in (0, SIDE - 1) for b in (0, SIDE - 1)]).T
        assert corners.min() >= 2.0 - 1e-6
        assert (corners.max(axis=1) <= np.array(cut.size) - 3 + 1e-6).all()


def test_numbers_beyond_a_border_are_mirrored() -> None:
    row = np.arange(5)
    wanted = np.pad(row, (12, 12), mode="symmetric")
    np.testing.assert_array_equal(row[mirrored(np.arange(-12, 17), 5)], wanted)


def test_uploads_hold_the_very_samples(bench: Bench) -> None:
    for bits in (8, 10):
        planes = frame(2, bits=bits)
        frozen = replace(planes, y=planes.y.copy())
        frozen.y.flags.writeable = False  # as decoders hand them out
        held = held_on(bench, frozen, planes)
        assert held.chroma_step == (2, 2)
        for name in ("y", "cb", "cr"):
            there = getattr(held, name).cpu().numpy()
            for one in there:
                np.testing.assert_array_equal(one.view(getattr(planes, name).dtype), getattr(planes, name))


def face_of(
    matrix: np.ndarray, seed: int, reach: tuple[int, int, int, int] = (30, 25, 130, 140)
) -> RenderedFace:
    rgb = picture(mesh_points(), (120, 170, 200), seed=seed)
    mask = np.zeros((SIDE, SIDE), np.float32)
    x0, y0, x1, y1 = reach
    mask[y0:y1, x0:x1] = 1.0
    mask[y0 : y0 + 12, x0:x1] *= np.linspace(0, 1, 12, dtype=np.float32)[:, None]
    return RenderedFace(FaceCrop(0, rgb, matrix, mesh_points()), rgb, mask)


def pasted(
    bench: Bench, pictures: list[Planes], tags: ColourTags, faces: list[tuple[int, RenderedFace]]
) -> list[Planes]:
    """All faces of several pictures, as ``resident.render`` does it."""
    held = together([held_on(bench, one) for one in pictures])
    patches: list[list] = [[] for _ in pictures]
    for layer in layers([n for n, _ in faces]):
        some = [faces[k] for k in layer]
        rows = [np.flatnonzero(face.mask.any(axis=1)) for _, face in some]
        columns = [np.flatnonzero(face.mask.any(axis=0)) for _, face in some]
        places = [
            Place(n, face.crop.crop_from_frame, (c[0] - 1, r[0] - 1, c[-1] + 2, r[-1] + 2))
            for (n, face), r, c in zip(some, rows, columns, strict=True)
        ]
        with bench.lane.visit() as there:
            both = (
                bench.up(*(f.rgb.astype(np.float32) for _, f in some)),
                bench.up(*(f.mask for _, f in some)),
            )
            found = paste(held, tags, places, both, there, bench.tables).brought(there)
        for k, (n, _) in enumerate(some):
            patches[n].append(found.one(k))
    return [laid_over(planes, own) for planes, own in zip(pictures, patches, strict=True)]


@pytest.mark.parametrize(
    ("bits", "step", "full"),
    [(8, (2, 2), False), (8, (1, 2), True), (8, (1, 1), False), (10, (2, 2), False), (12, (1, 1), True)],
)
def test_faces_are_pasted_as_on_the_host(bench: Bench, bits: int, step: tuple[int, int], full: bool) -> None:
    """One face within, one beyond the border, one outside of the picture, two that overlap."""
    tags, pictures = ColourTags(matrix=1, full_range=full), [frame(k, bits=bits, step=step) for k in range(3)]
    faces = [
        (0, face_of(placed(0.8, 0.2), 1)),
        (1, face_of(placed(0.9, -0.4, (300.0, 20.0)), 2)),
        (1, face_of(placed(0.7, 0.0, (900.0, 20.0)), 2)),
        (2, face_of(placed(0.8, 0.1), 3)),
        (2, face_of(placed(0.5, 0.1, (190.0, 130.0)), 4)),
    ]
    before = [one.y.copy() for one in pictures]
    found = pasted(bench, pictures, tags, faces)
    for n, (one, planes) in enumerate(zip(found, pictures, strict=True)):
        wanted = paste_into_planes(planes, tags, [face for m, face in faces if m == n])
        np.testing.assert_array_equal(planes.y, before[n])  # a stage returns a new record
        for name in ("y", "cb", "cr"):
            ours, theirs, old = (getattr(x, name) for x in (one, wanted, planes))
            assert ours.dtype == theirs.dtype
            unit = 1 << (bits - 8)
            within(ours / unit, theirs / unit, 4, 0.999)
            assert (theirs != old).any()
            untouched = (theirs == old) & (ours != old)
            assert untouched.mean() < 0.002  # on a mask's very edge


def test_samples_outside_the_mask_stay(bench: Bench) -> None:
    planes, face = frame(1), face_of(placed(0.8, 0.0), 1)
    (found,) = pasted(bench, [planes], ColourTags(), [(0, face)])
    x0, y0, x1, y1 = (np.array([[30, 25, 130, 140]]) * 0.8 + np.array([[106, 56, 106, 56]]))[0]
    outside = np.ones(planes.shape, bool)
    outside[int(y0) - 2 : int(y1) + 3, int(x0) - 2 : int(x1) + 3] = False
    np.testing.assert_array_equal(found.y[outside], planes.y[outside])
    assert (found.y[~outside] != planes.y[~outside]).mean() > 0.5


def test_faces_of_one_frame_go_one_after_the_other() -> None:
    assert layers([0, 0, 1, 2, 2, 2]) == [[0, 2, 3], [1, 4], [5]]
    assert layers([]) == []


def test_the_last_face_lies_on_top(bench: Bench) -> None:
    planes = frame(1)
    first, second = face_of(placed(0.8, 0.0), 1), face_of(placed(0.8, 0.0), 9)
    second = replace(second, rgb=np.zeros_like(second.rgb))
    (found,) = pasted(bench, [planes], ColourTags(full_range=True), [(0, first), (0, second)])
    assert int(found.y[100:130, 150:190].max()) <= 1
