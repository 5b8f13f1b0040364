"""``nitzan``: profile 256 of ``fslsd`` with a source made from its identity embedding alone.

The same as ``--method fslsd --mapper nitzan``, after Nitzan et al. (2020); ``--mapper blend:X`` is heard.
"""

from __future__ import annotations

from dataclasses import replace

from faceswap_cli.config import JobOptions, PasteOptions
from faceswap_cli.errors import UsageError
from faceswap_cli.swap.fslsd256_weights import FILE
from faceswap_cli.swap.methods.fslsd256 import Fslsd256Method
from faceswap_cli.weights.registry import bundled


class NitzanMethod(Fslsd256Method):
    """Named apart: what is prepared for one method is not for the other."""

    name = "nitzan"


def build_nitzan(job: JobOptions, paste: PasteOptions) -> NitzanMethod:
    """Builder for ``faceswap_cli.swap.METHODS``."""
    if job.profile not in ("auto", "256"):
        raise UsageError(f"nitzan has no profile {job.profile!r}; leave --profile out")
    if job.mapper == "landmarks":
        job = replace(job, mapper="nitzan")
    return NitzanMethod(job, paste, bundled(FILE))
