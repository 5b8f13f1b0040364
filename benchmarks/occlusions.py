"""How well the occluder head finds what was marked by hand in front of faces.

python benchmarks/occlusions.py FOLDER... [--pool POOL] [--source PHOTO]

``occlusions.json`` holds polygons, never pictures: frames are looked up by file name below the folders, and
crops of the training pool (of people that are held out) by row.  Frames that are missing are counted.
Two annotators marked each frame without seeing each other's marks or what the program finds.  The overlap
(IoU) with both is averaged; beside it stands how far the two agree, which is the most that it can say.
Hair inside the face's outline was marked by one annotator in the same way, to 2 px of 384 where it is clear.

With ``--source`` the frames with rims are swapped too, and edges along the rims are compared with the
target's: their energy, and the part of it that is the target's own edges at the same places (1 is best).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceswap_cli.api import swap_image, swap_video
from faceswap_cli.config import EncodeOptions, RangeOptions, SwapOptions
from faceswap_cli.faces import landmarks as parts
from faceswap_cli.faces.crops import cut
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.geometry import align, masks, warp
from faceswap_cli.geometry.masks import Window
from faceswap_cli.records import F32, F64, U8
from faceswap_cli.swap import appearance
from faceswap_cli.swap.occluder_head import look
from faceswap_cli.swap.occlusion import Front, find_front
from faceswap_cli.training.pool import Pool, open_pool

MARKS = Path(__file__).with_name("occlusions.json")
CLASSES = ("rim", "lens", "thing", "hair")
FINER, SUBPIXEL_BITS = 8, 4
"""How much larger marks are drawn, and bits of their coordinates behind the point"""
AFTER = 6
"""Frames swapped after a marked one: the program averages over a few"""
LOCK = 0.01
"""Share of a face that hair must cover to count"""
EDGE = 1.0
"""How far beyond a marked rim its edges count, in pixels of a crop"""


@dataclass(frozen=True, slots=True, eq=False)
class Rims:
    """A marked frame with glasses."""

    mark: dict[str, Any]
    name: str
    crop: U8 = field(repr=False)
    """(S, S, 3)"""
    rim: F32 = field(repr=False)
    """(S, S) in {0, 1}"""


def read_frame(path: Path, number: int) -> U8:
    """(H, W, 3) of a picture, or of a frame of a clip."""
    if path.suffix.lower() in (".jpg", ".png"):
        return np.asarray(Image.open(path).convert("RGB"))
    with av.open(str(path)) as container:
        for k, frame in enumerate(container.decode(video=0)):
            if k == number:
                return np.asarray(frame.to_ndarray(format="rgb24"))
    raise SystemExit(f"{path} has no frame {number}")


def draw(marking: dict[str, Any], side: int) -> dict[str, F32]:
    """Truth by class, each (side, side) in {0, 1}: pixels of which half or more is covered."""
    fine = side * FINER
    canvas = {name: np.zeros((fine, fine), np.uint8) for name in CLASSES}
    keys = (("lens", "lens"), ("rim", "rim_areas"), ("thing", "thing"), ("hair", "hair"))
    for name, key in keys:
        for polygon in marking.get(key, []):
            cv2.fillPoly(canvas[name], [_fixed(polygon)], 1, cv2.LINE_8, SUBPIXEL_BITS)
    canvas["rim"] &= 1 - canvas["lens"]
    for line in marking.get("rim_lines", []):
        thick = max(round(line["width"] * FINER), 1)
        closed = bool(line.get("closed"))
        cv2.polylines(canvas["rim"], [_fixed(line["points"])], closed, 1, thick, cv2.LINE_8, SUBPIXEL_BITS)
    canvas["lens"] &= 1 - canvas["rim"]
    size = (side, side)
    shares = {
        name: cv2.resize(value * 255, size, interpolation=cv2.INTER_AREA) for name, value in canvas.items()
    }
    return {name: (share >= 128).astype(np.float32) for name, share in shares.items()}


def _fixed(polygon: Sequence[Sequence[float]]) -> NDArray[np.int32]:
    """Continuous pixels of a crop (P, 2), as OpenCV takes them for the finer canvas."""
    centers = np.array(polygon) * FINER - 0.5
    return np.round(centers * (1 << SUBPIXEL_BITS)).astype(np.int32)


def find(crop: U8, points: F32) -> tuple[Front, F32]:
    """What the renderer keeps of a crop; and the matte of everything but glasses."""
    n = crop.shape[0]
    small = cv2.resize(appearance.lab_from_rgb(crop), (96, 96), interpolation=cv2.INTER_AREA)
    light = appearance.light_at(small, appearance.skin_weight(small, points), points)
    expected = warp.scatter(points[:, :2], light, levels=(2, 4, 8, 16), side=64)
    seen, window = look(crop, points), Window.full(n)
    with_glasses = find_front(crop, expected, points, window, seen)
    return with_glasses, find_front(crop, expected, points, window, seen, glasses=False).matte


def crop_from_frame(mark: dict[str, Any]) -> F64:
    """(3, 3)"""
    return np.vstack([np.array(mark["crop_from_frame"]).reshape(2, 3), [0, 0, 1]])


def place(mark: dict[str, Any], frame: U8, side: int, pool: Pool | None) -> tuple[U8, F32]:
    """The marked crop and its mesh in unit coordinates."""
    matrix = crop_from_frame(mark)
    if pool is not None:
        points = pool.landmarks[mark["pool_row"]]
    else:
        near = np.linalg.inv(matrix)[:2] @ (side / 2, side / 2, 1)
        faces = find_faces(frame)
        points = min(faces, key=lambda f: float(np.hypot(*(f.landmarks[:, :2].mean(0) - near)))).landmarks
    return cut(frame, matrix, side), np.asarray(align.apply(matrix, points) / side, np.float32)


def swap(source: Path, target: Path, last: int, folder: Path) -> Path:
    """The swapped picture, or the clip up to a few frames after ``last``, without loss."""
    if target.suffix == ".png":
        swap_image(source, target, output := folder / f"{target.stem}_swapped.png", accept_terms=True)
        return output
    options = SwapOptions(
        encode=EncodeOptions(lossless=True, codec="ffv1"), range=RangeOptions(end=f"{last + AFTER}f")
    )
    output = folder / f"{target.stem}.mkv"
    swap_video(source, target, output, options=options, accept_terms=True)
    return output


def edges_kept(result: U8, target: U8, rims: F32) -> tuple[float, float]:
    """Energy of the gradients of ``result`` over that of ``target`` along rims, and the part that agrees.

    Crops (S, S, 3); ``rims`` (S, S) in {0, 1}.
    """
    near = masks.grow(rims, EDGE) > 0.5
    slopes = []
    for rgb in (result, target):
        light = appearance.lightness(rgb)
        both = [cv2.Sobel(light, cv2.CV_32F, *order) for order in ((1, 0), (0, 1))]
        slopes.append(np.stack(both, axis=-1)[near])
    have, own = slopes
    whole = float((own * own).sum())
    return float((have * have).sum()) / whole, float((have * own).sum()) / whole


def measure_edges(source: Path, rims: Sequence[Rims], files: dict[str, Path]) -> None:
    """Print :func:`edges_kept` of marked frames."""
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        swapped: dict[str, Path] = {}
        for one in rims:
            number = int(one.mark.get("frame", 0))
            if one.name not in swapped:
                last = max(int(other.mark.get("frame", 0)) for other in rims if other.name == one.name)
                target = files.get(one.name, Path(folder) / f"{one.name}.png")
                if one.name not in files:
                    Image.fromarray(one.crop).save(target)
                swapped[one.name] = swap(source, target, last, Path(folder))
            result = read_frame(swapped[one.name], number)
            if one.name in files:
                result = cut(result, crop_from_frame(one.mark), one.crop.shape[0])
            energy, same = edges_kept(result, one.crop, one.rim)
            figures.append((energy, same))
            print(f"{one.name:36s} {number:>4} edges  {energy:.2f} of the target's, {same:.2f} the same")
    energy, same = np.mean(figures, axis=0)
    print(f"edges  {energy:.3f} of the target's, {same:.3f} the same, over {len(figures)} frames")


def marked_frames(
    files: dict[str, Path], pool: Pool | None
) -> Iterator[tuple[dict[str, Any], str, U8, F32] | None]:
    """Mark, name, crop (S, S, 3) and mesh (478, 2+) in unit coordinates; None for each that is missing."""
    stored = json.loads(MARKS.read_text(encoding="utf-8"))
    side = int(stored["crop_side"])
    for mark in stored["frames"]:
        name = mark.get("file", f"pool {mark.get('pool_row')}")
        if "pool_row" in mark and pool is not None:
            frame = np.asarray(pool.pixels[mark["pool_row"]])
            yield mark, name, *place(mark, frame, side, pool)
        elif name in files:
            yield mark, name, *place(mark, read_frame(files[name], mark["frame"]), side, None)
        else:
            yield None


def taken(front: Front, points: F32, oval: NDArray[np.bool_]) -> float:
    """Share of a bare face below the brows, of what ``oval`` (S, S) holds of it, that is found covered."""
    side = oval.shape[0]
    below = (np.arange(side) + 0.5)[:, None] / side > points[list(parts.BROWS), 1].min()
    return float(np.maximum(front.matte, lens_of(front))[oval & below].mean())


def lens_of(front: Front) -> F32:
    return np.zeros_like(front.matte) if front.lens is None else front.lens


def overlap(truth: F32, found: F32, inside: NDArray[np.bool_]) -> float:
    """Intersection over union of maps (S, S) in [0, 1]."""
    t, f = truth[inside] > 0.5, found[inside] > 0.5
    return float((t & f).sum() / max((t | f).sum(), 1))


@dataclass(slots=True)
class Tally:
    """What was measured so far."""

    overlaps: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """Class -> overlaps with the marks, and of the two markings"""
    locks: list[float] = field(default_factory=list)
    alarms: list[tuple[float, str]] = field(default_factory=list)
    """Share taken of a bare face, and where"""
    beside_locks: list[tuple[float, str]] = field(default_factory=list)
    rims: list[Rims] = field(default_factory=list)

    def add(self, mark: dict[str, Any], name: str, crop: U8, points: F32) -> None:
        """Compare what is found in one frame with its marks."""
        front, others = find(crop, points)
        side, place_of = crop.shape[0], f"{name:36s} {mark.get('frame', ''):>4}"
        oval = masks.union(points, (parts.OVAL,), side) > 0.5
        hair = draw(mark, side)["hair"]
        bare = oval & (hair < 0.5)
        if mark.get("clear"):
            few = float(hair[oval].sum()) <= LOCK * float(oval.sum())
            shares = self.alarms if few else self.beside_locks
            shares.append((taken(front, points, bare), f"{name}:{mark['frame']}"))
        truths = [draw(marking, side) for marking in mark.get("markings", [])]
        if truths and truths[0]["rim"].any():
            self.rims.append(Rims(mark, name, crop, truths[0]["rim"]))
        rim, everywhere = np.clip(front.matte - others, 0, 1), np.ones_like(oval)
        # What is not glasses is one matte: things are compared beside hair, and hair beside things.
        compared = (("rim", rim, everywhere), ("lens", lens_of(front), everywhere), ("thing", others, bare))
        for key, found, inside in compared:
            if not truths or not all(truth[key].any() for truth in truths):
                continue
            ours = float(np.mean([overlap(truth[key], found, inside) for truth in truths]))
            theirs = overlap(truths[0][key], truths[1][key], inside)
            self.overlaps.setdefault(key, []).append((ours, theirs))
            print(f"{place_of} {key:6s} IoU {ours:.2f} ({theirs:.2f})")
        things = np.maximum.reduce([np.zeros_like(hair), *(truth["thing"] for truth in truths)])
        inside = oval & (things < 0.5)
        if float(hair[inside].sum()) > LOCK * float(oval.sum()):
            self.locks.append(overlap(hair, others, inside))
            print(f"{place_of} hair   IoU {self.locks[-1]:.2f}")

    def report(self) -> None:
        """Print the means."""
        for key, values in self.overlaps.items():
            ours, theirs = np.mean(values, axis=0)
            print(f"{key:6s} IoU {ours:.3f} over {len(values)} frames; the two markings: {theirs:.3f}")
        if self.locks:
            print(f"hair   IoU {np.mean(self.locks):.3f} over {len(self.locks)} frames")
        for label, shares in (("clear", self.alarms), ("beside hair", self.beside_locks)):
            if shares:
                worst, mean = max(shares), float(np.mean([share for share, _ in shares]))
                print(
                    f"{label}  {mean:.3%} of the bare face taken over {len(shares)} frames; "
                    f"worst {worst[0]:.3%} in {worst[1]}"
                )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--pool", type=Path)
    parser.add_argument("--source", type=Path, help="photograph to swap in, to measure edges along rims")
    given = parser.parse_args(arguments)
    files = {path.name: path for folder in given.folders for path in folder.rglob("*") if path.is_file()}
    tally = Tally()
    frames = list(marked_frames(files, open_pool(given.pool) if given.pool else None))
    for mark, name, crop, points in filter(None, frames):
        tally.add(mark, name, crop, points)
    tally.report()
    if given.source and tally.rims:
        measure_edges(given.source, tally.rims, files)
    print(f"{frames.count(None)} marked frames were not found")


if __name__ == "__main__":
    main()
