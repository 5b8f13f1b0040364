"""``--occlusion-mask`` on a small clip, end to end."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from faceswap_cli.config import EncodeOptions, JobOptions, PasteOptions, SwapOptions
from faceswap_cli.errors import InputError, UsageError
from faceswap_cli.jobs.keys import differences, job_key
from faceswap_cli.pipeline import swap_video
from faceswap_cli.recipe.again import make_again, options_of
from faceswap_cli.recipe.inputs import find_inputs
from faceswap_cli.recipe.metadata import read_recipe
from faceswap_cli.records import U8
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames
from tests.clips import make_clip
from tests.jobs.example import EXAMPLES, HEIGHT, WIDTH, frames_digest, small_example

FRAMES = 8
SOURCE = EXAMPLES / "source.jpg"


def white_at_first(index: int, width: int, height: int) -> U8:
    """At twice the target's rate: white for the first half of the clip."""
    return np.full((height, width, 3), 255 if index < FRAMES else 0, np.uint8)


def options(mask: Path | None, **job: object) -> SwapOptions:
    return SwapOptions(
        method="mesh",
        encode=EncodeOptions(lossless=True),
        paste=PasteOptions(occlusion_mask=mask),
        job=JobOptions(device="cpu", workers=1, **job),  # type: ignore[arg-type]
    )


def lumas(path: Path) -> list[np.ndarray]:
    return [frame.planes.y for frame in read_frames(probe(path))]


def test_a_mask_video_keeps_the_target_while_it_is_white(tmp_path: Path) -> None:
    clip, mask, out = (tmp_path / name for name in ("in.mp4", "mask.mkv", "out.mp4"))
    small_example(clip, FRAMES)
    size = (WIDTH, HEIGHT)
    make_clip(mask, size=size, frames=2 * FRAMES, fps=Fraction(50), codec="ffv1", picture=white_at_first)
    swap_video([SOURCE], clip, out, options(mask))
    changed = [(a != b).mean() for a, b in zip(lumas(clip), lumas(out), strict=True)]
    assert max(changed[: FRAMES // 2]) < 0.002
    assert min(changed[FRAMES // 2 :]) > 0.03

    recipe = read_recipe(out)
    with pytest.raises(UsageError, match=r"an occlusion mask; give it with --occlusion-mask"):
        find_inputs(recipe, [SOURCE], clip)
    with pytest.raises(InputError, match=r"in\.mp4 is not the original occlusion mask"):
        find_inputs(recipe, [SOURCE], clip, mask=clip)
    inputs = find_inputs(recipe, [SOURCE], clip, mask=mask.rename(tmp_path / "moved.mkv"))
    make_again(recipe, inputs, tmp_path / "again.mp4", options_of(recipe, inputs, options(None)))
    assert frames_digest(tmp_path / "again.mp4") == frames_digest(out)


def test_a_job_depends_on_what_the_mask_holds_not_on_its_name(tmp_path: Path) -> None:
    """So a moved mask lets an unfinished job go on, and another one starts it over."""
    clip, mask = tmp_path / "in.mp4", tmp_path / "mask.png"
    make_clip(clip)
    mask.write_bytes(b"one")

    def key() -> dict[str, str]:
        return job_key(probe(clip), "sources", {0: 0}, "weights", options(mask))

    first = key()
    mask = mask.rename(tmp_path / "moved.png")
    assert differences(first, key()) == []
    mask.write_bytes(b"another")
    assert differences(first, key()) == ["occlusion mask"]
