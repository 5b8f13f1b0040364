"""The table of figures: each a small function of the observations, NaN where it cannot be computed.

What each one means, and what it does not see, is in ``docs/metrics.md``.  Not comparable with published
tables: networks and definitions are our own.  Compare methods of this program, or two versions of it,
on the same clips.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from faceswap_cli.metrics import meshes, movement, proportions, seam, temporal, texture
from faceswap_cli.metrics.observations import Observations
from faceswap_cli.metrics.preservation import psnr
from faceswap_cli.records import F64

SAME_PERSON = 0.6
"""Identity distances below this are the same person (operating point of the dlib network)."""
TRAINING_NETWORK = "training network"
"""Named with every figure of the network that swaps are trained with: it flatters them."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of the table."""

    compute: Callable[[Observations], float]
    unit: str
    good: str
    """lower, higher, or one (a ratio that should be near 1)"""
    meaning: str
    note: str = ""
    """Shown with the name wherever a person reads it"""
    detail: bool = False
    """In JSON only"""

    def title(self, name: str) -> str:
        return f"{name} ({self.note})" if self.note else name


def mean(values: F64) -> float:
    """Mean of what is not NaN; NaN when nothing is left."""
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if len(kept) else float("nan")


def likeness(seen: Observations) -> float:
    return mean(seen.looks.likeness[:, 0])


def likeness_gain(seen: Observations) -> float:
    return mean(seen.looks.likeness[:, 0] - seen.looks.likeness[:, 1])


def nearest(seen: Observations) -> float:
    to_source, _, to_nearest = seen.looks.likeness[~np.isnan(seen.looks.likeness[:, 0])].T
    return float((to_source > to_nearest).mean()) if len(to_source) else float("nan")


def identity(seen: Observations) -> float:
    return mean(seen.to_source[seen.found])


def verified(seen: Observations) -> float:
    distances = seen.to_source[seen.found]
    distances = distances[~np.isnan(distances)]
    return float((distances < SAME_PERSON).mean()) if len(distances) else float("nan")


def swap_ratio(seen: Observations) -> float:
    ours, theirs = seen.to_source[seen.found], seen.to_target[seen.found]
    return mean(theirs / np.maximum(ours + theirs, 1e-9))


def gaze(seen: Observations) -> float:
    return mean(meshes.gaze_error(seen.result_points[seen.found], seen.target_points[seen.found]))


def invented(seen: Observations) -> float:
    return mean(seen.looks.invented)


def seam_all(seen: Observations) -> float:
    return seam.seam_ratio(seen.looks.seam, np.ones(seam.ARCS, bool))


def seam_forehead(seen: Observations) -> float:
    return seam.seam_ratio(seen.looks.seam, seam.forehead_arcs())


def outside_psnr(seen: Observations) -> float:
    return psnr(mean(seen.outside_mse))


def sharpness(seen: Observations) -> float:
    ratios = texture.sharpness_ratios(seen.looks.bands)
    ratios = ratios[~np.isnan(ratios)]
    return float(np.exp(np.log(ratios).mean())) if len(ratios) else float("nan")


def sharpness_band(number: int) -> Callable[[Observations], float]:
    """One octave, 0 the finest."""
    return lambda seen: float(texture.sharpness_ratios(seen.looks.bands)[number])


def skin_flicker(seen: Observations) -> float:
    return temporal.rms_ratio(
        (temporal.skin_flicker(seen.skin[rows, 0]), temporal.skin_flicker(seen.skin[rows, 1]))
        for rows in seen.runs()
    )


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
    """As ``swap.ledger.coverage``, as far as it shows: where one was swapped, anybody may be the chosen."""
    rows = np.ones(len(seen.frame), bool)
    if seen.casting.several:
        rows = np.isin(seen.person, list(seen.casting.sources))
    with_face = np.unique(seen.frame[rows])
    done = np.unique(seen.frame[rows & seen.changed])
    return len(done) / len(with_face) if len(with_face) else float("nan")


def lost(seen: Observations) -> float:
    measured = int(seen.measured.sum())
    return 1 - int(seen.found.sum()) / measured if measured else float("nan")


METRICS: dict[str, Metric] = {
    "likeness": Metric(
        likeness, "", "higher", "high is good: 0.44 is two strangers, 0.90 two photographs of one person"
    ),
    "likeness_gain": Metric(
        likeness_gain,
        "",
        "higher",
        "likeness to the source minus that to the target; below 0 the target wins",
    ),
    "nearest": Metric(
        nearest, "share", "higher", "high is good: share of frames more like the source than like anyone else"
    ),
    "identity": Metric(
        identity,
        "",
        "lower",
        "low is good: distance to the source, below 0.6 the same person",
        TRAINING_NETWORK,
    ),
    "verified": Metric(
        verified,
        "share",
        "higher",
        "high is good: share of frames with an identity below 0.6",
        TRAINING_NETWORK,
    ),
    "swap_ratio": Metric(
        swap_ratio, "", "higher", "above 0.5 nearer to the source, below 0.5 to the target", TRAINING_NETWORK
    ),
    "shape": Metric(
        proportions.shape, "", "higher", "proportions of eyes, nose, mouth: 0 the target's, 1 the source's"
    ),
    "outline": Metric(
        proportions.outline, "", "higher", "the same of cheeks and jaw; below 0 away from the source's"
    ),
    "expression": Metric(
        movement.expression, "%", "lower", "low is good: error of lips, lids and brows, of the eye distance"
    ),
    "expression_gain": Metric(
        movement.expression_gain, "x", "one", "1 is good: below it moves less than the target, above more"
    ),
    "expression_correlation": Metric(
        movement.expression_correlation, "", "higher", "1 is good: moves when and where the target does"
    ),
    "pose": Metric(movement.pose, "deg", "lower", "low is good: error of the turning head"),
    "gaze": Metric(gaze, "%", "lower", "low is good: error of where the eyes look, of the eye's width"),
    "invented": Metric(
        invented, "x", "lower", "low is good: lines that neither source nor target has; none up to 1"
    ),
    "seam": Metric(seam_all, "x", "lower", "low is good: visible edge of the face; 1 is as in the target"),
    "seam_forehead": Metric(seam_forehead, "x", "lower", "the same on the forehead"),
    "sharpness": Metric(sharpness, "x", "one", "1 is good: above it the skin is sharper than the target's"),
    "sharpness_fine": Metric(sharpness_band(0), "x", "one", "the finest detail alone", detail=True),
    "sharpness_medium": Metric(sharpness_band(1), "x", "one", "the next coarser detail", detail=True),
    "sharpness_coarse": Metric(sharpness_band(2), "x", "one", "the coarsest detail", detail=True),
    "jitter": Metric(jitter, "x", "lower", "low is good: trembling of the face; 1 is as in the target"),
    "flow_warp": Metric(
        flow_warp, "x", "lower", "low is good: change beyond movement, frame to frame; 1 is as in the target"
    ),
    "flicker": Metric(flicker, "x", "lower", "low is good: flicker of the whole face; 1 is as in the target"),
    "skin_flicker": Metric(
        skin_flicker, "x", "one", "1 is good: above it light flickers on the skin more than in the target"
    ),
    "outside_psnr": Metric(
        outside_psnr, "dB", "higher", "high is good: picture outside the faces; 100 is the same pixels"
    ),
    "coverage": Metric(
        coverage,
        "share",
        "higher",
        "high is good: share of a chosen person's frames that were swapped; 1 is all",
    ),
    "lost": Metric(
        lost, "share", "lower", "low is good: share of swapped faces that no longer look like a face"
    ),
}
