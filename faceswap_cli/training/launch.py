"""Start a run: fill the pool, choose the device, start the processes."""

from __future__ import annotations

import itertools
import logging
import math
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import ProcessRaisedException, spawn

from faceswap_cli.errors import DeviceError, FaceswapError, InputError
from faceswap_cli.events import NEVER, StopRequest
from faceswap_cli.training.loop import Run, Show
from faceswap_cli.training.options import DataOptions, TrainOptions
from faceswap_cli.training.pool import Item, Pool, from_clip, from_pictures, from_shards, open_pool, pack
from faceswap_cli.training.trainer import Place, Progress, Trainer

log = logging.getLogger(__name__)


def items(options: DataOptions) -> Iterator[Item]:
    """All faces the configuration names, of the licence classes it allows."""
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
) -> Progress | None:
    """Train or continue; returns where the run stands (None when several processes did it)."""
    device = device_for(options.device)
    world = processes_for(options, device)
    prepared(options)
    if world == 1:
        if device.type == "cpu" and options.processes == 1:
            torch.set_num_threads(1)
        trainer = Trainer(options, prepared(options), Place(device))
        return Run(trainer, stop, show).go(max_time_s)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context: Any = cast(Any, spawn)(
        _worker, (world, port, options, max_time_s, os.getpid()), nprocs=world, join=False
    )
    try:
        while not context.join(timeout=1.0):
            if stop.requested:
                (options.folder / "stop").touch()
    except ProcessRaisedException as error:
        raise FaceswapError(f"a training process failed: {str(error).strip().splitlines()[-1]}") from error
    finally:
        (options.folder / "stop").unlink(missing_ok=True)
    return None


class _FileStop(StopRequest):
    """Asked to stop by a file, from the parent process."""

    def __init__(self, path: Path, parent: int) -> None:
        super().__init__()
        self.path, self.parent = path, parent

    @property
    def requested(self) -> bool:
        return self.path.exists() or os.getppid() != self.parent


def _worker(rank: int, world: int, port: int, options: TrainOptions, max_time_s: float, parent: int) -> None:
    device = device_for(options.device)
    if device.type == "cuda":
        device = torch.device("cuda", rank)
        torch.cuda.set_device(device)
    else:
        torch.set_num_threads(1)
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)
    try:
        trainer = Trainer(options, prepared(options), Place(device, rank, world))
        Run(trainer, _FileStop(options.folder / "stop", parent), _print_line if rank == 0 else None).go(
            max_time_s
        )
    finally:
        dist.destroy_process_group()


def _print_line(row: dict[str, object]) -> None:
    log.info("%s", row)
