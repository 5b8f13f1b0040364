"""Calls of networks on a device: arguments go there, and results come back, with one wait per call.

Everything before and after the call is computed on the processor, so nothing reads a number back
from the device on the way.  On CUDA the copies are asynchronous from pinned memory, every thread has a stream
of its own (one uploads while another's networks run), and calls of the same shapes are recorded once and
replayed: a network of some hundred small kernels otherwise waits for Python to launch them.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from faceswap_cli.swap.batches import is_out_of_memory

Work = Callable[..., Tensor]
Shapes = tuple[tuple[tuple[int, ...], torch.dtype], ...]

SEEN_BEFORE = 2
"""Calls of the same shapes before they are recorded: the last batch of a clip is seen once."""
RECORDED = 2
"""Recordings kept at a time; each holds the memory of its activations."""
OFTENER = 2
"""One is given up for shapes that have come this many times as often: where several come in turn, recording
each again would take longer than it saves."""
_WARM_UPS = 3
"""Runs before a recording, in which libraries choose their kernels and take their work space."""

_log = logging.getLogger(__name__)


class Recording(Protocol):
    """One call, ready to be made again."""

    def run(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """The result for other ``inputs`` of the same shapes; it belongs to the caller."""


class Recorder(Protocol):
    """Makes recordings for one kind of device."""

    def record(self, work: Work, inputs: tuple[Tensor, ...]) -> Recording: ...


class Replayed:
    """``work``, recorded per shapes of its arguments once they have come a few times.

    ``work`` takes and gives tensors of one device, and does the same kernels whatever they hold.  Where a
    recording fails the call is made as usual, from then on always; running out of memory is raised, after all
    recordings have been dropped.
    """

    def __init__(self, work: Work, recorder: Recorder) -> None:
        self._work, self._recorder = work, recorder
        self._lock = threading.Lock()
        self._seen: Counter[Shapes] = Counter()
        self._known: dict[Shapes, Recording] = {}
        self._usable = True

    def __call__(self, *inputs: Tensor) -> Tensor:
        shapes = tuple((tuple(x.shape), x.dtype) for x in inputs)
        try:
            if self._usable:
                with self._lock:  # a recording has one set of arguments
                    recording = self._recording(shapes, inputs)
                    if recording is not None:
                        return recording.run(inputs)
            return self._work(*inputs)
        except RuntimeError as error:
            if is_out_of_memory(error):
                with self._lock:
                    self._known.clear()
                    self._seen.clear()
            raise

    def _recording(self, shapes: Shapes, inputs: tuple[Tensor, ...]) -> Recording | None:
        self._seen[shapes] += 1
        if shapes in self._known:
            return self._known[shapes]
        if self._seen[shapes] <= SEEN_BEFORE:
            return None
        if len(self._known) >= RECORDED:
            least = min(self._known, key=self._seen.__getitem__)
            if self._seen[shapes] < OFTENER * self._seen[least]:
                return None
            del self._known[least]
        try:
            made = self._recorder.record(self._work, inputs)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            _log.info("networks are called kernel by kernel: they cannot be recorded (%s)", error)
            self._usable = False
            return None
        self._known[shapes] = made
        return made


@dataclass(frozen=True, slots=True, eq=False)
class _CudaGraph:
    graph: Any
    inputs: tuple[Tensor, ...]
    output: Tensor
    free: Any = field(default_factory=lambda: torch.cuda.Event())  # type: ignore[no-untyped-call]
    """Recorded when the last run has read the output: runs may come from several streams"""

    def run(self, inputs: tuple[Tensor, ...]) -> Tensor:
        stream = torch.cuda.current_stream(self.output.device)
        stream.wait_event(self.free)
        for own, given in zip(self.inputs, inputs, strict=True):
            own.copy_(given, non_blocking=True)
        self.graph.replay()
        found = self.output.clone()
        self.free.record(stream)
        return found


class CudaRecorder:
    """CUDA graphs."""

    def record(self, work: Work, inputs: tuple[Tensor, ...]) -> Recording:
        own = tuple(x.clone(memory_format=torch.preserve_format) for x in inputs)
        device = own[0].device
        here, apart = torch.cuda.current_stream(device), torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        apart.wait_stream(here)
        with torch.cuda.stream(apart):
            for _ in range(_WARM_UPS):
                work(*own)
        here.wait_stream(apart)
        torch.cuda.empty_cache()  # what the plain calls took is free for the recording
        graph = torch.cuda.CUDAGraph()
        # Other threads go on copying and launching meanwhile.
        with torch.cuda.graph(graph, stream=apart, capture_error_mode="thread_local"):
            output = work(*own)
        return _CudaGraph(graph, own, output)


def replayed(work: Work, device: str) -> Work:
    """``work``, recorded where the device can do that."""
    return Replayed(work, CudaRecorder()) if device.startswith("cuda") else work


class Visit:
    """Copies to a device and back, without a wait for any of them; see :meth:`Lane.visit`."""

    def __init__(self, device: str) -> None:
        self.device = device

    def up(self, x: Tensor) -> Tensor:
        """``x`` on the device; it must not be written to while the visit lasts."""
        if not self.device.startswith("cuda"):
            return x.to(self.device)
        return x if x.is_cuda else (x if x.is_pinned() else x.pin_memory()).to(self.device, non_blocking=True)

    def down(self, x: Tensor) -> Tensor:
        """``x`` on the host; its numbers are there when the visit is over."""
        if not self.device.startswith("cuda"):
            return x.cpu()
        found = torch.empty(x.shape, dtype=x.dtype, pin_memory=True)
        found.copy_(x, non_blocking=True)
        return found


class Lane:
    """The way to one device and back; shared by threads, and sent to other processes as its name."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._own = threading.local()

    def call(self, work: Work, *inputs: Tensor) -> Tensor:
        """``work`` on the device: host tensors are taken there, the result comes back to the host."""
        with self.visit() as there:
            return there.down(work(*(there.up(x) for x in inputs)))

    @contextmanager
    def visit(self) -> Iterator[Visit]:
        """Work on the device in this thread's stream; its end is the only wait.

        What was made there may then be used in other threads.
        """
        there = Visit(self.device)
        if not self.device.startswith("cuda"):
            yield there
            return
        stream = self._stream()
        try:
            with torch.cuda.stream(stream):
                yield there
        finally:
            # After an error too: what the kernels still read may belong to other streams.
            stream.synchronize()

    def staging(self, *shape: int, dtype: torch.dtype) -> Tensor:
        """Memory of the host that :meth:`Visit.up` need not copy first; not initialized."""
        return torch.empty(shape, dtype=dtype, pin_memory=self.device.startswith("cuda"))

    def _stream(self) -> Any:
        if not hasattr(self._own, "stream"):
            self._own.stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        return self._own.stream

    def __reduce__(self) -> tuple[type[Lane], tuple[str]]:
        return Lane, (self.device,)
