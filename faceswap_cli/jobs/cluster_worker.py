"""What runs on the nodes of a Ray cluster: render one segment, and say plainly what is wrong.

Every worker process unpacks the work of a run once.  Files are used where they lie when the
node sees the same file under the same path; otherwise one copy a node is fetched from the
object store into a folder that goes with the run.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import IO, Any

import numpy as np

import faceswap_cli
from faceswap_cli.config import JobOptions
from faceswap_cli.errors import FaceswapError, InputError, OutputError, WeightsError
from faceswap_cli.jobs.executor import Work
from faceswap_cli.jobs.locks import is_current, try_lock
from faceswap_cli.records import Segment

CHUNK = 64 << 20
"""Bytes of a file in one object of the store."""
TOKEN_NAME = "cluster.token"
_SAMPLE = 1 << 20
_TELL_S, _LOCK_S = 0.5, 0.1
_LIBRARIES = ("av", "numpy", "torch", "opencv-contrib-python", "opencv-python", "opencv-python-headless")
"""Pixels and parameter sets of the encoder depend on these."""
Answer = tuple[str, Any]
"""``done`` (result, bytes or None), ``wants`` paths, ``failed`` (class, message, code), ``broken`` or
``unfit`` a text."""


@dataclass(frozen=True, slots=True)
class FileMark:
    """Enough of a file to distinguish it from another one: its size, and samples of its bytes."""

    path: Path
    size: int
    digest: str


@dataclass(frozen=True, slots=True, eq=False)
class Parcel:
    """What every node needs; put into the object store once."""

    work: Work
    """Its freight without the parts, which go with their segments"""
    files: tuple[FileMark, ...]
    weights: tuple[FileMark, ...]
    token: str
    """Of the run; a job folder that holds it is the one of the machine that asked."""
    cpus: int
    """Threads of one segment."""
    device: str


Packed = tuple[bytes, tuple[np.ndarray[Any, Any], ...]]
"""A pickled :class:`Parcel` and its arrays, which the store maps into every worker of a node."""


def pack(parcel: Parcel) -> Packed:
    """Plain values only: a node without this program must be able to read its orders."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(parcel, protocol=5, buffer_callback=buffers.append)
    return head, tuple(np.frombuffer(buffer.raw(), np.uint8) for buffer in buffers)


class Tally:
    """Actor beside the asking process: frames done of the current segments, on all nodes."""

    def __init__(self) -> None:
        self._frames: dict[int, int] = {}

    def note(self, index: int, frames: int) -> None:
        """A segment that is begun again counts from 0."""
        self._frames[index] = frames

    def state(self) -> dict[int, int]:
        return dict(self._frames)


@lru_cache(maxsize=1)
def kit() -> dict[str, str]:
    """Versions that must agree on all nodes; of this program also a digest of its modules."""
    found = {"python": "{}.{}".format(*sys.version_info), "faceswap": faceswap_cli.__version__}
    for name in _LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            # torch 2.9.0+cpu and 2.9.0+cu128 draw the same.
            found[name] = metadata.version(name).partition("+")[0]
    folder, digest = Path(faceswap_cli.__file__).parent, hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return {**found, "modules": digest.hexdigest()}


def difference(expected: Mapping[str, str], found: Mapping[str, str]) -> str:
    """The first version that does not agree, in words; empty when all do."""
    for name in (*expected, *found):
        here, there = expected.get(name, "none"), found.get(name, "none")
        if here != there and name == "modules":
            return f"other files of faceswap {found.get('faceswap')}"
        if here != there:
            return f"{name} {there}, this machine {here}"
    return ""


def node_name() -> str:
    """Of the node that this runs on, for messages."""
    import ray

    address = str(ray.util.get_node_ip_address())
    return f"{socket.gethostname()} ({address})"


def serve(
    expected: Mapping[str, str],
    token: str = "",
    packed: Packed | None = None,
    order: bytes = b"",
    tally: Any = None,
    chunks: Mapping[Path, Sequence[Any]] | None = None,
) -> Answer:
    """One order; without one, only whether this node is fit.  Errors come back as values."""
    if told := difference(expected, kit()):
        return "unfit", f"node {node_name()} has {told}"
    if packed is None:
        return "fit", node_name()
    segment, part, by_bytes = pickle.loads(order)
    try:
        return _Station.of(token, packed).render(segment, part, by_bytes, tally, chunks or {})
    except _Wanted as wanted:
        return "wants", wanted.paths
    except FaceswapError as error:
        return "failed", (type(error).__name__, str(error), error.exit_code)
    except Exception:  # noqa: BLE001  told to the asking process, which raises
        return "broken", f"node {node_name()}, segment {segment.index}:\n{traceback.format_exc()}"


def clear(token: str) -> None:
    """Remove what this node keeps for the run ``token``."""
    shutil.rmtree(_root() / token, ignore_errors=True)


class _Wanted(Exception):
    """Files that this node does not see."""

    def __init__(self, paths: tuple[Path, ...]) -> None:
        super().__init__(paths)
        self.paths = paths


class _Station:
    """A worker process with the work of one run unpacked."""

    _last: _Station | None = None

    @classmethod
    def of(cls, token: str, packed: Packed) -> _Station:
        """The same for all orders of a run: networks are loaded once."""
        if cls._last is None or cls._last.token != token:
            cls._last = None
            cls._last = cls(pickle.loads(packed[0], buffers=packed[1]))
        return cls._last

    def __init__(self, parcel: Parcel) -> None:
        import cv2

        cv2.setNumThreads(1)
        _sweep()
        self.token = parcel.token
        self._parcel = parcel
        self._work: Work | None = None
        self._held, self._folder = _hold(parcel.token)

    def render(
        self,
        segment: Segment,
        part: Any,
        by_bytes: bool,
        tally: Any,
        chunks: Mapping[Path, Sequence[Any]],
    ) -> Answer:
        tally.note.remote(segment.index, 0)
        work = self._unpacked(chunks)
        scene = work.scene if work.freight is None else work.freight.join(work.scene, part)
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            path = Path(folder) / work.path(segment).name
            told = _slowly(lambda frames: tally.note.remote(segment.index, frames))
            result = work.render(segment, scene, path, work.options, told)
            tally.note.remote(segment.index, result.frames)
            if not by_bytes and _is_shared(work.folder, self.token):
                size = _hand_over(path, work.path(segment), self.token)
                return "done", (replace(result, path=work.path(segment)), size, None)
            data = path.read_bytes()
            return "done", (replace(result, path=work.path(segment)), len(data), data)

    def _unpacked(self, chunks: Mapping[Path, Sequence[Any]]) -> Work:
        if self._work is None:
            work = self._parcel.work
            job = replace(work.options.job, workers=self._parcel.cpus, device=self._parcel.device)
            scene = self._scene(work, job, chunks)
            self._work = replace(work, scene=scene, options=replace(work.options, job=job))
        return self._work

    def _scene(self, work: Work, job: JobOptions, chunks: Mapping[Path, Sequence[Any]]) -> Any:
        """A node's own weights serve where they are the same; others are fetched."""
        if work.freight is None:
            return work.scene
        unpack = work.freight.unpack
        places = self._places(self._parcel.files, chunks)
        try:
            return unpack(work.scene, places, job)
        except WeightsError:
            if not self._parcel.weights:
                raise
        places.update(self._places(self._parcel.weights, chunks))
        return unpack(work.scene, places, job)

    def _places(self, wanted: Sequence[FileMark], chunks: Mapping[Path, Sequence[Any]]) -> dict[Path, Path]:
        """Where files of the run are on this node; those of one folder all in one folder."""
        places: dict[Path, Path] = {}
        for parent in {mark.path.parent for mark in wanted}:
            marks = [mark for mark in wanted if mark.path.parent == parent]
            if all(_same(mark) for mark in marks):
                places.update((mark.path, mark.path) for mark in marks)
                continue
            missing = tuple(mark.path for mark in marks if mark.path not in chunks)
            if missing:
                raise _Wanted(missing)
            inside = self._folder / hashlib.sha256(str(parent).encode()).hexdigest()[:16]
            for mark in marks:
                places[mark.path] = _fetched(mark, inside / mark.path.name, chunks[mark.path])
        return places


def mark_file(path: Path) -> FileMark:
    """The mark of ``path``."""
    size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        for place in (0, size // 2, max(size - _SAMPLE, 0)):
            handle.seek(place)
            digest.update(handle.read(_SAMPLE))
    return FileMark(path, size, digest.hexdigest())


def _same(mark: FileMark) -> bool:
    try:
        return mark_file(mark.path) == mark
    except OSError:
        return False


def _fetched(mark: FileMark, path: Path, chunks: Sequence[Any]) -> Path:
    """One copy for all workers of the node: the first one fetches, the others wait."""
    import ray

    path.parent.mkdir(exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("a") as lock:
        _lock(lock, shared=False)
        if path.exists():
            return path
        free = shutil.disk_usage(path.parent).free
        if free < mark.size:
            raise OutputError(
                f"no room for {mark.path.name} ({mark.size >> 20} MiB) in {path.parent} of node "
                f"{node_name()}; free some, or put the file where every node sees it under the same path"
            )
        part = path.with_name(f"{path.name}.part")
        with part.open("wb") as handle:
            for chunk in chunks:
                handle.write(ray.get(chunk))
        if replace(mark_file(part), path=mark.path) != mark:
            raise InputError(f"{mark.path} changed during the job; start again")
        os.replace(part, path)
    return path


def _is_shared(folder: Path, token: str) -> bool:
    """True where the job folder is the very one of the asking machine."""
    try:
        return (folder / TOKEN_NAME).read_text(encoding="utf-8") == token
    except OSError:
        return False


def _hand_over(path: Path, final: Path, token: str) -> int:
    """Put a finished segment into the shared job folder, whole or not at all; its size."""
    part = final.with_name(f"{final.stem}.{os.getpid()}.{socket.gethostname()}.part")
    try:
        with path.open("rb") as source, part.open("wb") as sink:
            shutil.copyfileobj(source, sink, CHUNK)
            sink.flush()
            os.fsync(sink.fileno())
        size = part.stat().st_size
        os.replace(part, final)
    except OSError as error:
        raise OutputError(
            f"node {node_name()} cannot write {final} ({error.strerror}); free some "
            "space, then run the command again to resume"
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return size


def _slowly(tell: Callable[[int], None]) -> Callable[[int], None]:
    """``tell`` at most twice a second: many nodes report to one."""
    last = time.monotonic()

    def told(frames: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _TELL_S:
            last = time.monotonic()
            tell(frames)

    return told


def _root() -> Path:
    """The folder of all runs on this node, for this user alone: clips are private."""
    root = Path(tempfile.gettempdir()) / f"faceswap-node-{os.getuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    if root.stat().st_uid != os.getuid() or root.is_symlink():
        raise OutputError(f"{root} on node {node_name()} belongs to another user; remove it")
    return root


def _hold(token: str) -> tuple[IO[str], Path]:
    """The folder of a run and a shared lock on it: it is there as long as a process works in it."""
    folder = _root() / token
    while True:
        folder.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):  # swept away in between
            handle = (folder / "lock").open("a")
            _lock(handle, shared=True)
            if is_current(handle, folder / "lock"):
                return handle, folder
            handle.close()


def _sweep() -> None:
    """Remove what runs left behind whose machine went down; a living one holds its lock."""
    for folder in _root().iterdir():
        with suppress(OSError), (folder / "lock").open("a") as handle:
            if try_lock(handle):
                shutil.rmtree(folder, ignore_errors=True)


def _lock(handle: IO[str], *, shared: bool) -> None:
    while not try_lock(handle, shared=shared):
        time.sleep(_LOCK_S)
