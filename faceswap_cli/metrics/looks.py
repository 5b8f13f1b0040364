"""A close look at one swapped face: the costly measurements, made on a share of the frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from faceswap_cli.metrics.likeness import likeness_code
from faceswap_cli.metrics.seam import ARCS, RINGS, arc_steps
from faceswap_cli.metrics.source import Source
from faceswap_cli.metrics.texture import invented, skin_bands
from faceswap_cli.metrics.views import face_view, unit_square
from faceswap_cli.records import F32, F64, I64, U8
from faceswap_cli.swap.appearance import BANDS

LOOK_EVERY = 3
"""Every third frame is looked at closely: neighbors say nearly the same."""
UNKNOWN = float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One face of the result against the target's in its place."""

    likeness: tuple[float, float, float] = (UNKNOWN,) * 3
    """Cosines to the source, to the target's own face, and to the nearest of the target and the gallery"""
    bands: F32 = field(repr=False, default_factory=lambda: np.full((2, len(BANDS)), np.nan, np.float32))
    """(2, 3) detail of the skin per octave: result, target"""
    seam: F32 = field(repr=False, default_factory=lambda: np.full((2, RINGS, ARCS), np.nan, np.float32))
    """(2, RINGS, ARCS) steps across possible edges: result, target"""
    invented: float = UNKNOWN
    """Steps of the result over those of the relit source and the target"""


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """Q looks as arrays."""

    row: I64 = field(repr=False)
    """(Q,) the row of the observations that each belongs to"""
    likeness: F64 = field(repr=False)
    """(Q, 3)"""
    bands: F64 = field(repr=False)
    """(Q, 2, 3)"""
    seam: F32 = field(repr=False)
    """(Q, 2, RINGS, ARCS)"""
    invented: F64 = field(repr=False)
    """(Q,)"""


def look(result: U8, result_points: F32, target: U8, target_points: F32, source: Source) -> Look:
    """Both pictures (H, W, 3) are seen through the square around the target's face."""
    unit, side = unit_square(target_points)
    ours = face_view(result, result_points, unit, side)
    theirs = face_view(target, target_points, unit, side)
    likeness, edges = (UNKNOWN,) * 3, UNKNOWN
    if source.photo is not None:
        code = likeness_code(result, result_points)
        to_target = float(code @ likeness_code(target, target_points))
        to_gallery = float((source.gallery @ code).max(initial=-1.0))
        likeness = (float(code @ source.code), to_target, max(to_target, to_gallery))
        edges = invented(source.photo, ours, theirs)
    return Look(
        likeness=likeness,
        bands=np.stack([skin_bands(ours), skin_bands(theirs)]),
        seam=np.stack([arc_steps(ours), arc_steps(theirs)]),
        invented=edges,
    )


def collect_looks(each: Sequence[Look | None]) -> Looks:
    """One entry a row; None where no close look was taken."""
    taken = [(row, one) for row, one in enumerate(each) if one is not None]
    looks = [one for _, one in taken]
    return Looks(
        row=np.array([row for row, _ in taken], np.int64),
        likeness=np.array([one.likeness for one in looks], np.float64).reshape(-1, 3),
        bands=np.array([one.bands for one in looks], np.float64).reshape(-1, 2, len(BANDS)),
        seam=np.array([one.seam for one in looks], np.float32).reshape(-1, 2, RINGS, ARCS),
        invented=np.array([one.invented for one in looks], np.float64),
    )
