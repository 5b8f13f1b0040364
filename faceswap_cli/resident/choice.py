"""Whether a job's frames stay on the device: decided once for a scene, and why not is told in the log."""

from __future__ import annotations

import logging
import os
from typing import Any

from faceswap_cli.config import PreserveOptions
from faceswap_cli.keyframes import keyframe_values
from faceswap_cli.swap.engine import Scene, Stages

FORCE = "FACESWAP_RESIDENT"
"""``1`` keeps frames on any device, the processor too (tests and benchmarks); ``0`` never does."""
_MOST_BITS = 15
"""Samples of more bits do not fit the signed numbers that devices reckon with."""
_log = logging.getLogger(__name__)
_told: set[str] = set()


def stages_for(scene: Scene) -> Stages[Any] | None:
    """The stages that keep frames of ``scene`` on the method's device; None where the host draws them."""
    why = why_on_host(scene)
    _tell(f"frames are drawn on the host: {why}" if why else "frames stay on the device")
    if why:
        return None
    from faceswap_cli.resident.render import stages_on_device

    return stages_on_device(scene.method)  # type: ignore[arg-type]


def why_on_host(scene: Scene) -> str:
    """One reason, or nothing."""
    device = getattr(scene.method, "device", "")
    wanted = os.environ.get(FORCE, "")
    if wanted == "0":
        return f"{FORCE} is 0"
    if not (str(device).startswith("cuda") or (wanted == "1" and device == "cpu")):
        return f"the device is {device or 'the processor'}"
    from faceswap_cli.swap.methods.fslsd256 import Fslsd256Method

    if not isinstance(scene.method, Fslsd256Method):
        return f"method {scene.method.name} of another profile than 256"
    return _why_not(scene)


def _why_not(scene: Scene) -> str:
    """What is asked for that only the host can do."""
    selection, clip = scene.selection, scene.clip
    if selection.edits.any:
        return "--edit"
    if selection.preserve.any and selection.preserve != PreserveOptions(shape=selection.preserve.shape):
        return "--preserve"
    if keyframe_values(selection.strength) != (1.0,):
        return "--strength"
    if scene.source_embeddings:
        return "distances of identity are measured"
    if clip.bit_depth > _MOST_BITS:
        return f"samples of {clip.bit_depth} bits"
    if clip.width % 2 or clip.height % 2:
        return f"frames of {clip.width}x{clip.height}, an odd size"
    return ""


def _tell(text: str) -> None:
    """Once per process: every segment comes here."""
    if text not in _told:
        _told.add(text)
        _log.info("%s", text)
