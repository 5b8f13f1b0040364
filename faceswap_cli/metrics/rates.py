"""How near a method's networks come to what the chip can multiply.

The yardstick is a product of two square matrices in the same number format on the same device, measured in
the same minute: no network can be quicker per multiply-add.  On a processor both are measured on one core and
in processor time, so other work on the machine disturbs little.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from faceswap_cli.config import SwapOptions
from faceswap_cli.swap import method_name

MATRIX = 1024
_TRIES, _RUNS = 5, 4


@dataclass(frozen=True, slots=True)
class NetworkRate:
    """Of the networks that draw one face."""

    device: str
    precision: str
    multiply_adds: int
    network_ms: float
    """Of one core on a processor"""
    matmul_gmacs: float
    """10^9 multiply-adds a second in a product of matrices"""

    @property
    def share_of_matmul(self) -> float:
        """The networks' multiply-adds per second over those of a product of matrices."""
        return self.multiply_adds / 1e6 / self.network_ms / self.matmul_gmacs


def network_rate(options: SwapOptions) -> NetworkRate | None:
    """Measured now; None for methods whose networks are not the bundled one."""
    if method_name(options.method) != "fslsd" or options.job.profile == "1024":
        return None
    import torch

    from faceswap_cli.devices import resolve_device
    from faceswap_cli.nets.fslsd256 import Fslsd256, blank_scene, multiply_adds
    from faceswap_cli.nets.fslsd256_encoders import EMBEDDING, SIDE
    from faceswap_cli.swap.fslsd256_weights import FILE, half_precision, ready_net
    from faceswap_cli.weights.registry import bundled

    device = resolve_device(options.job.device).name
    kind = torch.bfloat16 if half_precision(device) else torch.float32
    net: Fslsd256 = ready_net(bundled(FILE), device)
    seen = blank_scene(1).apply(lambda x: x.to(device))
    square = torch.rand(MATRIX, MATRIX, device=device).to(kind)
    with (
        torch.inference_mode(),
        torch.autocast(device.partition(":")[0], kind, enabled=kind != torch.float32),
    ):
        rgb, z = torch.zeros(1, 3, SIDE, SIDE, device=device), torch.zeros(1, EMBEDDING, device=device)
        source = net.encode_source(rgb, z)
        alone = _quickest(lambda: net(source, seen), device)
        product = _quickest(lambda: square @ square, device)
    name = str(kind).rpartition(".")[2]
    return NetworkRate(device, name, multiply_adds(net.preset), 1000 * alone, MATRIX**3 / product / 1e9)


def _quickest(work: Callable[[], object], device: str) -> float:
    """Seconds of one ``work()``: the best of a few tries, which is the least disturbed one."""
    import torch

    on_cpu = device == "cpu"
    now = time.thread_time if on_cpu else time.perf_counter
    best = float("inf")
    for _ in range(_TRIES):
        start = now()
        for _ in range(_RUNS):
            work()
        if not on_cpu and device.startswith("cuda"):
            torch.cuda.synchronize(device)
        best = min(best, (now() - start) / _RUNS)
    return best
