"""Reading weights must not load what only training or compiling needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

import faceswap_cli
from faceswap_cli.weights.load import load_strict

_LOAD = """
import json, sys
from faceswap_cli.swap.fslsd256_weights import FILE, ready_net
from faceswap_cli.weights.registry import bundled
ready_net(bundled(FILE), "cpu")
print(json.dumps(sorted(sys.modules)))
"""


def test_loading_the_network_leaves_the_compiler_alone() -> None:
    env = {**os.environ, "PYTHONPATH": str(Path(faceswap_cli.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", _LOAD], capture_output=True, text=True, check=True, env=env, timeout=120
    )
    loaded = json.loads(ran.stdout.splitlines()[-1])
    assert "torch" in loaded
    assert [
        name for name in ("torch._dynamo", "sympy", "torch.fx.experimental.symbolic_shapes") if name in loaded
    ] == []


class _Noisy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.randn(3, 2) / 8)
        self.layer = nn.Linear(4, 5)
        nn.init.kaiming_normal_(self.layer.weight)
        nn.init.normal_(tensor=self.layer.bias)


def test_loaded_parameters_are_those_of_the_file_and_no_random_numbers_are_used() -> None:
    wanted = _Noisy().state_dict()
    before = torch.random.get_rng_state()
    found = load_strict(_Noisy, {name: value.clone() for name, value in wanted.items()}, "noisy")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(value, wanted[name]) for name, value in found.state_dict().items())
