"""Calls of networks are recorded and replayed, and nothing on their way asks the device for numbers."""

from __future__ import annotations

import pickle
import threading
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from faceswap_cli.nets import fslsd as official_nets
from faceswap_cli.nets.fslsd256 import Fslsd256, blank_scene
from faceswap_cli.nets.fslsd256_encoders import PRESETS
from faceswap_cli.swap import lane
from faceswap_cli.swap.fslsd256_weights import calls_of
from faceswap_cli.swap.lane import RECORDED, SEEN_BEFORE, Lane, Recording, Replayed, Work


@dataclass
class Tape:
    """What a CUDA graph does: the same kernels on the arguments it was made with, into the same memory."""

    work: Work
    inputs: tuple[Tensor, ...]
    output: Tensor

    def run(self, inputs: tuple[Tensor, ...]) -> Tensor:
        for own, given in zip(self.inputs, inputs, strict=True):
            own.copy_(given)
        self.output.copy_(self.work(*self.inputs))
        return self.output.clone()


class Recorder:
    def __init__(self, error: Exception | None = None) -> None:
        self.made: list[Tape] = []
        self.error = error

    def record(self, work: Work, inputs: tuple[Tensor, ...]) -> Recording:
        if self.error is not None:
            raise self.error
        own = tuple(x.clone() for x in inputs)
        self.made.append(Tape(work, own, work(*own)))
        return self.made[-1]


def product(a: Tensor, b: Tensor) -> Tensor:
    return a @ b


def test_what_comes_often_is_recorded_and_the_results_are_the_callers() -> None:
    recorder = Recorder()
    call = Replayed(product, recorder)
    kept = []
    for k in range(SEEN_BEFORE + 3):
        a, b = torch.full((2, 3), float(k)), torch.ones(3, 4)
        kept.append((k, call(a, b)))
        assert len(recorder.made) == (k >= SEEN_BEFORE)
    for k, found in kept:
        assert torch.equal(found, torch.full((2, 4), 3.0 * k))


def test_other_shapes_and_formats_are_other_recordings() -> None:
    for kinds in ([(2, torch.float32), (3, torch.float32)], [(2, torch.float32), (2, torch.float64)]):
        recorder = Recorder()
        call = Replayed(product, recorder)
        for size, dtype in kinds:
            for _ in range(SEEN_BEFORE + 2):
                x = torch.randn(size, size, dtype=dtype)
                assert torch.equal(call(x, x), x @ x)
        assert len(recorder.made) == len(kinds) == RECORDED


def test_few_are_kept_and_those_that_come_most() -> None:
    recorder = Recorder()
    call = Replayed(product, recorder)
    for _ in range(12):
        for size in range(2, 2 + RECORDED + 3):  # in turn: each as often as the others
            x = torch.randn(size, size)
            assert torch.equal(call(x, x), x @ x)
    assert len(recorder.made) == len(call._known) == RECORDED
    for _ in range(30):
        x = torch.randn(9, 9)
        assert torch.equal(call(x, x), x @ x)
    assert len(recorder.made) == RECORDED + 1
    assert len(call._known) == RECORDED
    assert any(shape == (9, 9) for shapes in call._known for shape, _ in shapes)


def test_what_cannot_be_recorded_is_called_as_usual() -> None:
    recorder = Recorder(RuntimeError("operation not permitted when stream is capturing"))
    call = Replayed(product, recorder)
    x = torch.eye(3)
    for _ in range(SEEN_BEFORE + 3):
        assert torch.equal(call(x, x), x)
    assert not call._usable


def test_lack_of_memory_is_raised_and_frees_the_recordings() -> None:
    recorder = Recorder()

    def work(a: Tensor, b: Tensor) -> Tensor:
        if len(a) > 8:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return a @ b

    call = Replayed(work, recorder)
    x = torch.eye(8)
    for _ in range(SEEN_BEFORE + 1):
        call(x, x)
    assert len(call._known) == 1
    with pytest.raises(torch.OutOfMemoryError):
        call(torch.eye(9), torch.eye(9))
    assert not call._known
    recorder.error = torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(torch.OutOfMemoryError):
        for _ in range(SEEN_BEFORE + 1):
            call(x, x)
    assert call._usable


def test_threads_get_their_own_results() -> None:
    call = Replayed(product, Recorder())
    wrong: list[int] = []

    def often(k: int) -> None:
        x = torch.full((4, 4), float(k))
        wrong.extend(k for _ in range(50) if not torch.equal(call(x, torch.eye(4)), x))

    threads = [threading.Thread(target=often, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_lane_takes_arguments_there_and_brings_results_back() -> None:
    x = torch.randn(3, 3)
    assert torch.equal(Lane("cpu").call(product, x, x), x @ x)
    # The "meta" device keeps shapes only: the copies there are real, the way back is not.
    with pytest.raises((NotImplementedError, RuntimeError)):
        Lane("meta").call(product, x, x)
    assert pickle.loads(pickle.dumps(Lane("cuda:1"))).device == "cuda:1"
    assert lane.replayed(product, "cpu") is product
    assert isinstance(lane.replayed(product, "cuda:0"), Replayed)


class Watched(TorchDispatchMode):
    """Names of the operations that read numbers back, or whose sizes depend on numbers."""

    ASK = ("_local_scalar_dense", "nonzero", "item", "masked_select", "unique", "equal.")

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.all = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.all += 1
        name = str(func)
        self.asked += [name] if any(word in name for word in self.ASK) else []
        return func(*args, **(kwargs or {}))


def test_nothing_asks_the_device_on_the_way_to_a_face() -> None:
    torch.manual_seed(2)
    net = Fslsd256(PRESETS["tiny"]).eval().requires_grad_(False)
    fields = blank_scene(2).apply(torch.rand_like)
    rgb, z = torch.rand(1, 3, 256, 256), torch.rand(1, 128)
    with torch.inference_mode():
        source = net.encode_source(rgb, z)
        maps = [source.maps[side] for side in sorted(source.maps)]
        calls = calls_of(net, "cpu")
        with Watched() as watched:
            rows = calls.style(fields.erased)
            face = calls.face(rgb, source.w, z, *maps, rows, *fields.tensors())
    assert face.shape == (2, 256, 256, 3)
    assert watched.all > 200
    assert not watched.asked


def test_nothing_asks_the_device_for_points() -> None:
    encoder = official_nets.LandmarkEncoder().eval().requires_grad_(False)
    points = torch.rand(2, 212, 2) * 300 - 20  # some lie outside
    with torch.inference_mode(), Watched() as watched:
        encoder.from_points(points)
    assert watched.all > 20
    assert not watched.asked
