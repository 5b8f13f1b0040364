"""What the weights of photographs are worth: learned against the rules they replaced, and equal ones.

    python benchmarks/photos.py --people CLIP... --strangers PHOTO... [--trials 200] [--swaps 60]

Frames of a clip are photographs of one person.  In every trial two to four of them and a spoiled one, or a
stranger's picture, go together.  A spoiled or foreign picture has a low weight when it gets less than half
of an equal share.  ``fused``: distance of the weighted embedding from that of frames that were not given.
``--swaps``: rank correlation of the weight of a spoiled photograph with the identity distance of a swap made
from it alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.stats import spearmanr

from benchmarks.enroll import Target, spread_frames, swapped
from faceswap_cli.config import JobOptions, PasteOptions
from faceswap_cli.faces.crops import width_px
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.identity.agreement import agreement
from faceswap_cli.identity.embed import embed
from faceswap_cli.identity.quality import by_hand, quality
from faceswap_cli.records import F32, F64, U8, SourceIdentity, SourcePhoto
from faceswap_cli.swap import build_method
from faceswap_cli.training.appraisal import spoiled
from faceswap_cli.video.picture import read_picture

FRAMES, UNSEEN = 16, 5
Rule = Callable[[U8, F32], float]
RULES: dict[str, Rule] = {"equal": lambda rgb, mesh: 1.0, "by hand": by_hand, "learned": quality}
BLUR = (0.018, 0.05)
"""Standard deviation of a planted blur, in widths of the face: from soft to hardly to be recognised."""


@dataclass(frozen=True, eq=False)
class Photo:
    rgb: U8 = field(repr=False)
    mesh: F32 = field(repr=False)
    embedding: F32 = field(repr=False)
    weights: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, rgb: U8) -> Photo | None:
        """None where no face is found."""
        faces = find_faces(rgb)
        if not faces:
            return None
        mesh = faces[0].landmarks
        weights = {name: rule(rgb, mesh) for name, rule in RULES.items()}
        return cls(rgb, mesh, embed(rgb, mesh[None], flip=True)[0], weights)


def blurred(photo: Photo, rng: np.random.Generator) -> Photo | None:
    sigma = float(rng.uniform(*BLUR)) * float(width_px(photo.mesh))
    return Photo.of(np.asarray(cv2.GaussianBlur(photo.rgb, (0, 0), sigma), np.uint8))


def worse(photo: Photo, rng: np.random.Generator) -> Photo | None:
    return Photo.of(spoiled(photo.rgb, photo.mesh, rng)[0])


def trials(
    people: list[list[Photo]],
    plant: Callable[[Photo, np.random.Generator], Photo | None],
    count: int,
    stranger: bool = False,
) -> None:
    """Plants one picture in each trial and prints how often it is seen through, and what it does."""
    rng = np.random.default_rng(7)
    low, done = dict.fromkeys(RULES, 0), 0
    fused: dict[str, list[float]] = {name: [] for name in RULES}
    alone: list[float] = []
    while done < count:
        person = people[int(rng.integers(len(people)))]
        order = rng.permutation(len(person))
        unseen = np.stack([person[k].embedding for k in order[:UNSEEN]])
        given = [person[k] for k in order[UNSEEN : UNSEEN + int(rng.integers(2, 5))]]
        planted = plant(person[order[-1]], rng)
        if planted is None:
            continue
        done += 1
        photos = [*given, planted]
        embeddings = np.stack([photo.embedding for photo in photos])
        reference = unseen.mean(axis=0)
        alone.append(float(np.linalg.norm(planted.embedding - reference)))
        for name in RULES:
            weights: F64 = np.array([photo.weights[name] for photo in photos])
            if stranger:
                weights = weights * agreement(embeddings, weights)[0]
            share = weights / weights.sum()
            low[name] += bool(share[-1] < 0.5 / len(photos))
            fused[name].append(float(np.linalg.norm(share @ embeddings - reference)))
    print(f"  the planted picture alone: {np.mean(alone):.3f} from the person's unseen frames")
    for name in RULES:
        print(f"  {name:8s} low in {low[name] / done:6.1%}   fused {np.mean(fused[name]):.4f}")


def correlation(people: list[list[Photo]], count: int) -> None:
    """Weight of a photograph against what a swap from it alone looks like."""
    rng = np.random.default_rng(11)
    method = build_method("fslsd", JobOptions(device="cpu"), PasteOptions())
    rows: dict[str, list[float]] = {name: [] for name in RULES}
    found: list[float] = []
    while len(found) < count:
        mine, theirs = (people[int(k)] for k in rng.choice(len(people), 2, replace=False))
        photo, onto = (some[int(rng.integers(len(some)))] for some in (mine, theirs))
        bad = worse(photo, rng) if rng.random() < 0.8 else photo
        if bad is None:
            continue
        known = SourcePhoto(Path("x.png"), bad.rgb, bad.mesh, bad.embedding, 1.0)
        source = SourceIdentity("x", (known,), bad.embedding, str(len(found)))
        target = Target(onto.rgb, find_faces(onto.rgb)[0])
        result = Photo.of(swapped(method, method.prepare(source), target))
        if result is None:
            continue
        reference = np.mean([other.embedding for other in mine if other is not photo], axis=0)
        found.append(float(np.linalg.norm(result.embedding - reference)))
        for name in RULES:
            rows[name].append(bad.weights[name])
    for name in ("by hand", "learned"):
        print(f"  {name:8s} rank correlation with the swap's distance {spearmanr(rows[name], found)[0]:+.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=Path, nargs="+", required=True)
    parser.add_argument("--strangers", type=Path, nargs="+", required=True)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--swaps", type=int, default=60)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    found = [
        [photo for rgb in spread_frames(clip, FRAMES) if (photo := Photo.of(rgb))] for clip in asked.people
    ]
    people = [person for person in found if len(person) >= UNSEEN + 5]
    others = [photo for path in asked.strangers if (photo := Photo.of(read_picture(path).rgb))]
    print(f"{len(people)} people, {len(others)} strangers, {asked.trials} trials each")
    print("blurred:")
    trials(people, blurred, asked.trials)
    print("spoiled in any way:")
    trials(people, worse, asked.trials)
    print("a stranger (with the rule about embeddings that do not agree):")
    trials(people, lambda _, rng: others[int(rng.integers(len(others)))], asked.trials, stranger=True)
    if asked.swaps:
        print(f"swaps from one photograph ({asked.swaps}):")
        correlation(people, asked.swaps)


if __name__ == "__main__":
    main()
