"""Start a run: fill the pool, choose the device, start the processes."""

from __future__ import annotations

import itertools
import json
import logging
import math
import os
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, cast

import cv2
import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import ProcessRaisedException, spawn

from faceswap_cli.errors import DeviceError, FaceswapError, InputError
from faceswap_cli.events import NEVER, StopRequest
from faceswap_cli.training import pairs, refine
from faceswap_cli.training.loop import METRICS, Run, Show
from faceswap_cli.training.options import DataOptions, RefinerOptions, TrainOptions
from faceswap_cli.training.pool import Item, Pool, from_clip, from_pictures, from_shards, open_pool, pack
from faceswap_cli.training.state import load_state
from faceswap_cli.training.trainer import Place, Trainer

_EXAM_SHARE = 30
"""Pieces of pairs for each piece of held-out people"""

log = logging.getLogger(__name__)


def items(options: DataOptions) -> Iterator[Item]:
    """All faces the configuration names, of the license classes it allows."""
    sources: list[Iterator[Item]] = [
        from_shards(folder, "train", options.classes) for folder in options.shards
    ]
    sources += [from_pictures(folder) for folder in options.pictures]
    for place in options.clips:
        if not place.exists():
            raise InputError(f"{place} does not exist; look at [data] clips")
        paths = sorted(p for p in place.iterdir() if p.is_file()) if place.is_dir() else [place]
        sources += [from_clip(path, path.stem, every=options.every) for path in paths]
    return itertools.chain.from_iterable(sources)


def prepared(options: TrainOptions) -> Pool:
    """The run's pool; made when it is not there yet."""
    folder = options.folder / "pool"
    if not (folder / "table.npz").exists():
        log.info("preparing faces in %s", folder)
        pack(items(options.data), folder, options.data.held_out)
    return open_pool(folder)


def prepared_pairs(
    options: TrainOptions,
    stop: StopRequest = NEVER,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[Path], list[Path]]:
    """Files of the refiner's pairs, those of held-out people apart; made where they are not there yet.

    ``tell`` hears of pairs done and asked for.
    """
    recipe = options.refiner or RefinerOptions()
    pool = prepared(options)
    count = -(-recipe.pairs // pairs.PIECE)
    exams = -(-count // _EXAM_SHARE) if len(pairs.stills(pool, held_out=True)) > 1 else 0
    folder = options.folder / "pairs"
    wanted = [(number, True) for number in range(exams)] + [(number, False) for number in range(count)]
    paths = [pairs.piece_path(folder, number, held_out=held_out) for number, held_out in wanted]
    missing = [row for row, path in zip(wanted, paths, strict=True) if not path.exists()]
    done = len(wanted) - len(missing)
    world = options.processes or os.cpu_count() or 1
    with ProcessPoolExecutor(world, get_context("spawn"), _alone) as workers:
        left = [workers.submit(_piece, options, *row) for row in missing]
        try:
            for made in as_completed(left):
                made.result()
                done += 1
                tell(done * pairs.PIECE, len(wanted) * pairs.PIECE)
                stop.check("preparing pairs")
        finally:
            workers.shutdown(cancel_futures=True)
    return paths[exams:], paths[:exams]


def _alone() -> None:
    # Ctrl-C reaches the whole group; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def _piece(options: TrainOptions, number: int, held_out: bool) -> None:
    pairs.prepare(
        open_pool(options.folder / "pool"), options.folder / "pairs", number, options.seed, held_out=held_out
    )


def device_for(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError("no CUDA device can be used; try --device cpu")
    return device


def processes_for(options: TrainOptions, device: torch.device) -> int:
    if options.processes:
        return options.processes
    if device.type == "cuda":
        return torch.cuda.device_count() if device.index is None else 1
    return max(1, (os.cpu_count() or 2) - 1)


def train(
    options: TrainOptions, max_time_s: float = math.inf, stop: StopRequest = NEVER, show: Show | None = None
) -> dict[str, Any]:
    """Train or continue; returns where the run stands: step, images, phase, figures.

    A stop request ends it after the current step, with the state saved.
    """
    device = device_for(options.device)
    if options.refiner is not None:
        return _refined(options, device, max_time_s, stop, show)
    world = processes_for(options, device)
    pool = prepared(options)
    if world == 1:
        trainer = Trainer(options, pool, Place(device))
        Run(trainer, stop, show).go(max_time_s)
    else:
        _train_in_processes(options, world, max_time_s, stop, show)
    return standing(options.folder)


def _refined(
    options: TrainOptions, device: torch.device, max_time_s: float, stop: StopRequest, show: Show | None
) -> dict[str, Any]:
    pieces, exams = prepared_pairs(options, stop)
    run = refine.Run(pieces, exams, options, device)
    figures = run.go(max_time_s, stop, lambda images: show({"images": images}) if show else None)
    return {"images": run.images, "figures": figures}


def standing(folder: Path) -> dict[str, Any]:
    """Step, images, phase and figures of the newest state in ``folder``."""
    state = load_state(folder)
    return {} if state is None else dict(state["progress"])


def _train_in_processes(
    options: TrainOptions, world: int, max_time_s: float, stop: StopRequest, show: Show | None
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    signal_file = options.folder / "stop"
    signal_file.unlink(missing_ok=True)
    seen = _Tail(options.folder / METRICS)
    work = (world, port, options, max_time_s, os.getpid())
    context: Any = cast(Any, spawn)(_worker, work, nprocs=world, join=False)
    try:
        while not context.join(timeout=1.0):
            if stop.requested:
                signal_file.touch()
            for row in seen.new_rows():
                if show is not None:
                    show(row)
    except ProcessRaisedException as error:
        raise FaceswapError(
            f"a training process failed: {str(error).strip().splitlines()[-1]}; what was saved is kept"
        ) from error
    finally:
        signal_file.unlink(missing_ok=True)


class _Tail:
    """Rows appended to a file of JSON lines since the last look."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place = path.stat().st_size if path.exists() else 0

    def new_rows(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        with self.path.open("rb") as handle:
            handle.seek(self.place)
            data = handle.read()
        whole = data[: data.rfind(b"\n") + 1]
        self.place += len(whole)
        return [json.loads(line) for line in whole.splitlines()]


class _FileStop(StopRequest):
    """Asked to stop by a file, or by the death of the parent process."""

    def __init__(self, path: Path, parent: int) -> None:
        super().__init__()
        self.path, self.parent = path, parent

    @property
    def requested(self) -> bool:
        return self.path.exists() or os.getppid() != self.parent


def _worker(rank: int, world: int, port: int, options: TrainOptions, max_time_s: float, parent: int) -> None:
    # Ctrl-C reaches the whole group; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    device = device_for(options.device)
    if device.type == "cuda":
        device = torch.device("cuda", rank)
        torch.cuda.set_device(device)
    else:
        # One thread each: threads that wait for each other stall when the machine is shared.
        torch.set_num_threads(1)
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)
    try:
        trainer = Trainer(options, open_pool(options.folder / "pool"), Place(device, rank, world))
        Run(trainer, _FileStop(options.folder / "stop", parent)).go(max_time_s)
    finally:
        dist.destroy_process_group()
