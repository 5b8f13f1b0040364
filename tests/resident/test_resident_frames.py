"""Whole frames: those that stay on the device beside those that the host draws."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from faceswap_cli.config import EditOptions, JobOptions, PasteOptions, PreserveOptions, SwapOptions
from faceswap_cli.errors import DeviceError, WeightsError
from faceswap_cli.nets.fslsd256 import Fslsd256
from faceswap_cli.nets.fslsd256_encoders import PRESETS
from faceswap_cli.pipeline import swap_video
from faceswap_cli.resident import choice, finish, measure, render
from faceswap_cli.resident.choice import FORCE, why_on_host
from faceswap_cli.resident.finish import Faces
from faceswap_cli.resident.render import stages_on_device
from faceswap_cli.swap.engine import Scene, StageClock, Swapped, centred
from faceswap_cli.swap.fslsd256_weights import Calls
from faceswap_cli.swap.lane import SEEN_BEFORE, Replayed, Work
from faceswap_cli.swap.methods.fslsd256 import Fslsd256Method
from faceswap_cli.swap.methods.mesh import build_mesh
from faceswap_cli.swap.selective import Selection
from faceswap_cli.training.export import export_weights
from tests.resident.made import (
    Nowhere,
    clip_of,
    decibels,
    frames_of,
    made_scene,
    method_with,
    on_device,
    rendered,
    spoken_frames,
    track_of,
)
from tests.swap.test_lane import Recorder

EXAMPLE = Path(__file__).parents[2] / "examples"
SIDE = 240
STEPS = (measure._look_of, finish._first_of, finish._last_of)
"""What makes the calls that are recorded"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("weights") / "net.safetensors"
    export_weights(Fslsd256(PRESETS["tiny"]), path, 0)
    return path


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)], scope="module")
def device(request: pytest.FixtureRequest) -> str:
    return on_device(request.param)


def alone(method: Fslsd256Method, bits: int = 8, step: tuple[int, int] = (2, 2)) -> tuple[Scene, list]:
    """Somebody who speaks and blinks."""
    pictures, meshes = spoken_frames(SIDE)
    scene = made_scene(method, [track_of(0, 0, meshes)], clip_of(SIDE, SIDE, len(pictures), bits))
    return scene, frames_of(pictures, bits, step)


def crowd(method: Fslsd256Method, count: int = 4) -> tuple[Scene, list]:
    """Two people side by side, a third, smaller one in front of the second; one fades."""
    pictures, meshes = spoken_frames(SIDE, count)
    small, small_meshes = spoken_frames(112, count)
    wide = [np.concatenate([one, one], axis=1) for one in pictures]
    for one, more in zip(wide, small, strict=True):
        one[120:232, 300:412] = more
    shift = np.array([SIDE, 0, 0], np.float32)
    tracks = [
        track_of(0, 0, meshes),
        track_of(1, 1, [p + shift for p in meshes], 0.6),
        track_of(2, 2, [p + np.array([300, 120, 0], np.float32) for p in small_meshes]),
    ]
    return made_scene(method, tracks, clip_of(2 * SIDE, SIDE, len(wide)), people=3), frames_of(wide)


def assert_alike(found: Sequence[Swapped], wanted: Sequence[Swapped], unit: int = 1) -> None:
    """45 dB and more, all but a few samples within a level, and the same told of it."""
    for one, other in zip(found, wanted, strict=True):
        for name in ("y", "cb", "cr"):
            ours, theirs, old = (getattr(x.planes, name) for x in (one.frame, other.frame, other.original))
            assert ours.dtype == theirs.dtype
            assert decibels(ours / unit, theirs / unit) > 52
            changed = (theirs != old) | (ours != old)
            assert changed.mean() > 0.05
            off = np.abs(ours[changed].astype(int) - theirs[changed]) / unit
            assert (off <= 1).mean() > 0.98
            assert off.max() <= 8
            np.testing.assert_array_equal(getattr(one.original.planes, name), old)
        assert one.faces == other.faces
        for row, same in zip(one.ledger, other.ledger, strict=True):
            assert row.mask_area == pytest.approx(same.mask_area, rel=0.01)
            assert row.occluded == pytest.approx(same.occluded, abs=0.01)
            assert replace(row, mask_area=0.0, occluded=0.0) == replace(same, mask_area=0.0, occluded=0.0)


@pytest.mark.parametrize(
    ("bits", "step", "occlusion"), [(8, (2, 2), True), (8, (1, 1), False), (10, (2, 2), False)]
)
def test_frames_are_those_of_the_host(
    weights: Path, device: str, bits: int, step: tuple[int, int], occlusion: bool
) -> None:
    method = method_with(weights, device, occlusion)
    scene, frames = alone(method, bits, step)
    found = rendered(frames, scene, stages_on_device(method))
    assert_alike(found, rendered(frames, scene, None), 1 << (bits - 8))


def test_frames_that_are_turned_for_display(weights: Path, device: str) -> None:
    method = method_with(weights, device)
    pictures, meshes = spoken_frames(SIDE)
    stored = [np.ascontiguousarray(np.rot90(rgb, -1)) for rgb in pictures]
    clip = replace(clip_of(SIDE, SIDE, len(pictures)), rotation=90)
    scene = made_scene(method, [track_of(0, 0, meshes)], clip)
    found = rendered(frames_of(stored), scene, stages_on_device(method))
    assert_alike(found, rendered(frames_of(stored), scene, None))


def test_people_who_were_looked_at_first(weights: Path) -> None:
    """A correction of what is asked for moves the drawn features here as it does there."""
    method = method_with(weights, "cpu")
    scene, frames = alone(method)
    lower = np.zeros((478, 3), np.float32)
    lower[:, 1] = 0.05
    fixed = replace(scene, prepared={0: replace(scene.prepared[0], correction=lower)})
    found = rendered(frames, fixed, stages_on_device(method))
    assert_alike(found, rendered(frames, fixed, None))
    plain = rendered(frames, scene, stages_on_device(method))
    assert (plain[0].frame.planes.y != found[0].frame.planes.y).mean() > 0.02


def test_a_frame_smaller_than_any_step(weights: Path, device: str) -> None:
    """48 pixels: all of it lies under the crop, which shows its mirror images besides."""
    method = method_with(weights, device, occlusion=False)
    pictures, meshes = spoken_frames(48, 2)
    scene = made_scene(method, [track_of(0, 0, meshes)], clip_of(48, 48, 2))
    found = rendered(frames_of(pictures), scene, stages_on_device(method))
    assert_alike(found, rendered(frames_of(pictures), scene, None))


def test_several_people_in_several_sizes(weights: Path, device: str) -> None:
    """Each has a source of his own, a crop of his own size, and lies behind or before others."""
    method = method_with(weights, device)
    scene, frames = crowd(method)
    assert len(set(scene.sides.values())) == 2
    found = rendered(frames, scene, stages_on_device(method), workers=3)
    assert_alike(found, rendered(frames, scene, None))
    assert all(item.faces == 3 for item in found)


def test_a_face_does_not_depend_on_its_batch(weights: Path, device: str) -> None:
    one, many = (method_with(weights, device, batch=n) for n in (1, 4))
    scene, frames = alone(one)
    single = rendered(frames, scene, stages_on_device(one))
    together = rendered(frames, replace(scene, method=many), stages_on_device(many))
    for item, other in zip(single, together, strict=True):
        off = np.abs(item.frame.planes.y.astype(int) - other.frame.planes.y)
        assert (off > 1).mean() < 1e-4
        assert off.max() <= 3


def test_frames_without_a_face_keep_their_planes(weights: Path) -> None:
    method = method_with(weights, "cpu")
    pictures, meshes = spoken_frames(SIDE)
    scene = made_scene(method, [track_of(0, 0, meshes[:2])], clip_of(SIDE, SIDE, 4))
    frames = frames_of(pictures)
    found = rendered(frames, scene, stages_on_device(method))
    assert [item.faces for item in found] == [1, 1, 0, 0]
    assert all(item.frame.planes is frame.planes for item, frame in zip(found[2:], frames[2:], strict=True))
    assert not (found[0].frame.planes.y == frames[0].planes.y).all()


def test_a_covered_face_is_told_as_covered(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = method_with(weights, "cpu")
    scene, frames = alone(method)
    monkeypatch.setattr(finish.front, "front_map", lambda target, *rest: torch.ones_like(target[:, :1]))
    found = rendered(frames[:2], scene, stages_on_device(method))
    for item, frame in zip(found, frames, strict=False):
        np.testing.assert_array_equal(item.frame.planes.y, frame.planes.y)
        (row,) = item.ledger
        assert (row.swapped, row.reason, row.mask_area) == (False, "covered", 0.0)
        assert row.occluded == pytest.approx(1.0)


def test_numbers_that_are_none_name_their_frame(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = method_with(weights, "cpu")
    scene, frames = alone(method)
    real = finish.draw

    def broken(how: Fslsd256Method, person: Any, crops: torch.Tensor, *rest: Any) -> Faces:
        made = real(how, person, crops, *rest)
        told = made.told.clone()
        told[:, 0] = torch.tensor([float(not torch.equal(crop, spoiled)) for crop in crops])
        return replace(made, told=told)

    stages = stages_on_device(method)
    encoded = stages.begin(frames, scene, StageClock())
    spoiled = encoded[2].crops[0].rgb
    monkeypatch.setattr(render, "draw", broken)
    with pytest.raises(WeightsError, match=r"not finite.*pts 80"):
        stages.finish(list(centred(encoded, 2)), scene, StageClock())


def test_the_network_is_looked_at_for_numbers(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = method_with(weights, "cpu")
    scene, frames = alone(method)
    real = finish.calls_of

    def spoiled(net: Fslsd256, device: str) -> Calls:
        calls = real(net, device)
        return replace(calls, plain_face=lambda *inputs: calls.plain_face(*inputs) * math.nan)

    monkeypatch.setattr(finish, "calls_of", spoiled)
    finish._first_of.cache_clear()
    with pytest.raises(WeightsError, match="not finite"):
        rendered(frames, scene, stages_on_device(method))
    finish._first_of.cache_clear()


def test_what_does_not_fit_is_halved(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = method_with(weights, "cpu", batch=4)
    scene, frames = alone(method)
    wanted = rendered(frames, scene, stages_on_device(method))
    real, sizes = finish.draw, []

    def scarce(how: Fslsd256Method, person: Any, crops: torch.Tensor, *rest: Any) -> Faces:
        sizes.append(len(crops))
        if len(crops) > most:
            raise torch.OutOfMemoryError("CUDA out of memory (made up)")
        return real(how, person, crops, *rest)

    most = 2
    monkeypatch.setattr(render, "draw", scarce)
    found = rendered(frames, scene, stages_on_device(method))
    assert sizes[:3] == [4, 2, 2]
    for one, other in zip(found, wanted, strict=True):
        assert np.abs(one.frame.planes.y.astype(int) - other.frame.planes.y).max() <= 3
    most = 0
    with pytest.raises(DeviceError, match="out of memory"):
        rendered(frames, scene, stages_on_device(method))


def test_what_is_recorded_draws_what_is_called(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording does the same kernels on other numbers: nothing in it hangs on those it was made with."""
    method = method_with(weights, "cpu", batch=1)
    pictures, meshes = spoken_frames(SIDE, SEEN_BEFORE + 4)
    scene = made_scene(method, [track_of(0, 0, meshes)], clip_of(SIDE, SIDE, len(pictures)))
    frames = frames_of(pictures)
    wanted = rendered(frames, scene, stages_on_device(method))
    recorders: list[Recorder] = []

    def taped(work: Work, device: str) -> Replayed:
        recorders.append(Recorder())
        return Replayed(work, recorders[-1])

    for module in (measure, finish):
        monkeypatch.setattr(module, "replayed", taped)
    for cache in STEPS:
        cache.cache_clear()
    found = rendered(frames, scene, stages_on_device(method))
    for cache in STEPS:
        cache.cache_clear()
    assert [len(recorder.made) for recorder in recorders] == [1, 1, 1]
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one.frame.planes.y, other.frame.planes.y)
        assert one.ledger == other.ledger


@pytest.mark.gpu
def test_a_card_records_the_steps_and_waits_for_nothing_else(weights: Path) -> None:
    method = method_with(weights, on_device("cuda"), batch=1)
    pictures, meshes = spoken_frames(SIDE, SEEN_BEFORE + 4)
    scene = made_scene(method, [track_of(0, 0, meshes)], clip_of(SIDE, SIDE, len(pictures)))
    frames, stages = frames_of(pictures), stages_on_device(method)
    first = rendered(frames, scene, stages)
    tables = render.tables_on(method.device)
    steps = (
        measure._look_of(method.net(), method.device, tables),
        finish._first_of(method.net(), method.device, tables),
        finish._last_of(method.device, method.crop_scale, tables),
    )
    for step in steps:
        assert isinstance(step, Replayed)
        assert step._usable, "the step could not be recorded: see the log"
        assert step._known
    torch.cuda.set_sync_debug_mode("error")
    try:
        again = rendered(frames, scene, stages)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for one, other in zip(again, first, strict=True):
        assert np.abs(one.frame.planes.y.astype(int) - other.frame.planes.y).max() <= 2


class Watched(TorchDispatchMode):
    """Operations that read numbers back or take them from the host, or whose sizes depend on numbers."""

    ASK = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "equal.", "where.Scalar", "linalg")

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        here = any(isinstance(x, torch.Tensor) and x.device.type == "meta" for x in args)
        if here and any(word in str(func) for word in self.ASK):
            self.asked.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.fixture
def nowhere(weights: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fslsd256Method]:
    """A method on a device that keeps shapes only; the network's calls, which are recorded, are made up."""
    method = method_with(weights, "cpu", batch=4)
    net, rows = (
        method.net(),
        method.unpacked(np.zeros(np.shape(method.smoothing.beta), np.float32)).rows.shape,
    )

    def style(erased: torch.Tensor) -> torch.Tensor:
        return torch.empty(len(erased), *rows, device="meta")

    def face(*inputs: torch.Tensor) -> torch.Tensor:
        assert all(x.device.type == "meta" for x in inputs)
        return torch.empty(len(inputs[-1]), 256, 256, 3, device="meta")

    for module in (measure, finish):
        monkeypatch.setattr(module, "calls_of", lambda net, device: Calls(style, face, style, face))
    monkeypatch.setattr(method, "net", lambda person=None: net)
    method.device, method.lane = "meta", Nowhere("meta")
    yield method
    for cache in (render.tables_on, finish._person_on, finish.front.ready_head, *STEPS):
        cache.cache_clear()


def test_nothing_on_the_way_asks_the_device_for_a_number(nowhere: Fslsd256Method, weights: Path) -> None:
    """A tensor that was left on the host, or a question for a number, raises on a device without memory."""
    scene, frames = crowd(method_with(weights, "cpu"), count=2)
    scene, stages = replace(scene, method=nowhere), stages_on_device(nowhere)
    with Watched() as watched:
        encoded = stages.begin(frames, scene, StageClock())
        done = stages.finish(list(centred(encoded, 2)), scene, StageClock())
    assert watched.asked == []
    assert len(done) == len(frames)
    assert encoded[0].crops[0].rgb.device.type == "meta"


def test_a_question_for_a_number_would_be_seen() -> None:
    with Watched() as watched, pytest.raises(RuntimeError, match="meta"):
        torch.ones(2, device="meta").sum().item()
    assert watched.asked


@pytest.mark.parametrize(
    ("selection", "why"),
    [
        (Selection(), ""),
        (Selection(preserve=PreserveOptions(shape=0.5)), ""),
        (Selection(preserve=PreserveOptions(mouth=0.5)), "--preserve"),
        (Selection(strength=0.5), "--strength"),
        (Selection(edits=EditOptions(smile=0.5)), "--edit"),
    ],
)
def test_what_only_the_host_can_do_is_left_to_it(
    weights: Path, monkeypatch: pytest.MonkeyPatch, selection: Selection, why: str
) -> None:
    monkeypatch.setenv(FORCE, "1")
    scene, _ = alone(method_with(weights, "cpu"))
    assert why_on_host(replace(scene, selection=selection)) == why


def test_other_reasons_for_the_host(
    weights: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv(FORCE, raising=False)
    scene, _ = alone(method_with(weights, "cpu"))
    assert "cpu" in why_on_host(scene)
    on_card = replace(scene, method=method_with(weights, "cpu"))
    on_card.method.device = "cuda:0"  # type: ignore[attr-defined]
    assert why_on_host(on_card) == ""
    monkeypatch.setenv(FORCE, "0")
    assert FORCE in why_on_host(on_card)
    monkeypatch.setenv(FORCE, "1")
    assert "bits" in why_on_host(replace(scene, clip=replace(scene.clip, bit_depth=16)))
    assert "odd" in why_on_host(replace(scene, clip=replace(scene.clip, width=241)))
    assert "identity" in why_on_host(replace(scene, source_embeddings={0: np.zeros(128, np.float32)}))
    plain = build_mesh(JobOptions(), PasteOptions())
    assert why_on_host(replace(scene, method=plain)) == "the device is the processor"
    choice._told.clear()
    with caplog.at_level(logging.INFO, "faceswap_cli.resident.choice"):
        assert choice.stages_for(replace(scene, method=plain)) is None
        assert choice.stages_for(scene) is not None
        assert choice.stages_for(scene) is not None
    assert [r.message for r in caplog.records] == [
        "frames are drawn on the host: the device is the processor",
        "frames stay on the device",
    ]


def example(tmp_path: Path, name: str, device: str) -> Path:
    out = tmp_path / name
    options = SwapOptions(method="fslsd")
    options = replace(
        options,
        job=replace(options.job, device=device, workers=1, batch=3),
        range=replace(options.range, end="9f"),
        encode=replace(options.encode, lossless=True),
    )
    report = swap_video([EXAMPLE / "source.jpg"], EXAMPLE / "target.mp4", out, options)
    assert report.faces_swapped == report.frames == 9
    return out


@pytest.mark.slow
def test_a_clip_from_file_to_file(tmp_path: Path, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from faceswap_cli.video.probe import probe
    from faceswap_cli.video.reader import read_frames

    found = []
    for forced in ("0", "1"):
        monkeypatch.setenv(FORCE, forced)
        out = example(tmp_path, f"{forced}.mkv", device)
        found.append([frame.planes.y for frame in read_frames(probe(out))])
    for host, there in zip(*found, strict=True):
        assert decibels(there, host) > 50
        assert (there != host).any()
