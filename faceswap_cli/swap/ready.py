"""Imported in the process that workers are copies of (``jobs.forks``): the network of ``fslsd``, read once.

Nothing is computed with it there: a copy of a process has none of its threads.
"""

from __future__ import annotations

from contextlib import suppress

from faceswap_cli.errors import FaceswapError
from faceswap_cli.swap.fslsd256_weights import FILE, ready_net
from faceswap_cli.swap.methods import fslsd256
from faceswap_cli.weights.registry import bundled

__all__ = ["fslsd256"]

with suppress(FaceswapError, OSError):  # whoever needs the network is told
    ready_net(bundled(FILE), "cpu")
