"""The invisible mark, measured: what it survives, how faint it is, and how often chance looks like it.

    python benchmarks/watermark.py survive FOLDER_OR_CLIP... --source PHOTO [--method fslsd] [--frames 48]
        [--jobs 2]
    python benchmarks/watermark.py chance FOLDER_OR_CLIP... [--source PHOTO [--method fslsd]] [--frames 72]
        [--keys 40] [--jobs 2]

``survive`` swaps the first frames of each clip without loss, sends the result through each treatment
(x264 preset medium, smaller pictures, a crop, one frame as JPEG), finds the faces again as ``inspect``
does and searches.  ``chance`` searches the clips as they are (with ``--source``: swapped, but without a
mark), with the program's key and with thousands of others that nobody ever used.  Tables in Markdown on
stdout.
"""

from __future__ import annotations

import argparse
import io
import math
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
from PIL import Image

from faceswap_cli.config import (
    DetectOptions,
    EncodeOptions,
    JobOptions,
    RangeOptions,
    SwapOptions,
    TrackOptions,
)
from faceswap_cli.errors import FaceswapError
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.pipeline import swap_video
from faceswap_cli.provenance import watermark
from faceswap_cli.provenance.search import looks_of, search_clip, search_picture
from faceswap_cli.provenance.watermark import FALSE_ALARM, Detection, pattern, score
from faceswap_cli.records import F32, F64, U8, Analysis, Clip
from faceswap_cli.tracking.analyse import analyse_clip
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames

VIDEO = {".mp4", ".mov", ".mkv", ".mpg", ".webm", ".m4v"}
PLAIN_OVER_SEARCHED = 500
"""Keys tried at the one place where the mark would be, over those tried with the whole search."""


@dataclass(frozen=True)
class Treatment:
    """What happens to a file on its way."""

    name: str
    crf: int
    scale: float = 1.0
    crop: float = 1.0
    """Middle part of the picture that is kept, in each direction"""


TREATMENTS = (
    Treatment("crf 18", 18),
    Treatment("crf 23", 23),
    Treatment("crf 28", 28),
    Treatment("2/3 size, crf 23", 23, scale=2 / 3),
    Treatment("half size, crf 23", 23, scale=0.5),
    Treatment("crop to 85 %, crf 23", 23, crop=0.85),
)


def options(frames: int, method: str = "mesh") -> SwapOptions:
    """One process, nothing lost in encoding."""
    return SwapOptions(
        method=method,
        track=TrackOptions(face="largest"),
        detect=DetectOptions(workers=1),
        range=RangeOptions(end=f"{frames}f"),
        encode=EncodeOptions(lossless=True, preset="ultrafast"),
        job=JobOptions(workers=1),
    )


def analysed(path: Path, frames: int | None = None) -> tuple[Clip, Analysis]:
    """The clip and what pass 1 finds in its first ``frames``."""
    clip, chosen = probe(path), options(frames or 1)
    end = None
    if frames is not None:
        with closing(read_frames(clip)) as seen:
            times = [frame.pts for frame, _ in zip(seen, range(frames + 1), strict=False)]
        end = times[frames] if len(times) > frames else None
    return clip, analyse_clip(clip, chosen.detect, chosen.track, chosen.smooth, end_pts=end)


def treated(source: Path, result: Path, how: Treatment) -> None:
    """``source`` cropped, scaled and encoded to ``result``, frame by frame."""
    with av.open(str(source)) as given, av.open(str(result), "w") as made:
        stream = made.add_stream("libx264", rate=25, options={"crf": str(how.crf), "preset": "medium"})
        stream.pix_fmt, stream.codec_context.thread_count = "yuv420p", 1
        for index, frame in enumerate(given.decode(video=0)):
            if how.crop < 1 or how.scale < 1:
                frame = _cut(frame, how)
            if not index:
                stream.width, stream.height = frame.width, frame.height
            frame = frame.reformat(format="yuv420p")
            frame.pts, frame.time_base, frame.pict_type = index, Fraction(1, 25), 0
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))


def _cut(frame: av.VideoFrame, how: Treatment) -> av.VideoFrame:
    rgb = frame.to_ndarray(format="rgb24")
    height, width = rgb.shape[:2]
    y, x = (round(side * (1 - how.crop) / 2) for side in (height, width))
    part = Image.fromarray(rgb[y : height - y or None, x : width - x or None])
    size = tuple(max(round(side * how.scale) // 2 * 2, 2) for side in part.size)
    return av.VideoFrame.from_ndarray(np.asarray(part.resize(size, Image.Resampling.BICUBIC)), format="rgb24")


@dataclass(frozen=True)
class Survival:
    """One clip through everything."""

    clip: str
    face_px: int
    psnr: float
    found: dict[str, Detection]


def survive(path: Path, source: Path, frames: int, method: str) -> Survival | None:
    """Swap, treat, search; None when no face is swapped in the clip."""
    with tempfile.TemporaryDirectory(prefix="faceswap-mark-") as folder:
        marked, plain, other = (Path(folder) / name for name in ("marked.mkv", "plain.mkv", "other.mp4"))
        try:
            swap_video([source], path, marked, options(frames, method))
        except FaceswapError as error:
            sys.stderr.write(f"{path.name}: {error}\n")
            return None
        strongest, watermark.STRONGEST = watermark.STRONGEST, 0.0
        try:
            swap_video([source], path, plain, options(frames, method))
        finally:
            watermark.STRONGEST = strongest
        found = {"as made": search_clip(*analysed(marked))}
        for how in TREATMENTS:
            treated(marked, other, how)
            found[how.name] = search_clip(*analysed(other))
        found["one frame, JPEG 85"] = _one_frame(marked)
        _, analysis = analysed(path, frames)
        size = max((person.mean_size_px for person in analysis.people), default=0.0)
        return Survival(path.stem, round(size), _psnr(path, marked, plain, frames), found)


def _one_frame(path: Path) -> Detection:
    with av.open(str(path)) as container:
        frame = next(iter(container.decode(video=0)))
    file = io.BytesIO()
    frame.to_image().save(file, "JPEG", quality=85)
    rgb: U8 = np.asarray(Image.open(file).convert("RGB"))
    return search_picture(rgb, find_faces(rgb))


def _psnr(target: Path, marked: Path, plain: Path, frames: int) -> float:
    """Of the luma where a face was pasted, marked against unmarked."""
    total = count = 0.0
    with ExitStack() as opened:
        clips = [opened.enter_context(closing(read_frames(probe(p)))) for p in (target, marked, plain)]
        for _, old, new, bare in zip(range(frames), *clips, strict=False):
            pasted = (bare.planes.y != old.planes.y) | (new.planes.y != old.planes.y)
            unit = 1 << (new.planes.bit_depth - 8)
            error = (new.planes.y.astype(float) - bare.planes.y) / unit
            total, count = total + float((error[pasted] ** 2).sum()), count + float(pasted.sum())
    return 20 * math.log10(255 / math.sqrt(total / max(count, 1) or 1e-9))


def chance(path: Path, frames: int, source: Path | None, method: str) -> list[tuple[str, F64]]:
    """(clip and person, whitened sum) of everybody in a clip nobody has marked.

    With ``source`` the faces are swapped first, by ``method``, and left unmarked.
    """
    with tempfile.TemporaryDirectory(prefix="faceswap-mark-") as folder:
        looked_at = path
        if source is not None:
            looked_at, watermark.STRONGEST = Path(folder) / "plain.mkv", 0.0
            swap_video([source], path, looked_at, options(frames, method))
        clip, analysis = analysed(looked_at, frames)
        sums = watermark.whitened_sums(looks_of(clip, analysis))
    return [(f"{path.stem} {person}", whitened) for person, whitened in sums.items()]


def plain_scores(people: Sequence[F64], keys: int) -> F32:
    """(people, keys) scores at the one place, no search: they must be normally distributed."""
    spectrum = watermark.spectrum() ** 2
    power = spectrum / spectrum.mean()
    stack = np.stack([whitened.ravel() for whitened in people])
    deviations = np.array(
        [math.sqrt(float(np.mean(np.abs(np.fft.fft2(whitened)) ** 2 * power))) for whitened in people]
    )
    scores = np.empty((len(people), keys), np.float32)
    for k in range(keys):
        scores[:, k] = stack @ pattern(b"chance %d" % k).ravel() / deviations
    return scores


def clips_of(names: Sequence[Path]) -> list[Path]:
    """Clips themselves and those in folders."""
    found = [sorted(name.iterdir()) if name.is_dir() else [name] for name in names]
    return [path for group in found for path in group if path.suffix.lower() in VIDEO]


def tell_survival(rows: Sequence[Survival]) -> None:
    names = list(rows[0].found)
    print("| clip | face px | PSNR dB |", " | ".join(names), "|")
    print("|---" * (len(names) + 3) + "|")
    for row in sorted(rows, key=lambda row: row.face_px):
        scores = " | ".join(f"{'' if seen.found else 'no '}{seen.score:.1f}" for seen in row.found.values())
        print(f"| {row.clip} | {row.face_px} | {row.psnr:.1f} | {scores} |")
    for least in (0, 100):
        those = [row for row in rows if row.face_px >= least]
        shares = [f"{sum(row.found[name].found for row in those)}/{len(those)}" for name in names]
        print(f"| found, faces of {least} px and more | | |", " | ".join(shares), "|")


def tell_chance(people: Sequence[tuple[str, F64]], keys: int) -> None:
    sums = [whitened for _, whitened in people]
    own = [score(whitened) for whitened in sums]
    print(
        f"{len(people)} people nobody has marked; own key: highest score {max(own):.2f}, "
        f"lowest chance {min(map(watermark.false_alarm, own)):.2g} (found below {FALSE_ALARM:g})\n"
    )
    searched = [score(w, b"chance %d" % k) for k in range(keys) for w in sums]
    alarms = np.array([watermark.false_alarm(value) for value in searched])
    print(f"Whole search, {len(alarms):,} trials of people and keys; highest score {max(searched):.2f}\n")
    print("| stated chance below | expected at most | seen |\n|---|---|---|")
    for limit in (1e-1, 1e-2, 1e-3, 1e-4):
        print(f"| {limit:g} | {limit * len(alarms):.1f} | {int((alarms < limit).sum())} |")
    scores = plain_scores(sums, PLAIN_OVER_SEARCHED * keys)
    both = np.concatenate([scores.ravel(), -scores.ravel()])
    print(
        f"\nOne place, {both.size:,} trials of people, keys and signs; "
        f"deviation {both.std():.3f}, highest {both.max():.2f}\n"
    )
    print("| score above | expected of the normal law | seen |\n|---|---|---|")
    for limit in (2.0, 3.0, 3.5, 4.0, 4.5, 5.0):
        expected = both.size * 0.5 * math.erfc(limit / math.sqrt(2))
        print(f"| {limit} | {expected:.1f} | {int((both > limit).sum())} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("survive", "chance"))
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--source", type=Path, help="photograph that is put in")
    parser.add_argument("--method", default="fslsd", help="that swaps")
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--keys", type=int, default=40, help="keys for the whole search (chance)")
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    paths = clips_of(asked.clips)
    with ProcessPoolExecutor(asked.jobs) as pool:
        if asked.what == "survive":
            if asked.source is None:
                parser.error("survive needs --source PHOTO")
            how = partial(survive, source=asked.source, frames=asked.frames, method=asked.method)
            tell_survival([row for row in pool.map(how, paths) if row is not None])
            return
        how = partial(_quiet_chance, frames=asked.frames, source=asked.source, method=asked.method)
        tell_chance([person for group in pool.map(how, paths) for person in group], asked.keys)


def _quiet_chance(path: Path, frames: int, source: Path | None, method: str) -> list[tuple[str, F64]]:
    try:
        return chance(path, frames, source, method)
    except FaceswapError as error:
        sys.stderr.write(f"{path.name}: {error}\n")
        return []


if __name__ == "__main__":
    main()
