"""Makes ``source.jpg`` and ``target.mp4`` of this folder from two public-domain photographs.

    python examples/make_example.py [--out FOLDER]

Both photographs ship inside Python packages, so nothing is downloaded: ``skimage.data.astronaut()``
(Eileen Collins, NASA) and matplotlib's ``grace_hopper.jpg`` (Grace Hopper, US Navy).  Needs
``pip install scikit-image matplotlib opencv-contrib-python`` beside this program; neither is needed
to use the program or the finished files.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from puppet.face import Expression
from puppet.fields import F32
from puppet.head import Pose, pose_frame
from puppet.layers import take_apart

from faceswap_cli.faces.detect import find_faces

RATE = 25
SECONDS = 4.8
SIZE = (384, 512)
AUDIO_RATE = 48_000
CROP = (32, 0, 450, 600)
"""x, y, width, height of the part of the photograph that is shown."""
OUTLINE = (
    *((178, 82), (182, 68), (195, 52), (218, 41), (225, 30), (245, 23), (265, 23), (290, 31), (302, 41)),
    *((325, 47), (343, 63), (353, 86), (362, 86), (369, 100), (371, 130), (370, 180), (375, 188), (374, 205)),
    *((368, 222), (363, 248), (360, 265), (360, 282), (350, 298), (338, 306), (329, 303), (328, 320)),
    *((328, 340), (322, 352), (310, 368), (290, 392), (276, 405), (262, 406), (246, 408), (235, 397)),
    *((222, 383), (213, 368), (207, 356), (206, 338), (206, 322), (202, 306), (196, 297), (184, 289)),
    *((167, 273), (158, 256), (158, 240), (162, 230), (155, 218), (153, 202), (155, 190), (150, 180)),
    *((151, 130), (154, 105), (165, 88)),
)
"""Round hat, hair, face and neck in the photograph."""
STRAYS = (370, 150, 395, 262)
"""Left, top, right, bottom of a place with single hairs, painted over with the head."""
COLLAR = (
    *(
        (0, 396),
        (60, 374),
        (130, 354),
        (165, 343),
        (190, 327),
        (198, 318),
        (206, 355),
        (213, 368),
        (222, 383),
    ),
    *(
        (235, 397),
        (246, 408),
        (262, 406),
        (276, 405),
        (290, 392),
        (310, 368),
        (322, 352),
        (328, 340),
        (331, 320),
    ),
    *((350, 336), (380, 347), (410, 358), (480, 385), (512, 440)),
)
"""Shoulders and collar in the photograph, from left to right: the neck ends behind this line."""
SYLLABLES = (
    # start s, length s, jaw, narrow, pitch Hz, vowel
    (0.30, 0.24, 0.62, 0.10, 208, "a"),
    (0.52, 0.22, 0.38, 0.85, 222, "o"),
    (0.76, 0.20, 0.30, 0.00, 214, "e"),
    (1.02, 0.34, 0.80, 0.15, 196, "a"),
    (1.62, 0.20, 0.34, 0.95, 218, "u"),
    (1.84, 0.22, 0.66, 0.10, 236, "a"),
    (2.10, 0.22, 0.36, 0.00, 224, "i"),
    (2.36, 0.40, 0.58, 0.70, 204, "o"),
    (3.06, 0.20, 0.46, 0.20, 212, "e"),
    (3.30, 0.22, 0.72, 0.10, 226, "a"),
    (3.56, 0.38, 0.44, 0.85, 190, "o"),
)
FORMANTS = {
    "a": (850, 1450, 2700),
    "e": (520, 2050, 2750),
    "i": (330, 2500, 3150),
    "o": (480, 900, 2650),
    "u": (350, 760, 2550),
}
BLINKS_S = (0.16, 1.50, 2.86, 4.20)


def keys(t: float, *points: tuple[float, float]) -> float:
    """Value at ``t`` of the smooth curve through (time, value) points that rests at each of them."""
    times = [time for time, _ in points]
    k = int(np.clip(np.searchsorted(times, t, side="right") - 1, 0, len(points) - 2))
    (t0, v0), (t1, v1) = points[k], points[k + 1]
    u = float(np.clip((t - t0) / (t1 - t0), 0, 1))
    return v0 + (v1 - v0) * u * u * u * (u * (6 * u - 15) + 10)


def pose_at(t: float) -> Pose:
    """Straight, to the right, to the left, a nod, a tilt, and back, never quite still."""
    drift = np.sin(2 * np.pi * np.array([0.37, 0.53, 0.71]) * t + np.array([0.2, 1.9, 4.0]))
    return Pose(
        yaw=keys(t, (0.2, 0), (1.1, 18), (1.5, 17), (2.6, -19), (3.1, -18), (4.0, 3), (4.8, 0))
        + 0.6 * drift[0],
        pitch=keys(
            t, (0, 0), (0.9, -3), (1.6, 2), (2.3, -2), (3.0, 1), (3.4, 8), (3.8, -5), (4.3, 1), (4.8, 0)
        )
        + 0.5 * drift[1],
        roll=keys(t, (0, 0), (1.2, -3), (2.0, 1), (2.9, 4), (3.9, -4), (4.8, 0)) + 0.4 * drift[2],
        dx=keys(t, (0, 0), (1.2, 14), (2.8, -16), (4.0, 4), (4.8, 0)) + 2.0 * drift[1],
        dy=keys(t, (0, 0), (1.6, 4), (2.3, -3), (3.4, 8), (4.8, 0)) + 1.5 * drift[0],
    )


def syllable(t: float, start: float, length: float) -> float:
    """0 to 1: how far a syllable is on at ``t``; quick attack, slower release."""
    u = (t - start) / length
    return float(np.sin(np.pi * u**0.75) ** 1.2) if 0 < u < 1 else 0.0


def face_at(t: float) -> Expression:
    voice = [(syllable(t, s, n), jaw, narrow) for s, n, jaw, narrow, _, _ in SYLLABLES]
    jaw = max(on * jaw for on, jaw, _ in voice)
    narrow = max(on * narrow for on, _, narrow in voice)
    speaking = any(s - 0.12 < t < s + n + 0.10 for s, n, *_ in SYLLABLES)
    shut = 0.85 * max(0.0, 1.0 - 4.0 * jaw) if speaking else 0.0
    edge = min((abs(t - e) for s, n, *_ in SYLLABLES for e in (s - 0.12, s + n + 0.10)), default=1.0)
    blink = max(blink_at(t - at) for at in BLINKS_S)
    gaze = keys(
        t,
        (0, 0),
        (0.55, 0),
        (0.7, 0.8),
        (1.5, 0.5),
        (1.7, -0.9),
        (2.7, -0.6),
        (2.95, 0.1),
        (3.6, 0),
        (4.8, 0),
    )
    return Expression(jaw=jaw, shut=shut * min(1.0, edge / 0.06), narrow=narrow, blink=blink, gaze=gaze)


def blink_at(t: float) -> float:
    """0.08 s to shut, 0.06 s shut, 0.14 s to open."""
    return keys(t, (0, 0), (0.08, 1), (0.14, 1), (0.28, 0)) if 0 <= t <= 0.28 else 0.0


def voice() -> F32:
    """(samples,) in [-1, 1]: a voice of harmonics under three formants, on while the mouth is open."""
    time = np.arange(int(SECONDS * AUDIO_RATE)) / AUDIO_RATE
    sound = np.zeros_like(time)
    for start, length, jaw, _, pitch, vowel in SYLLABLES:
        part = (time > start) & (time < start + length)
        u = (time[part] - start) / length
        tone = pitch * (1.06 - 0.12 * u) * (1 + 0.008 * np.sin(2 * np.pi * 5.2 * time[part]))
        phase = 2 * np.pi * np.cumsum(tone) / AUDIO_RATE
        loud = np.sin(np.pi * u**0.75) ** 1.2 * (0.6 + 0.4 * jaw)
        for k in range(1, 22):
            gain = sum(
                1 / (1 + ((k * pitch - f) / (70 + 0.06 * f)) ** 2) / (1 + i)
                for i, f in enumerate(FORMANTS[vowel])
            )
            sound[part] += loud * gain * np.sin(k * phase) / k**0.6
    hiss = np.random.default_rng(7).normal(0, 0.0015, sound.shape)
    return (0.6 * sound / np.abs(sound).max() + hiss).astype(np.float32)


def frames(picture: NDArray[np.uint8], points: F32, count: int) -> Iterator[NDArray[np.uint8]]:
    """Frames (H, W, 3) RGB of the moving portrait; ``points`` is its mesh in pixels of the canvas."""
    left, top, width, _ = CROP
    scale = picture.shape[1] / width
    outline, collar, strays = (
        ((np.reshape(line, (-1, 2)) - (left, top)) * scale).astype(np.float32)
        for line in (OUTLINE, COLLAR, STRAYS)
    )
    puppet = take_apart(picture, points, outline, collar, strays)
    noise = np.random.default_rng(11)
    for index in range(count):
        t = index / RATE
        breath = float(np.sin(2 * np.pi * t / 3.4))
        large = pose_frame(puppet, pose_at(t), face_at(t), breath)
        yield camera(large, t, noise)


def camera(large: F32, t: float, noise: np.random.Generator) -> NDArray[np.uint8]:
    """Canvas BGR -> frame RGB: hand-held by a pixel or two, exposure that drifts, grain."""
    sway = np.sin(2 * np.pi * np.array([0.31, 0.23, 0.83, 0.67]) * t + np.array([0, 1, 2, 3]))
    x, y = 2.2 * sway[0] + 0.6 * sway[2], 1.8 * sway[1] + 0.5 * sway[3]
    edge = 0.006 * np.array(large.shape[1::-1])
    shift = np.array([[1.012, 0, x - edge[0]], [0, 1.012, y - edge[1]]], np.float32)
    moved = cv2.warpAffine(
        large, shift, (large.shape[1], large.shape[0]), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    small = cv2.resize(moved, SIZE, interpolation=cv2.INTER_AREA)
    small = small * (1.0 + 0.018 * np.sin(2 * np.pi * 0.21 * t) + 0.006 * np.sin(2 * np.pi * 0.9 * t))
    grain = noise.normal(0, 1.6, small.shape[:2])[..., None] + noise.normal(0, 0.8, small.shape)
    return np.clip(small + grain + 0.5, 0, 255).astype(np.uint8)[..., ::-1]


def write(path: Path, pictures: Iterator[NDArray[np.uint8]], sound: F32) -> None:
    """H.264 and AAC in MP4, tagged BT.709."""
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        video = container.add_stream("libx264", rate=RATE, options={"crf": "19", "preset": "slow", "g": "50"})
        video.width, video.height = SIZE
        video.pix_fmt = "yuv420p"
        context = video.codec_context
        context.color_primaries = context.color_trc = context.colorspace = 1
        context.color_range = 1
        audio = container.add_stream("aac", rate=AUDIO_RATE, layout="mono")
        audio.bit_rate = 96_000
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for start in range(0, len(sound), 1024):
            block = av.AudioFrame.from_ndarray(
                sound[None, start : start + 1024], format="fltp", layout="mono"
            )
            block.sample_rate, block.pts, block.time_base = AUDIO_RATE, start, Fraction(1, AUDIO_RATE)
            container.mux(audio.encode(block))
        container.mux(audio.encode(None))


def sitter() -> tuple[NDArray[np.uint8], F32]:
    """The canvas (H, W, 3) BGR, twice the size of a frame, and the mesh (478, 3) in its pixels."""
    from matplotlib import cbook

    left, top, width, height = CROP
    photograph = cv2.imread(str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))
    shown = photograph[top : top + height, left : left + width]
    canvas = cv2.resize(shown, (2 * SIZE[0], 2 * SIZE[1]), interpolation=cv2.INTER_LANCZOS4)
    (face,) = find_faces(np.ascontiguousarray(canvas[..., ::-1]))
    # Mesh points count from the corner of the first pixel, remap from its center.
    return canvas, face.landmarks - np.array([0.5, 0.5, 0.0], np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    chosen = parser.parse_args()
    from skimage import data

    cv2.imwrite(str(chosen.out / "source.jpg"), data.astronaut()[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    canvas, points = sitter()
    count = round(chosen.seconds * RATE)
    sound = voice()[: count * AUDIO_RATE // RATE]
    write(chosen.out / "target.mp4", frames(canvas, points, count), sound)
    print(f"wrote source.jpg and target.mp4 ({count} frames) to {chosen.out}")


if __name__ == "__main__":
    main()
