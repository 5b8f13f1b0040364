"""What only a machine with an accelerator can show; ``pytest -m gpu`` there.

With FACESWAP_REQUIRE_GPU=1 a missing device is a failure instead of a skipped test.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn import crop, identity, mesh_points, photo, picture
from torch import Tensor

from faceswap_cli.config import JobOptions, PasteOptions, SwapOptions
from faceswap_cli.pipeline import swap_video
from faceswap_cli.swap import lane
from faceswap_cli.swap.batches import in_batches
from faceswap_cli.swap.fslsd256_weights import calls_of
from faceswap_cli.swap.lane import SEEN_BEFORE, CudaRecorder, Lane, Replayed
from faceswap_cli.swap.method import Task
from faceswap_cli.swap.methods.fslsd256 import Fslsd256Method, build_fslsd256

pytestmark = pytest.mark.gpu
EXAMPLE = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def device() -> str:
    if torch.cuda.is_available():
        return "cuda:0"
    if os.environ.get("FACESWAP_REQUIRE_GPU") == "1":
        pytest.fail("FACESWAP_REQUIRE_GPU is set and there is no CUDA device")
    pytest.skip("no CUDA device")


@contextmanager
def waits_are_errors() -> Iterator[None]:
    """Whatever waits for the device without having been told to raises."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def tasks_for(method: Fslsd256Method, count: int) -> list[Task]:
    points = mesh_points()
    person = method.prepare(identity(photo(picture(points, (150, 110, 90), seed=1), points)))
    targets = [crop(picture(points, seed=k), points, 288) for k in range(count)]
    codes = method.encode_batch([Task(person, target) for target in targets])
    return [Task(person, target, code) for target, code in zip(targets, codes, strict=True)]


def method_on(device: str, batch: int = 4) -> Fslsd256Method:
    return build_fslsd256(JobOptions(device=device, batch=batch), PasteOptions(occlusion=False))


def test_replayed_faces_are_those_of_plain_calls(device: str) -> None:
    method = method_on(device)
    tasks = tasks_for(method, 4)
    runs = [method.render_batch(tasks) for _ in range(SEEN_BEFORE + 3)]
    calls = calls_of(method.net(), device)
    assert isinstance(calls.face, Replayed)
    assert calls.face._usable, "the network could not be recorded: see the log"
    assert calls.face._known
    for faces in runs[1:]:
        for one, first in zip(faces, runs[0], strict=True):
            assert np.abs(one.rgb.astype(int) - first.rgb.astype(int)).max() <= 1


def test_a_recording_follows_its_arguments(device: str) -> None:
    def work(a: Tensor, b: Tensor) -> Tensor:
        return torch.tanh(a @ b)

    call = Replayed(work, CudaRecorder())
    with torch.inference_mode():
        for k in range(SEEN_BEFORE + 4):
            a = torch.full((64, 64), 0.01 * k, device=device)
            b = torch.eye(64, device=device)
            torch.testing.assert_close(call(a, b), torch.tanh(a))
    assert call._usable
    assert len(call._known) == 1


def test_nothing_waits_between_upload_and_result(device: str) -> None:
    method = method_on(device)
    tasks = tasks_for(method, 4)
    net = method.net()
    for _ in range(SEEN_BEFORE + 2):  # recordings are made, and wait, in the first calls
        method.render_batch(tasks)
    calls = calls_of(net, device)
    shapes = next(iter(calls.face._known))  # type: ignore[attr-defined]
    inputs = [torch.rand(shape, device=device).to(dtype) for shape, dtype in shapes]
    torch.cuda.synchronize()
    with torch.inference_mode(), waits_are_errors():
        calls.face(*inputs)


def test_threads_draw_side_by_side(device: str) -> None:
    method = method_on(device, 2)
    tasks = tasks_for(method, 2)
    first = method.render_batch(tasks)
    found: list[int] = []

    def often() -> None:
        for _ in range(8):
            for one, other in zip(method.render_batch(tasks), first, strict=True):
                found.append(int(np.abs(one.rgb.astype(int) - other.rgb.astype(int)).max()))

    threads = [threading.Thread(target=often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 64
    assert max(found) <= 1


def test_the_device_draws_what_the_processor_draws(device: str) -> None:
    here, there = method_on("cpu"), method_on(device)
    wanted = here.render_batch(tasks_for(here, 3))
    found = in_batches(there.render_batch, tasks_for(there, 3), there.batches)
    for one, other in zip(found, wanted, strict=True):
        error = np.square(one.rgb.astype(np.float64) - other.rgb).mean()
        assert 10 * np.log10(255**2 / max(error, 1e-9)) > 45


def test_a_lane_uploads_and_brings_back(device: str) -> None:
    x = torch.randn(256, 256)
    with torch.inference_mode():
        found = Lane(device).call(lambda a, b: a + b, x, x.to(device))
    assert found.device.type == "cpu"
    assert torch.equal(found, 2 * x)


def test_lack_of_memory_in_a_recording_halves_the_batch(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method = method_on(device, 8)
    tasks = tasks_for(method, 8)
    record = CudaRecorder.record

    def scarce(self: CudaRecorder, work: lane.Work, inputs: tuple[Tensor, ...]) -> lane.Recording:
        if len(inputs[-1]) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory (made up)")
        return record(self, work, inputs)

    monkeypatch.setattr(CudaRecorder, "record", scarce)
    for _ in range(2 * SEEN_BEFORE + 3):
        assert len(in_batches(method.render_batch, tasks, method.batches)) == 8
    assert method.batches.size <= 4


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 3], ids=["one process", "three share the device"])
def test_a_clip_from_file_to_file(device: str, workers: int, tmp_path: Path) -> None:
    options = SwapOptions(method="fslsd")
    options = replace(options, job=replace(options.job, device=device, workers=workers))
    report = swap_video([EXAMPLE / "source.jpg"], EXAMPLE / "target.mp4", tmp_path / "out.mp4", options)
    assert report.frames == report.frames_with_swap
    assert report.faces_swapped >= report.frames
