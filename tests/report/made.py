"""A finished job made of nothing: two small clips, two people, a ledger and an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceswap_cli.config import SwapOptions
from faceswap_cli.metrics.evaluate import Evaluation
from faceswap_cli.metrics.observations import FrameRow, collect
from faceswap_cli.records import LedgerRow, Report, Shot
from faceswap_cli.report import Job
from tests.clips import make_clip
from tests.metrics.synthetic import face, row

FPS, SIZE = 25, (96, 64)
BOXES = ((8.0, 10.0, 34.0, 44.0), (56.0, 12.0, 84.0, 48.0))


def stepped(index: int, width: int, height: int) -> NDArray[np.uint8]:
    """A flat picture whose brightness is the number of its frame."""
    return np.full((height, width, 3), 40 + 4 * index, np.uint8)


def inverted(index: int, width: int, height: int) -> NDArray[np.uint8]:
    return 255 - stepped(index, width, height)


def ledger(
    frames: int, people: int, *, left_out: Sequence[int] = (), tick: int = 512, first: int = 0
) -> list[LedgerRow]:
    """``left_out`` frames are seen but not swapped; ``tick`` is a frame's length in a clock of 1/12800."""
    rows = []
    for number in range(first, first + frames):
        for person in range(people):
            swapped = number not in left_out
            rows.append(
                LedgerRow(
                    pts=number * tick,
                    time_s=number / FPS,
                    track=person,
                    person=person,
                    swapped=swapped,
                    reason="" if swapped else "covered",
                    box=BOXES[person % 2],
                    yaw=3.0 * person + number % 20,
                    pitch=1.0,
                    roll=0.0,
                    identity_distance=0.3 + 0.1 * person + 0.005 * (number % 30) if swapped else None,
                    occluded=0.02 * (number % 5),
                )
            )
    return rows


def evaluation(job_rows: Sequence[LedgerRow], noise: float = 0.5) -> Evaluation:
    """What the evaluation would have seen: still faces, the result's shaking by ``noise`` pixels more."""
    rng = np.random.default_rng(1)
    frames: dict[int, list[Any]] = {}
    for own in job_rows:
        x0, y0, x1, y1 = own.box
        middle = ((x0 + x1) / 2, (y0 + y1) / 2)
        there = face(10.0, middle) + rng.normal(0, 0.5, (478, 3)).astype(np.float32)
        here = there + rng.normal(0, noise, (478, 3)).astype(np.float32)
        detail = 1.0 if own.pts == 7 * 512 else 2.0
        seen = row(own.track, own.swapped, target_points=there, result_points=here, detail=detail)
        frames.setdefault(own.pts, []).append(seen)
    lines = [FrameRow(pts / 12800, 0.1, tuple(faces)) for pts, faces in sorted(frames.items())]
    return Evaluation(
        result=Path("out.mp4"),
        target=Path("clip.mp4"),
        frames=len(lines),
        faces=len(job_rows),
        figures={"likeness": 0.64, "likeness_gain": 0.06, "identity": 0.41, "jitter": 1.2},
        checks={"frames": True, "audio": False},
        observations=collect(lines),
    )


def made_job(
    folder: Path,
    *,
    frames: int = 30,
    people: int = 2,
    name: str = "clip.mp4",
    left_out: Sequence[int] = (),
    measured: bool = True,
    **changes: Any,
) -> Job:
    """A job whose files exist in ``folder``; its shots change in the middle."""
    target, output = folder / name, folder / "out.mp4"
    make_clip(target, size=SIZE, frames=frames, picture=stepped)
    make_clip(output, size=SIZE, frames=frames, picture=inverted)
    rows = ledger(frames, people, left_out=left_out)
    swapped = [one for one in rows if one.swapped]
    end = frames * 512
    report = Report(
        output=output,
        frames=frames,
        frames_with_swap=len({one.pts for one in swapped}),
        faces_swapped=len(swapped),
        people=people,
        damaged_packets=0,
        seconds={"analyse": 1.0, "render": 2.0, "render: paste": 0.5},
        ledger=tuple(rows),
        notes=("a note of the muxer",),
        shots=(Shot(0, end // 2), Shot(end // 2, end)),
    )
    values: dict[str, Any] = {
        "command": "video",
        "report": report,
        "sources": (Path("me.jpg"),),
        "target": target,
        "options": SwapOptions(),
        "method": "mesh",
        "device": "cpu",
        "evaluation": evaluation(rows) if measured else None,
    }
    return Job(**{**values, **changes})
