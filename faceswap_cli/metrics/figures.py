"""The table of figures: each a small function of the observations, NaN where it cannot be told.

Not comparable with published tables: the identity network, the pose and the expression are
our own (see method, section 11).  Compare methods of this program, or two versions of it, on
the same clips.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from faceswap_cli.identity.pose import pose as angles
from faceswap_cli.metrics import meshes, temporal
from faceswap_cli.metrics.observations import Observations
from faceswap_cli.metrics.preservation import psnr
from faceswap_cli.records import F64

SAME_PERSON = 0.6
"""Identity distances below this are the same person (operating point of the dlib network)."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of the table."""

    compute: Callable[[Observations], float]
    unit: str
    good: str
    """lower, higher, or one (a ratio that should be near 1)"""
    meaning: str


def mean(values: F64) -> float:
    """Mean of what is not NaN; NaN when nothing is left."""
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if len(kept) else float("nan")


def identity(seen: Observations) -> float:
    return mean(seen.to_source[seen.found])


def verified(seen: Observations) -> float:
    distances = seen.to_source[seen.found]
    distances = distances[~np.isnan(distances)]
    return float((distances < SAME_PERSON).mean()) if len(distances) else float("nan")


def swap_ratio(seen: Observations) -> float:
    ours, theirs = seen.to_source[seen.found], seen.to_target[seen.found]
    return mean(theirs / np.maximum(ours + theirs, 1e-9))


def pose_errors(seen: Observations) -> F64:
    """(found rows,) degrees"""
    ours, theirs = (
        np.stack(angles(points[seen.found]), axis=-1) for points in (seen.result_points, seen.target_points)
    )
    return meshes.pose_error(ours, theirs)


def expression_errors(seen: Observations) -> F64:
    """(found rows,) % of the outer eye distance"""
    return meshes.expression_error(seen.result_points[seen.found], seen.target_points[seen.found])


def gaze_errors(seen: Observations) -> F64:
    """(found rows,) % of the eye's width, NaN while the target's eyes are shut"""
    return meshes.gaze_error(seen.result_points[seen.found], seen.target_points[seen.found])


def outside_psnr(seen: Observations) -> float:
    return psnr(mean(seen.outside_mse))


def sharpness(seen: Observations) -> float:
    ours, theirs = seen.sharpness[seen.measured].T
    both = (ours > 0) & (theirs > 0)
    return float(np.exp(np.log(ours[both] / theirs[both]).mean())) if both.any() else float("nan")


def jitter(seen: Observations) -> float:
    return temporal.rms_ratio(
        (temporal.jitter(seen.result_points[rows]), temporal.jitter(seen.target_points[rows]))
        for rows in seen.runs()
    )


def flow_warp(seen: Observations) -> float:
    ours, theirs = seen.warp[seen.measured].sum(axis=0)
    return float(ours / theirs) if theirs > 0 else float("nan")


def flicker(seen: Observations) -> float:
    return temporal.rms_ratio(
        (temporal.flicker(seen.luma[rows, 0]), temporal.flicker(seen.luma[rows, 1])) for rows in seen.runs()
    )


def coverage(seen: Observations) -> float:
    with_face = np.unique(seen.frame)
    return len(np.unique(seen.frame[seen.changed])) / len(with_face) if len(with_face) else float("nan")


def lost(seen: Observations) -> float:
    measured = int(seen.measured.sum())
    return 1 - int(seen.found.sum()) / measured if measured else float("nan")


METRICS: dict[str, Metric] = {
    "identity": Metric(identity, "", "lower", "distance to the source, below 0.6 the same person"),
    "verified": Metric(verified, "share", "higher", "frames that verify as the source"),
    "swap_ratio": Metric(swap_ratio, "", "higher", "0.5: as near to the target as to the source"),
    "pose": Metric(
        lambda seen: mean(pose_errors(seen)), "deg", "lower", "yaw, pitch and roll against the target"
    ),
    "expression": Metric(
        lambda seen: mean(expression_errors(seen)), "%", "lower", "lips, lids and brows, of the eye distance"
    ),
    "gaze": Metric(
        lambda seen: mean(gaze_errors(seen)), "%", "lower", "iris between its corners, of the eye's width"
    ),
    "outside_psnr": Metric(outside_psnr, "dB", "higher", "outside the swapped faces; 100 is equal"),
    "sharpness": Metric(sharpness, "x", "one", "inner face, result over target"),
    "jitter": Metric(jitter, "x", "lower", "restless landmarks, result over target"),
    "flow_warp": Metric(flow_warp, "x", "lower", "error after motion compensation, result over target"),
    "flicker": Metric(flicker, "x", "lower", "fast brightness swings, result over target"),
    "coverage": Metric(coverage, "share", "higher", "frames with a face in which one was changed"),
    "lost": Metric(lost, "share", "lower", "swapped faces that the result no longer shows as a face"),
}
