"""What a swap method is: aligned target crops and a source identity in, swapped crops out.

Detection, alignment, tracking, masks' edges, paste-back and encoding are shared by all
methods; a method only says how large its crops are, what it measures per frame (its *codes*,
smoothed over time by the pipeline) and how it draws a face.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from faceswap_cli.config import JobOptions, PasteOptions
from faceswap_cli.records import F32, FaceCrop, RenderedFace, SourceIdentity
from faceswap_cli.swap.batches import Batches, in_batches

_NO_CODE = np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True)
class CodeSmoothing:
    """Weights of the temporal filter on codes: beta of the closed-form smoother per entry.

    ``beta`` has shape (D,) or is one number; 0 leaves an entry as measured, 25 is slow light.
    """

    beta: F32 | float


class SwapMethod(Protocol):
    """One way to swap faces.  Instances are safe to call from several threads."""

    name: str
    smoothing: CodeSmoothing
    crop_scale: float
    """Share of the FFHQ square that its crops show (``geometry.align``)"""
    light: bool
    """Small enough to be sent to several worker processes; else it runs in one process"""
    memory_mb: int
    """What its networks and their library take in each worker process"""
    inputs_digest: str
    """Of weights and maps that are not part of the program: with others, a job is another job"""

    def crop_side(self, face_px: float) -> int:
        """Side S of the crop in pixels for a face whose FFHQ square is ``face_px`` wide in the frame."""

    def prepare(self, source: SourceIdentity) -> Any:
        """Everything computed once per source person; opaque to the pipeline."""

    def encode(self, prepared: Any, crop: FaceCrop) -> F32:
        """Appearance code of one target crop, (D,)."""

    def render(self, prepared: Any, crop: FaceCrop, code: F32, seed: int) -> RenderedFace:
        """Draw the source as the target of ``crop``; ``code`` is smoothed over time.

        ``seed`` depends on the frame's time, the track and the job's seed only: noise is repeatable.
        """


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One face to be measured or drawn: the arguments of ``encode`` (without ``code``) or of ``render``."""

    prepared: Any
    crop: FaceCrop
    code: F32 = field(default_factory=lambda: _NO_CODE)
    seed: int = 0


@runtime_checkable
class BatchMethod(SwapMethod, Protocol):
    """A method whose networks take several faces at once.

    The result of a face does not depend on the others, and ``encode`` and ``render`` are batches of one.
    """

    @property
    def batches(self) -> Batches:
        """How many faces are taken at a time; adapts itself to memory."""

    def encode_batch(self, tasks: Sequence[Task]) -> list[F32]: ...

    def render_batch(self, tasks: Sequence[Task]) -> list[RenderedFace]: ...


def batches_of(method: SwapMethod) -> Batches:
    """How many faces ``method`` takes at a time."""
    return method.batches if isinstance(method, BatchMethod) else Batches(1)


def encode_all(method: SwapMethod, tasks: Sequence[Task]) -> list[F32]:
    """The codes of all ``tasks``, in batches where the method knows any."""
    if isinstance(method, BatchMethod):
        return in_batches(method.encode_batch, tasks, method.batches)
    return [method.encode(task.prepared, task.crop) for task in tasks]


def render_all(method: SwapMethod, tasks: Sequence[Task]) -> list[RenderedFace]:
    """All ``tasks`` drawn."""
    if isinstance(method, BatchMethod):
        return in_batches(method.render_batch, tasks, method.batches)
    return [method.render(task.prepared, task.crop, task.code, task.seed) for task in tasks]


def in_frame(crop: FaceCrop) -> FaceCrop:
    """The crop as the frame shows it, whatever edits have moved: what hides the face is found there."""
    return crop if crop.before is None else crop.before


def covered(crop: FaceCrop) -> tuple[F32, ...]:
    """Meshes (478, 3) in unit coordinates whose outlines a mask covers: the wanted one and, after an edit,
    the one that was there."""
    meshes = [crop.landmarks] if crop.before is None else [crop.landmarks, crop.before.landmarks]
    return tuple(np.asarray(points / np.float32(crop.rgb.shape[0]), np.float32) for points in meshes)


MethodBuilder = Callable[[JobOptions, PasteOptions], SwapMethod]
