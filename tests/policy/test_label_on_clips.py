"""``--label`` on a turned, anamorphic clip: upright, in its proportions, on every frame, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from faceswap_cli.config import EncodeOptions, JobOptions, MarkOptions, SwapOptions
from faceswap_cli.pipeline import swap_video
from faceswap_cli.policy.gate import display_rgb
from faceswap_cli.provenance.label import label_alpha
from faceswap_cli.records import U8
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames
from tests.clips import make_clip

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FRAMES = 3
STORED = (320, 180)
"""Width and height; shown turned, and each stored column is 4/3 pixels wide."""
ASPECT = Fraction(4, 3)
OPTIONS = SwapOptions(method="mesh", encode=EncodeOptions(lossless=True), job=JobOptions(workers=1))


def shown(path: Path) -> list[U8]:
    """Frames as a player shows them."""
    clip = probe(path)
    return [display_rgb(frame, clip)[0] for frame in read_frames(clip)]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, portrait: U8) -> tuple[list[U8], list[U8]]:
    """The same clip swapped without and with the label."""
    folder = tmp_path_factory.mktemp("label")
    width, height = round(STORED[0] * ASPECT), STORED[1]

    def painter(index: int, w: int, h: int) -> U8:
        upright = np.full((width, height, 3), 120, np.uint8)  # turned by 90 degrees: higher than wide
        face = cv2.resize(portrait, (height - 20, height - 20), interpolation=cv2.INTER_AREA)
        upright[40 + index : 40 + index + face.shape[0], 10 : 10 + face.shape[1]] = face
        stored = np.ascontiguousarray(np.rot90(upright, k=-1))
        return np.asarray(cv2.resize(stored, (w, h), interpolation=cv2.INTER_AREA), np.uint8)

    make_clip(
        folder / "in.mp4",
        size=STORED,
        frames=FRAMES,
        rotation=90,
        sar=ASPECT,
        picture=painter,
        options={"crf": "4"},
    )
    clip = probe(folder / "in.mp4")
    assert (clip.rotation, clip.display_size) == (90, (180, round(320 * 4 / 3)))
    made = []
    for label in (False, True):
        out = folder / f"{label}.mp4"
        report = swap_video(
            [EXAMPLES / "source.jpg"], folder / "in.mp4", out, replace(OPTIONS, mark=MarkOptions(label=label))
        )
        assert report.frames_with_swap == report.frames == FRAMES
        made.append(shown(out))
    return made[0], made[1]


def test_it_reads_upright_in_the_lower_left(results: tuple[list[U8], list[U8]]) -> None:
    plain, labelled = results
    assert len(labelled) == FRAMES
    height, width = labelled[0].shape[:2]
    letters, pad = label_alpha(height, width)
    for before, after in zip(plain, labelled, strict=True):
        light = after.mean(axis=2)
        inside = pad > 0
        assert np.corrcoef(light[inside], letters[inside])[0, 1] > 0.8
        assert (
            np.corrcoef(light[inside], np.rot90(letters, 2)[np.rot90(inside, 2)])[0, 1] < 0.5
        )  # not upside down
        near = cv2.dilate(inside.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        changed = np.abs(before.astype(int) - after).max(axis=2)
        assert changed[inside].mean() > 30
        assert changed[~near].max() <= 1


def test_its_proportions_are_those_of_the_screen(results: tuple[list[U8], list[U8]]) -> None:
    plain, labelled = results
    rows, columns = np.nonzero(np.abs(plain[0].astype(int) - labelled[0]).max(axis=2) > 12)
    expected_rows, expected_columns = np.nonzero(label_alpha(*labelled[0].shape[:2])[1])
    assert np.ptp(rows) == pytest.approx(np.ptp(expected_rows), abs=3)
    assert np.ptp(columns) == pytest.approx(np.ptp(expected_columns), abs=3)
