"""Where segments are rendered: on the nodes of an existing Ray cluster (``--cluster``).

Each segment is one Ray task.  Ray places the tasks by cores, memory and GPUs, and runs those of
a lost node again; this module sends the work once, counts frames, takes the results and turns
whatever goes wrong into the errors of this program.  The other half is :mod:`.cluster_worker`.
"""

from __future__ import annotations

import logging
import pickle
import secrets
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from faceswap_cli import errors
from faceswap_cli.config import JobOptions
from faceswap_cli.errors import DeviceError, UsageError
from faceswap_cli.events import StopRequest
from faceswap_cli.jobs import cluster_worker
from faceswap_cli.jobs.cluster_nodes import (
    CONNECT_S,
    alive,
    check_nodes,
    connected,
    entrance,
    on_node,
    on_this_node,
    unfit,
)
from faceswap_cli.jobs.cluster_worker import CHUNK, TOKEN_NAME, Answer, Parcel
from faceswap_cli.jobs.executor import Tell, Work
from faceswap_cli.jobs.files import whole_file
from faceswap_cli.jobs.forks import WORKER_ENVIRONMENT
from faceswap_cli.records import Segment, SegmentResult

MAX_RETRIES = 3
"""Of a segment whose worker or node was lost; done by Ray."""
_POLL_S, _LOOK_S, _ARRIVE_S = 0.2, 5.0, 60.0
_CPUS_BESIDE_GPU = 4
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Share:
    """What one segment takes of a node while it is rendered."""

    cpus: int
    gpus: int
    memory_mb: int

    def options(self) -> dict[str, Any]:
        """In Ray's words; a GPU worker is kept for the next segment, its networks are loaded."""
        memory = self.memory_mb * 1_000_000
        return {"num_cpus": self.cpus, "num_gpus": self.gpus, "memory": memory, "max_calls": 0}

    def fits(self, resources: Mapping[str, float]) -> int:
        """How many at once in a node of these resources."""
        wanted = {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory_mb * 1_000_000}
        return int(min(resources.get(name, 0.0) // need for name, need in wanted.items() if need))

    def __str__(self) -> str:
        gpu = f", {self.gpus} GPU" if self.gpus else ""
        return f"{self.cpus} core{'s' * (self.cpus > 1)}{gpu} and {self.memory_mb} MB of memory"


def share_of(job: JobOptions, memory_mb: int, *, light: bool) -> Share:
    """One core for a ``light`` method; networks take a GPU when the device says so."""
    if light:
        return Share(1, 0, memory_mb)
    if job.device.startswith("cuda"):
        return Share(job.workers or 1, 1, memory_mb)
    return Share(job.workers or _CPUS_BESIDE_GPU, 0, memory_mb)


def settle_device(job: JobOptions) -> JobOptions:
    """``job`` with the device that the cluster of ``job.cluster`` has, after a look at its nodes.

    Raises before any work is done: Ray is missing (:class:`UsageError`), the cluster cannot be
    reached, a node has other versions, or no node has the device (:class:`DeviceError`).
    """
    assert job.cluster is not None
    if job.device.startswith("cuda:") or job.device == "mps":
        raise UsageError(f"--device {job.device} cannot be used with --cluster; Ray hands out the GPUs: cuda")
    with connected(job.cluster) as ray:
        check_nodes(ray)
        gpus = sum(node["Resources"].get("GPU", 0.0) for node in alive(ray))
    if job.device == "cuda" and not gpus:
        raise DeviceError(f"no node of the cluster {job.cluster} has a GPU; use --device cpu")
    device = job.device if job.device != "auto" else "cuda" if gpus else "cpu"
    return replace(job, device=device)


class Cluster:
    """Segments as tasks of the Ray cluster at ``address``; ``auto`` is the one this machine belongs to."""

    def __init__(self, address: str, share: Share) -> None:
        self._address, self._share = address, share

    def run(
        self, work: Work, segments: Sequence[Segment], tell: Tell, stop: StopRequest
    ) -> Generator[SegmentResult, None, None]:
        """Results as they come; after a stop request it waits for the current ones."""
        if not segments:
            return
        with connected(self._address) as ray:
            check_nodes(ray)
            job = _Run(ray, work, self._share)
            try:
                yield from job.results(segments, tell, stop)
            finally:
                job.clear()


class _Run:
    """The tasks of one job."""

    def __init__(self, ray: Any, work: Work, share: Share) -> None:
        self._ray, self._work, self._share = ray, work, share
        self._token = secrets.token_hex(8)
        self._slots, self._looked = 0, -_LOOK_S
        self._check_share()
        (work.folder / TOKEN_NAME).write_text(self._token, encoding="utf-8")
        self._parcel = ray.put(cluster_worker.pack(self._packed()))
        self._chunks: dict[Path, list[Any]] = {}
        self._tally = on_this_node(ray, ray.remote(cluster_worker.Tally)).remote()
        how = {"max_retries": MAX_RETRIES, "runtime_env": {"env_vars": _environment(share.cpus)}}
        self._render = ray.remote(**share.options(), **how)(entrance())
        self._running: dict[Any, Segment] = {}

    def _packed(self) -> Parcel:
        freight = self._work.freight
        sent = replace(self._work, folder=self._work.folder.absolute())
        files, weights = (freight.files, freight.weights) if freight else ((), ())
        if freight is not None:
            sent = replace(sent, freight=replace(freight, part=_sent_already))
        return Parcel(
            sent,
            tuple(cluster_worker.mark_file(path) for path in files),
            tuple(cluster_worker.mark_file(path) for path in weights),
            self._token,
            self._share.cpus,
            "cuda" if self._share.gpus else "cpu",
        )

    def _check_share(self) -> None:
        if not any(self._share.fits(node["Resources"]) for node in alive(self._ray)):
            raise DeviceError(f"no node of the cluster has {self._share} for one segment")

    def results(self, segments: Sequence[Segment], tell: Tell, stop: StopRequest) -> Iterator[SegmentResult]:
        waiting, left, done, told = deque(segments), len(segments), 0, 0
        while self._running or (waiting and not stop.requested):
            while waiting and len(self._running) < self._window() and not stop.requested:
                self._submit(waiting.popleft())
            for result in self._finished():
                done, left = done + result.frames, left - 1
                yield result
            begun = self._begun()
            told = max(told, done + sum(begun.values()))
            tell(told)
            if stop.requested:
                self._give_up(begun)
        if left:
            stop.check("rendering")

    def _window(self) -> int:
        """Tasks handed to Ray at once: some wait, so that no core does, and a cluster that can grow does."""
        if time.monotonic() - self._looked > _LOOK_S:
            slots = sum(self._share.fits(node["Resources"]) for node in alive(self._ray))
            if slots == 0 and self._slots:
                _log.warning("no node of the cluster is left for this job; waiting for one")
            self._slots, self._looked = slots, time.monotonic()
        return 2 * self._slots + 2

    def _submit(self, segment: Segment, *, by_bytes: bool = False) -> None:
        part = self._work.freight.part(segment) if self._work.freight else None
        order = pickle.dumps((segment, part, by_bytes), protocol=5)
        ref = self._render.remote(
            cluster_worker.kit(), self._token, self._parcel, order, self._tally, self._chunks
        )
        self._running[ref] = segment

    def _finished(self) -> Iterator[SegmentResult]:
        """Results that are there, after a wait for the first."""
        if not self._running:
            return
        ready, _ = self._ray.wait(list(self._running), timeout=_POLL_S)
        more, _ = self._ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
        for ref in dict.fromkeys([*ready, *more]):
            segment = self._running.pop(ref)
            if (answer := self._answer(ref, segment)) is not None:
                result = self._taken(answer, segment)
                if result is not None:
                    yield result

    def _answer(self, ref: Any, segment: Segment) -> Answer | None:
        """What came back; None for a task given up before it began."""
        failures = self._ray.exceptions
        try:
            answer: Answer = self._ray.get(ref)
        except failures.TaskCancelledError:
            return None
        except failures.RayTaskError as error:
            if isinstance(error.cause, (KeyboardInterrupt, failures.TaskCancelledError)):
                return None
            raise RuntimeError(f"segment {segment.index} failed on the cluster") from error
        except failures.RayError as error:
            raise DeviceError(
                f"segment {segment.index} was lost {MAX_RETRIES + 1} times on the cluster "
                f"({type(error).__name__}), probably out of memory; see 'ray status'"
            ) from error
        return answer

    def _taken(self, answer: Answer, segment: Segment) -> SegmentResult | None:
        """The result on this machine's disk; None when the segment had to be sent again."""
        kind, content = answer
        if kind == "wants":
            for path in content:
                self._chunks.setdefault(path, [])
                if not self._chunks[path]:
                    self._chunks[path] = _in_store(self._ray, path)
            self._submit(segment)
            return None
        if kind != "done":
            raise _error(kind, content)
        result: SegmentResult
        result, size, data = content
        path = self._work.path(segment)
        if data is not None:
            with whole_file(path) as handle:
                handle.write(data)
        elif not _arrived(path, size):
            self._submit(segment, by_bytes=True)
            return None
        return replace(result, path=path)

    def _begun(self) -> dict[int, int]:
        """Frames done of the current segments; of those that wait for a node nothing is known."""
        try:
            state: dict[int, int] = self._ray.get(self._tally.state.remote(), timeout=CONNECT_S)
        except self._ray.exceptions.RayError:
            return {}
        return {
            segment.index: state[segment.index]
            for segment in self._running.values()
            if segment.index in state
        }

    def _give_up(self, begun: Mapping[int, int]) -> None:
        """Take back what no node has begun."""
        for ref, segment in self._running.items():
            if segment.index not in begun:
                self._ray.cancel(ref)

    def clear(self) -> None:
        """Take the copies off the nodes; one that does not answer cleans up later on its own."""
        with suppress(OSError):
            (self._work.folder / TOKEN_NAME).unlink()
        with suppress(self._ray.exceptions.RayError):
            refs = [
                on_node(self._ray, self._ray.remote(cluster_worker.clear), node["NodeID"]).remote(self._token)
                for node in alive(self._ray)
            ]
            self._ray.wait(refs, num_returns=len(refs), timeout=CONNECT_S)


def _sent_already(segment: Segment) -> None:
    """Stands for ``part`` on the nodes: the whole scene stays here."""


def _environment(cpus: int) -> dict[str, str]:
    """Threads of the numeric libraries: as many as the segment has cores."""
    own = {name: str(cpus) for name in WORKER_ENVIRONMENT if name.endswith("_NUM_THREADS")}
    return {**WORKER_ENVIRONMENT, **own}


def _in_store(ray: Any, path: Path) -> list[Any]:
    """The bytes of ``path`` in pieces, in the object store."""
    _log.info("%s is sent to nodes that do not see it", path)
    chunks = []
    with path.open("rb") as handle:
        while piece := handle.read(CHUNK):
            chunks.append(ray.put(np.frombuffer(piece, np.uint8)))
    return chunks


def _arrived(path: Path, size: int) -> bool:
    """True when the file that a node wrote is there; network file systems show it late."""
    until = time.monotonic() + _ARRIVE_S
    while time.monotonic() < until:
        with suppress(OSError):
            if path.stat().st_size == size:
                return True
        time.sleep(_POLL_S)
    return False


def _error(kind: str, content: Any) -> Exception:
    """What a node reported, as the error that it would have been here."""
    if kind == "unfit":
        return unfit(content)
    if kind == "failed":
        name, message, code = content
        known = getattr(errors, name, errors.FaceswapError)
        if known is errors.Interrupted:
            return errors.Interrupted(message, exit_code=code)
        error: Exception = known(message)
        return error
    return RuntimeError(content)
