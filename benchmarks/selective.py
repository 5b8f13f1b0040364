"""What ``--strength`` and ``--preserve`` do to the faces of clips, measured on the result.

    python benchmarks/selective.py --pair SOURCE CLIP [--pair ...] [--method mesh] [--sheet SHEET.png]

Of each clip a few frames are swapped at every strength and with every part preserved; the mesh is found anew
in the results.  Printed are, as means over frames and then over clips: the identity distances to the source
and to the target's own face; and for each part how far the result is from the target without and with that
part preserved: L*a*b* within the part, for the shape the landmarks of eyes, nose and mouth in % of the
distance of the outer eye corners.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from faceswap_cli import color
from faceswap_cli.cast.roles import Sources
from faceswap_cli.config import JobOptions, PreserveOptions, RangeOptions, SmoothOptions, SwapOptions
from faceswap_cli.events import NEVER, ignore
from faceswap_cli.faces import landmarks as parts
from faceswap_cli.faces.crops import cut, upright_crop
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.faces.finder import FaceFinder
from faceswap_cli.geometry import align, masks
from faceswap_cli.identity.embed import embed
from faceswap_cli.identity.photos import load_photos
from faceswap_cli.pipeline import analyse, prepare, swapped_frames
from faceswap_cli.records import F32, U8, Clip, Frame, Segment
from faceswap_cli.swap import appearance
from faceswap_cli.swap.engine import Scene, StageClock
from faceswap_cli.swap.selective import selection_of
from faceswap_cli.video.probe import probe
from faceswap_cli.video.ranges import pts_range

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
PARTS = ("mouth", "eyes", "brows", "skin", "shape")
RINGS = {
    "mouth": (parts.LIPS_OUTER,),
    "eyes": (parts.LEFT_EYE, parts.RIGHT_EYE),
    "brows": (parts.LEFT_BROW_RING, parts.RIGHT_BROW_RING),
}
SIDE, TILE = 256, 200
INNER = (*parts.EYES, *parts.LIPS, *parts.NOSE)


@dataclass(frozen=True)
class Seen:
    """One frame of a result, looked at."""

    rgb: U8
    points: F32
    embedding: F32


def look(frame: Frame, clip: Clip, finder: FaceFinder, near: F32 | None = None) -> Seen:
    """The largest face, or the one nearest to ``near``."""
    rgb = color.rgb_from_planes(frame.planes, clip.color)
    found = find_faces(rgb, finder=finder)
    middle = None if near is None else near[:, :2].mean(axis=0)
    by = {id(f): np.ptp(f.landmarks[:, 0]) if middle is None else -_far(f.landmarks, middle) for f in found}
    points = max(found, key=lambda face: by[id(face)]).landmarks
    return Seen(rgb, points, embed(rgb, points[None])[0])


def _far(points: F32, middle: F32) -> float:
    return float(np.linalg.norm(points[:, :2].mean(axis=0) - middle))


def difference(result: Seen, target: Seen, part: str) -> float:
    """How far ``part`` of the result is from the target's."""
    if part == "shape":
        eyes = float(np.linalg.norm(target.points[33, :2] - target.points[263, :2]))
        moved = result.points[list(INNER), :2] - target.points[list(INNER), :2]
        return 100.0 * float(np.linalg.norm(moved, axis=1).mean()) / eyes
    matrix = align.scaled(align.unit_from_points(target.points), SIDE)
    unit = np.asarray(align.apply(matrix, target.points) / SIDE, np.float32)
    area = appearance.skin_area(unit, SIDE) if part == "skin" else masks.union(unit, RINGS[part], SIDE)
    labs = [appearance.lab_from_rgb(cut(seen.rgb, matrix, SIDE)) for seen in (result, target)]
    return float(np.linalg.norm(labs[0] - labs[1], axis=-1)[area > 0.5].mean())


def results(
    scene: Scene, times: list[int], options: SwapOptions, finder: FaceFinder, targets: list[Seen]
) -> Iterator[Seen]:
    """The frames at ``times`` with ``options``."""
    asked = replace(scene, selection=selection_of(options))
    for pts, target in zip(times, targets, strict=True):
        segment = Segment(0, pts, pts + 1, 0, 1, True)
        with closing(swapped_frames(segment, asked, options, StageClock())) as frames:
            yield look(next(iter(frames)).frame, scene.clip, finder, target.points)


def measure(
    source: Path, path: Path, options: SwapOptions, count: int, finder: FaceFinder
) -> tuple[dict, U8]:
    """Setting -> figures of one pair, and a row of views."""
    clip = probe(path)
    person = load_photos([source], options.detect)
    analysis = analyse(clip, options, ignore, NEVER, pts_range(clip, options.range))
    scene, _ = prepare(clip, analysis, Sources((person,)), options)
    (track,) = [t for t in analysis.tracks if t.person in scene.prepared][:1]
    times = track.pts[np.linspace(0, len(track.pts) - 1, count).astype(int)].tolist()
    whole = Segment(0, times[0], times[-1] + 1, 0, 0, True)
    none = replace(scene, selection=selection_of(replace(options, strength=0.0)))
    with closing(swapped_frames(whole, none, options, StageClock())) as all_:
        targets = [look(item.original, clip, finder) for item in all_ if item.original.pts in times]
    settings = {f"strength {s:g}": replace(options, strength=s) for s in STRENGTHS}
    settings |= {part: replace(options, preserve=PreserveOptions(**{part: 1.0})) for part in PARTS}
    settings["all"] = replace(options, preserve=PreserveOptions(**dict.fromkeys(PARTS, 1.0)))
    figures, views = {}, [view(targets[0], targets[0], f"target {path.stem}")]
    for name, asked in settings.items():
        seen = list(results(scene, times, asked, finder, targets))
        pairs = list(zip(seen, targets, strict=True))
        figures[name] = {
            "source": np.mean([np.linalg.norm(one.embedding - person.embedding) for one in seen]),
            "target": np.mean([np.linalg.norm(one.embedding - other.embedding) for one, other in pairs]),
            **{part: np.mean([difference(one, other, part) for one, other in pairs]) for part in PARTS},
        }
        views.append(view(seen[0], targets[0], name))
        print(path.stem, name, {key: round(float(v), 3) for key, v in figures[name].items()}, flush=True)
    return figures, np.concatenate(views, axis=1)


def view(seen: Seen, target: Seen, text: str) -> U8:
    shown = cut(seen.rgb, upright_crop(target.points, TILE, 1.5), TILE).copy()
    cv2.putText(shown, text, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 0), 1, cv2.LINE_AA)
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pair", type=Path, nargs=2, action="append", required=True)
    parser.add_argument("--method", default="auto")
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--sheet", type=Path)
    given = parser.parse_args()
    options = SwapOptions(
        method=given.method,
        range=RangeOptions(end="24f"),
        smooth=SmoothOptions(code_radius=0),
        job=JobOptions(device="cpu", workers=1),
    )
    with closing(FaceFinder(options.detect)) as finder:
        done = [measure(source, clip, options, given.frames, finder) for source, clip in given.pair]
    if given.sheet:
        cv2.imwrite(str(given.sheet), np.concatenate([row for _, row in done])[..., ::-1])
    mean = {
        name: {key: float(np.mean([figures[name][key] for figures, _ in done])) for key in done[0][0][name]}
        for name in done[0][0]
    }
    print("| strength | to the source | to the target |\n|---|---|---|")
    for s in STRENGTHS:
        found = mean[f"strength {s:g}"]
        print(f"| {s:g} | {found['source']:.3f} | {found['target']:.3f} |")
    plain = mean["strength 1"]
    print("| preserved | difference without | with | to the source | to the target |\n|---|---|---|---|---|")
    for name in (*PARTS, "all"):
        found = mean[name]
        both = (f"{plain[name]:.2f}", f"{found[name]:.2f}") if name in PARTS else ("", "")
        print(f"| {name} | {both[0]} | {both[1]} | {found['source']:.3f} | {found['target']:.3f} |")


if __name__ == "__main__":
    main()
