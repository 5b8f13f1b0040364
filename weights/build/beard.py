"""Fit ``weights/beard.safetensors``: a linear reading of the occluder head's levels (``nets.beard``).

    python weights/build/beard.py POOL weights/build/beard.json weights/beard.safetensors

``beard.json`` says of 960 faces of the training pool what grows on their chin and on their upper lip, by two
people who did not see each other's answers: 0 nothing, 1 stubble, 2 hair, 9 cannot be seen.  Where both say 0
or both say 2, the mean of the reading over that region has to tell the two apart (logistic regression, in the
sharpness of the pool and in two softer ones).  Fit it again whenever ``occluder.safetensors`` has changed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from scipy.optimize import minimize

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from faceswap_cli.faces.crops import cut
from faceswap_cli.geometry import align
from faceswap_cli.nets.beard import CHANNELS, stacked
from faceswap_cli.nets.occluder import SIDE
from faceswap_cli.records import U8
from faceswap_cli.swap.beard import as_weights, regions_of
from faceswap_cli.swap.occluder_head import FILE as HEAD
from faceswap_cli.swap.occluder_head import look
from faceswap_cli.training.pool import open_pool
from faceswap_cli.weights.registry import bundled
from faceswap_cli.weights.store import file_sha256

SIDES = (256, 110, 70)
"""Sides to which pictures of the pool are made smaller before they are looked at"""
FOLDS, PENALTY = 5, 0.1
REGIONS = ("chin", "lip")
Array = NDArray[np.float64]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pool", type=Path)
    parser.add_argument("answers", type=Path)
    parser.add_argument("output", type=Path)
    given = parser.parse_args(arguments)
    pool, faces = open_pool(given.pool), json.loads(given.answers.read_text(encoding="utf-8"))["faces"]
    values = np.array(
        [
            [numbers(softer(np.asarray(pool.pixels[row]), side), pool.landmarks[row]) for side in SIDES]
            for row in (face["pool_row"] for face in faces)
        ]
    )
    answers = np.array([[face[name] for name in REGIONS] for face in faces])
    grown = np.where((answers == 2).all(axis=2), 1.0, np.where((answers == 0).all(axis=2), 0.0, np.nan))
    fold = np.arange(len(faces)) % FOLDS
    odds = np.empty(values.shape[:-1])
    for k in range(FOLDS):
        odds[fold == k] = values[fold == k] @ fit(values[fold != k], grown[fold != k])
    for r, name in enumerate(REGIONS):
        for s, side in enumerate(SIDES):
            report(f"{name}, {side} px", odds[:, s, r], answers[:, r])
    weights = fit(values, grown)
    place, bare, bias = np.split(weights, [CHANNELS, 2 * CHANNELS])
    state = {"place.weight": place, "bare.weight": bare}
    stored = {name: torch.tensor(w, dtype=torch.float16)[None, :, None, None] for name, w in state.items()}
    stored["place.bias"] = torch.tensor(bias, dtype=torch.float16)
    save_file(stored, given.output, {"occluder": file_sha256(bundled(HEAD))})


def softer(rgb: U8, side: int) -> U8:
    if side >= rgb.shape[0]:
        return rgb
    small = cv2.resize(rgb, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, rgb.shape[1::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def numbers(rgb: U8, landmarks: NDArray[np.float32]) -> Array:
    """(REGIONS, 2 * CHANNELS + 1): mean features of the region, those of the cheeks, and 1."""
    unit = align.unit_from_points(landmarks)
    points = np.asarray(align.apply(unit, landmarks), np.float32)
    seen = look(cut(rgb, align.scaled(unit, SIDE), SIDE), points)
    features = stacked(seen.levels)
    cheeks, *regions = (
        (features * as_weights(region)).sum((0, 2, 3)).double().numpy() for region in regions_of(points)
    )
    return np.stack([np.concatenate([region, cheeks, [1.0]]) for region in regions])


def fit(values: Array, grown: Array) -> Array:
    """(D,) weights of ``values`` (N, SIDES, REGIONS, D) for ``grown`` (N, REGIONS), 0, 1 or NaN."""
    known = ~np.isnan(grown)
    x = values.transpose(0, 2, 1, 3)[known].reshape(-1, values.shape[-1])
    y = np.repeat(grown[known], values.shape[1])
    middle, spread = x[:, :-1].mean(axis=0), x[:, :-1].std(axis=0) + 1e-6
    z = (x[:, :-1] - middle) / spread
    count = np.where(y > 0, 0.5 / y.mean(), 0.5 / (1 - y.mean())) / len(y)

    def loss(w: Array) -> tuple[float, Array]:
        odds = z @ w[:-1] + w[-1]
        slope = count * (1 / (1 + np.exp(-odds)) - y)
        value = float((count * (np.logaddexp(0, odds) - y * odds)).sum() + PENALTY * (w[:-1] ** 2).sum())
        return value, np.append(z.T @ slope + 2 * PENALTY * w[:-1], slope.sum())

    found = minimize(loss, np.zeros(z.shape[1] + 1), jac=True, method="L-BFGS-B").x
    weights = found[:-1] / spread
    return np.append(weights, found[-1] - weights @ middle)


def report(name: str, odds: Array, answers: NDArray[np.int64]) -> None:
    """How well faces that did not count are told apart."""
    hair, bare = (odds[(answers == kind).all(axis=1)] for kind in (2, 0))
    apart = float((hair[:, None] > bare).mean())
    shares = ", ".join(
        f"above {limit:g}: {(hair > limit).mean():.2f} of hair, {(bare > limit).mean():.3f} of bare"
        for limit in (0.5, 1.0, 2.0)
    )
    print(f"{name}: {len(hair)} hair, {len(bare)} bare; area under the curve {apart:.3f}; {shares}")


if __name__ == "__main__":
    main()
