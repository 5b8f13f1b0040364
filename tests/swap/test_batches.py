"""Several faces at a time: the same pixels whatever the batch, also when memory runs out on the way."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from drawn import crop, identity, mesh_points, photo, picture

from faceswap_cli.config import JobOptions, PasteOptions, SmoothOptions
from faceswap_cli.errors import DeviceError, WeightsError
from faceswap_cli.nets.fslsd256 import Fslsd256
from faceswap_cli.nets.fslsd256_encoders import PRESETS
from faceswap_cli.records import RenderedFace
from faceswap_cli.swap import fslsd256_weights
from faceswap_cli.swap.batches import BESIDE_OTHERS, MOST, Batches, CudaMeter, batches_for, in_batches
from faceswap_cli.swap.engine import StageClock, build_scene, render_frames
from faceswap_cli.swap.method import BatchMethod, Task
from faceswap_cli.swap.methods.fslsd256 import Fslsd256Method
from faceswap_cli.training.export import export_weights
from tests.swap.test_engine import LENGTH, Probe, frames, make_analysis, make_clip

T = TypeVar("T")


class Many(Probe):
    """The test method in batches; a device that holds ``fits`` faces at a time."""

    def __init__(self, size: int, fits: int = 1000) -> None:
        self.batches, self.fits = Batches(size), fits
        self.sizes: list[int] = []

    def encode_batch(self, tasks: Sequence[Task]) -> list[np.ndarray]:
        return [self.encode(task.prepared, task.crop) for task in tasks]

    def render_batch(self, tasks: Sequence[Task]) -> list[RenderedFace]:
        self.sizes.append(len(tasks))
        if len(tasks) > self.fits:
            raise torch.OutOfMemoryError(f"tried to allocate {len(tasks)} faces")
        return [self.render(task.prepared, task.crop, task.code, task.seed) for task in tasks]


def rendered(method: Any, workers: int = 1) -> list[bytes]:
    scene = build_scene(make_clip(), make_analysis(), method, {0: None}, SmoothOptions(code_radius=5))
    end = LENGTH * 40
    done = render_frames(frames(0, end), scene, 0, end, workers, StageClock())
    planes = [item.frame.planes for item in done]
    return [p.y.tobytes() + p.cb.tobytes() + p.cr.tobytes() for p in planes]


@pytest.fixture(scope="module")
def one_by_one() -> list[bytes]:
    assert not isinstance(Probe(), BatchMethod)
    return rendered(Probe())


@pytest.mark.parametrize(("size", "workers"), [(1, 1), (3, 1), (8, 3), (32, 2)])
def test_pixels_do_not_depend_on_the_batch(one_by_one: list[bytes], size: int, workers: int) -> None:
    method = Many(size)
    assert isinstance(method, BatchMethod)
    assert rendered(method, workers) == one_by_one
    assert max(method.sizes) == min(size, max(method.sizes))
    assert size == 1 or max(method.sizes) > 1


@pytest.mark.parametrize("fits", [5, 3, 1])
def test_out_of_memory_halves_the_batch_and_goes_on(one_by_one: list[bytes], fits: int) -> None:
    method = Many(8, fits)
    assert rendered(method) == one_by_one
    refused = [size for size in method.sizes if size > fits]
    assert refused == sorted(refused, reverse=True)
    assert refused[0] > fits
    assert method.batches.size <= fits
    assert method.batches.size * 2 > fits / 2


def test_one_face_that_does_not_fit_ends_in_one_line() -> None:
    with pytest.raises(DeviceError, match=r"single face.*--device cpu"):
        rendered(Many(8, 0))


def test_other_errors_of_a_device_are_not_taken_for_memory() -> None:
    def work(items: Sequence[int]) -> list[int]:
        raise RuntimeError("an illegal instruction was met")

    with pytest.raises(RuntimeError, match="illegal"):
        in_batches(work, [1, 2], Batches(2))


def test_numbers_that_are_none_are_told_with_their_frame() -> None:
    class Poisoned(Many):
        def encode(self, prepared: None, crop: Any) -> np.ndarray:
            code = super().encode(prepared, crop)
            self.seen.append(float(code[0]))
            return code * np.nan if float(code[0]) == self.bad else code

        bad = -1.0
        seen: list[float] = []  # noqa: RUF012

    method = Poisoned(8)
    rendered(method)
    method.bad = method.seen[9]
    with pytest.raises(WeightsError, match=r"frame at 0\.440 s, pts 440"):
        rendered(method)


class Scales:
    """A meter for tests: every face takes 10 of 200 bytes."""

    def __init__(self) -> None:
        self.asked = 0

    def taken(self, work: Callable[[], T]) -> tuple[T, int]:
        self.asked += 1
        return work(), 10

    def room(self) -> int:
        return 200


def test_the_first_face_tells_how_many_fit() -> None:
    scales, sizes = Scales(), []

    def work(items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        return [2 * k for k in items]

    batches = Batches(1, scales)
    assert in_batches(work, range(40), batches) == [2 * k for k in range(40)]
    assert (sizes[0], batches.size, scales.asked) == (1, 12, 1)
    assert max(sizes[1:]) == 12
    assert Batches(10**6).size == MOST


def test_batches_travel_to_other_processes() -> None:
    again = pickle.loads(pickle.dumps(Batches(6)))
    again.too_many(6)
    assert again.size == 3


def test_the_device_and_its_sharing_set_the_batch() -> None:
    assert batches_for("cpu", JobOptions(batch=8)).size == 1
    assert batches_for("mps", JobOptions()).size == 1
    assert batches_for("cuda:0", JobOptions(batch=8)).size == 8
    alone, shared = (batches_for("cuda:0", JobOptions(workers=n)) for n in (1, 4))
    assert alone._meter is not None
    assert (shared._meter, shared.size) == (None, BESIDE_OTHERS)
    assert batches_for("cuda:0", JobOptions(workers=4, batch=2)).size == 2


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("weights") / "net.safetensors"
    export_weights(Fslsd256(PRESETS["tiny"]), path, 0)
    return path


def tasks_for(method: Fslsd256Method) -> list[Task]:
    """Two people, three targets, one of them dark (the network sees it brightened)."""
    points = mesh_points()
    people = [method.prepare(identity(photo(picture(points, seed=k), points))) for k in (1, 2)]
    pictures = [picture(points), picture(points, seed=5), (picture(points) * 0.12).astype(np.uint8)]
    targets = [crop(rgb, points, side) for rgb, side in zip(pictures, (256, 320, 256), strict=True)]
    tasks = [Task(people[k % 2], target, seed=k) for k, target in enumerate(targets)]
    codes = method.encode_batch(tasks)
    return [Task(t.prepared, t.crop, code, t.seed) for t, code in zip(tasks, codes, strict=True)]


@pytest.mark.parametrize(("half", "most", "mean"), [(False, 1, 0.03), (True, 3, 0.3)])
def test_the_network_draws_each_face_as_if_it_were_alone(
    weights: Path, monkeypatch: pytest.MonkeyPatch, half: bool, most: int, mean: float
) -> None:
    """In bfloat16 sums are rounded in another order: two levels here and there.

    The refiner sees bytes: where one is rounded the other way, a face changes by hundredths of a level.
    """
    monkeypatch.setattr(fslsd256_weights, "half_precision", lambda device: half)
    fslsd256_weights.ready_net.cache_clear()
    method = Fslsd256Method(JobOptions(device="cpu", batch=8), PasteOptions(), weights)
    assert isinstance(method, BatchMethod)
    assert method.batches.size == 1  # on a processor that is quickest, and the same to the bit
    tasks = tasks_for(method)
    for task, together in zip(tasks, method.render_batch(tasks), strict=True):
        alone = method.render(task.prepared, task.crop, method.encode(task.prepared, task.crop), task.seed)
        difference = np.abs(alone.rgb.astype(int) - together.rgb.astype(int))
        assert difference.max() <= most
        assert difference.mean() < mean
        assert np.abs(alone.mask - together.mask).max() < 1e-3
    fslsd256_weights.ready_net.cache_clear()


@pytest.mark.gpu
def test_on_a_gpu_the_first_face_sizes_the_batch_and_the_faces_are_those_of_the_cpu(weights: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    here = Fslsd256Method(JobOptions(device="cpu"), PasteOptions(), weights)
    there = Fslsd256Method(JobOptions(device="cuda"), PasteOptions(), weights)
    wanted = here.render_batch(tasks_for(here))
    tasks = tasks_for(there)
    found = in_batches(there.render_batch, tasks, there.batches)
    assert there.batches.size > 1
    for one, other in zip(found, wanted, strict=True):
        assert np.abs(one.rgb.astype(int) - other.rgb.astype(int)).mean() < 1


@pytest.mark.gpu
def test_max_vram_bounds_the_room() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    assert CudaMeter("cuda:0", 64).room() <= 64 << 20
    assert CudaMeter("cuda:0", 0).room() > 64 << 20
