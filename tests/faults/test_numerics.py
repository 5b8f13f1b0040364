"""NaN or infinity from a network: the segment stops, the cause is named, nothing is encoded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from faceswap_cli.config import JobOptions, SmoothOptions, SwapOptions
from faceswap_cli.errors import WeightsError
from faceswap_cli.jobs.seal import folder_of
from faceswap_cli.numerics import NotFinite, finite, told
from faceswap_cli.pictures import swap_image
from faceswap_cli.pipeline import swap_video
from faceswap_cli.records import RenderedFace
from faceswap_cli.swap import appearance, official, renderer
from faceswap_cli.swap.engine import StageClock, build_scene, render_frames
from tests.jobs.example import EXAMPLES, small_example
from tests.swap.test_engine import Probe, frames, make_analysis, make_clip

BAD_FRAME = 7
"""Number of the face that fails, from 1; the first is in the third frame of the scene, 40 ticks a frame."""


class Broken(Probe):
    """The test method, with one number that is none in one of its outputs."""

    def __init__(self, output: str, value: float) -> None:
        self.output, self.value, self.seen = output, value, 0

    def encode(self, prepared: None, crop: Any) -> np.ndarray:
        code = super().encode(prepared, crop)
        self.seen += 1
        if self.output == "code" and self.seen == BAD_FRAME:
            code[1] = self.value
        return code

    def render(self, prepared: None, crop: Any, code: np.ndarray, seed: int) -> RenderedFace:
        face = super().render(prepared, crop, code, seed)
        if self.output == "mask" and self.seen >= BAD_FRAME:
            face.mask[9, 9] = self.value
        if self.output == "face" and self.seen >= BAD_FRAME:
            lab = np.full((32, 32, 3), 50, np.float32)
            lab[3, 3, 0] = self.value
            return RenderedFace(crop, appearance.rgb_from_lab(lab), face.mask)
        return face


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("output", "name"), [("code", "the code"), ("mask", "the mask"), ("face", "a drawn face")]
)
def test_the_engine_names_method_frame_and_output(output: str, name: str, value: float) -> None:
    scene = build_scene(
        make_clip(), make_analysis(), Broken(output, value), {0: None}, SmoothOptions(strength=0)
    )
    done = []
    with pytest.raises(WeightsError, match=name) as caught:
        for item in render_frames(frames(0, 1600), scene, 0, 1600, 1, StageClock()):
            done.append(item.frame.pts)
    bad = (BAD_FRAME + 1) * 40
    assert f"(method probe, frame at {bad / 1000:.3f} s, pts {bad})" in str(caught.value)
    assert "weights verify" in str(caught.value)
    assert caught.value.exit_code == 6
    assert done == list(range(0, bad, 40))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_no_path_turns_them_into_samples(value: float) -> None:
    import torch

    picture = torch.zeros(1, 3, 8, 8)
    assert official.to_uint8(picture).shape == (8, 8, 3)
    picture[0, 1, 2, 3] = value
    with pytest.raises(NotFinite, match="network's face"):
        official.to_uint8(picture)
    lab = np.full((8, 8, 3), 50, np.float32)
    appearance.rgb_from_lab(lab)
    lab[1, 2, 0] = value
    with pytest.raises(NotFinite, match="drawn face"):
        appearance.rgb_from_lab(lab)


def poisoned(original: Callable[..., Any], since: int) -> Callable[..., Any]:
    """``original`` whose result holds a NaN from its call number ``since`` on."""
    calls = SimpleNamespace(count=0)

    def draw(*given: Any) -> Any:
        drawn = original(*given)
        calls.count += 1
        if calls.count >= since:
            drawn[0, 0, 0] = np.nan
        return drawn

    return draw


def test_a_job_stops_before_it_encodes_and_keeps_what_was_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    small_example(clip, 12)
    options = SwapOptions(method="mesh", job=JobOptions(segment_s=0.16, workers=1))
    monkeypatch.setattr(renderer, "_draw", poisoned(renderer._draw, 6))
    with pytest.raises(WeightsError, match=r"method mesh, frame at 0\.200 s") as caught:
        swap_video([EXAMPLES / "source.jpg"], clip, output, options)
    assert "\n" not in str(caught.value)
    assert not output.exists()
    assert len(list(folder_of(output).glob("segment_*.json"))) == 1
    assert len(list(folder_of(output).glob("segment_*.mp4"))) == 1
    monkeypatch.undo()
    swap_video([EXAMPLES / "source.jpg"], clip, output, options)
    assert output.exists()
    assert not folder_of(output).exists()


def test_a_picture_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renderer, "_draw", poisoned(renderer._draw, 1))
    with pytest.raises(WeightsError, match="in the picture"):
        swap_image(
            [EXAMPLES / "source.jpg"],
            EXAMPLES / "source.jpg",
            tmp_path / "out.png",
            SwapOptions(method="mesh"),
        )
    assert not list(tmp_path.iterdir())


def test_identity_network(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from faceswap_cli.identity import embed

    monkeypatch.setattr(embed, "identity_network", lambda: lambda x: torch.full((len(x), 128), torch.nan))
    with pytest.raises(WeightsError, match=r"embedding of a face.*identity network"):
        embed.embed_chips(np.zeros((1, 150, 150, 3), np.uint8))


def test_sound_numbers_pass_unchanged() -> None:
    values = np.arange(6, dtype=np.float32)
    with told("(nowhere)"):
        assert finite(values, "x") is values
