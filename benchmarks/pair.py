"""What ``enroll --tune 3`` is worth: a person tuned on the very clip, against the same person at level 2.

    python benchmarks/pair.py --pair PERSON.mp4 CLIP.mp4 [--pair ...] --out DIR

Five frames of PERSON.mp4 are the photographs, three others are never shown (``enrol.py``).  The whole clip
is swapped with the person of each level and measured by ``faceswap evaluate``; ``unseen`` is the mean
distance of 24 frames of the result from the photographs that were not shown.  ``elsewhere``: both in the clip
of the next pair.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.enrol import PHOTOS, photographs, spread_frames
from faceswap_cli.config import DetectOptions, JobOptions, SwapOptions
from faceswap_cli.enrol.make import EnrolOptions, enrol
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.identity.embed import embed
from faceswap_cli.identity.faceid import write_faceid
from faceswap_cli.metrics.evaluate import evaluate
from faceswap_cli.pipeline import swap_video
from faceswap_cli.records import F32

FIGURES = (
    "likeness",
    "identity",
    "pose",
    "expression",
    "gaze",
    "sharpness",
    "jitter",
    "flow_warp",
    "flicker",
)


def person_of(files: list[Path], clip: Path | None, path: Path) -> Path:
    """The enrolment file of level 3 for ``clip``, of level 2 without one; made if it is not there."""
    if not path.exists():
        started = time.process_time()
        options = EnrolOptions(level=2 if clip is None else 3, clip=clip)
        made = enrol(path.stem, files[:PHOTOS], options, lambda stage, done, total: None)
        told = [f"{o.level}: {o.before} to {o.after}, {o.steps} steps, {o.why}" for o in made.outcomes]
        print(
            f"{path.name}: {'; '.join(told)}; {time.process_time() - started:.0f} s of one core", flush=True
        )
        write_faceid(path, made.content)
    return path


def measured(person: Path, photos: list[Path], unseen: F32, clip: Path, out: Path) -> dict[str, float]:
    """Figures of ``clip`` with the face of ``person``."""
    out.unlink(missing_ok=True)
    job = JobOptions(device="cpu", workers=1, restart=True)
    swap_video([person], clip, out, SwapOptions(method="fslsd", job=job, detect=DetectOptions(workers=1)))
    found = evaluate(out, photos, clip).figures
    rows = []
    for rgb in spread_frames(out, 24):
        if faces := find_faces(rgb):
            shown = embed(rgb, faces[0].landmarks[None], flip=True)[0]
            rows.append(float(np.linalg.norm(unseen - shown, axis=1).mean()))
    return {"unseen": float(np.mean(rows)), **{name: float(found[name]) for name in FIGURES}}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pair", type=Path, nargs=2, action="append", required=True)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'':34s} " + " ".join(f"{name:>10s}" for name in ("unseen", *FIGURES)))
    for number, (film, clip) in enumerate(asked.pair):
        folder = asked.out / film.stem
        photos, unseen = photographs(film, folder)
        other = asked.pair[(number + 1) % len(asked.pair)][1]
        second = person_of(photos, None, folder / "level2.faceid")
        third = person_of(photos, clip, folder / f"level3_{clip.stem}.faceid")
        cases = [("level 2", second, clip), ("level 3", third, clip)]
        if other != clip:
            cases += [("level 2 elsewhere", second, other), ("level 3 elsewhere", third, other)]
        for name, person, target in cases:
            row = measured(person, photos, unseen, target, folder / f"{person.stem}_{target.stem}.mp4")
            shown = " ".join(f"{value:10.3f}" for value in row.values())
            print(f"{film.stem[:12]:12s} {target.stem[:10]:10s} {name:10.10s} {shown}", flush=True)


if __name__ == "__main__":
    main()
