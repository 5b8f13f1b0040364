"""Adapter to mediapipe's Tasks API: one picture in, meshes out.

Still-image mode only: the video mode filters over time in a way that depends on the timestamps.
A bundle that the runtime does not know can hang the process, so only the bundled files are used.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Literal

import numpy as np

from faceswap_cli.errors import WeightsError
from faceswap_cli.faces.runtime import load_mediapipe
from faceswap_cli.numerics import finite, told
from faceswap_cli.records import F32, U8
from faceswap_cli.weights.registry import bundled

Range = Literal["full", "short"]
BUNDLES: dict[Range, str] = {"full": "face_landmarker.task", "short": "face_landmarker_short.task"}

NOISE = re.compile(rb"^(?:[WIE]\d{4} \d\d:|INFO: |WARNING: (?:All log|Logging before))")


class _Diversion:
    """Of file descriptor 2 to a file; shared by all who want it at a time, the last one ends it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._open: tuple[int, IO[bytes]] | None = None

    def __enter__(self) -> None:
        with self._lock:
            if not self._users:
                self._open = self._begun()
            self._users += 1

    def _begun(self) -> tuple[int, IO[bytes]] | None:
        kept = tempfile.TemporaryFile()  # noqa: SIM115  closed by the last user
        try:
            saved = os.dup(2)
        except OSError:  # started without a standard error: nothing to keep quiet
            kept.close()
            return None
        os.dup2(kept.fileno(), 2)
        return saved, kept

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users or self._open is None:
                return
            (saved, kept), self._open = self._open, None
            os.dup2(saved, 2)
            with kept:
                kept.seek(0)
                for line in kept:
                    if not NOISE.match(line):
                        os.write(saved, line)
            os.close(saved)


_diversion = _Diversion()


@contextmanager
def quiet_start() -> Iterator[None]:
    """Drop the runtime's start-up chatter from file descriptor 2; all else written meanwhile is kept.

    The runtime logs from C++ before its logging can be configured, so the descriptor itself is
    diverted to a file for the few milliseconds of a start and other lines are passed on after it.
    Several threads may start at once.
    """
    with _diversion:
        yield


class Landmarker:
    """One model in memory; not to be used by two threads at a time."""

    def __init__(self, reach: Range, max_faces: int, confidence: float) -> None:
        """``reach``: full finds small faces, short is for faces wider than a tenth of the picture."""
        tasks = load_mediapipe().tasks
        path = bundled(BUNDLES[reach])
        options = tasks.vision.FaceLandmarkerOptions(
            base_options=tasks.BaseOptions(model_asset_path=str(path)),
            num_faces=max_faces,
            min_face_detection_confidence=confidence,
            min_face_presence_confidence=confidence,
        )
        try:
            with quiet_start():
                self._task: Any = tasks.vision.FaceLandmarker.create_from_options(options)
                # The networks are only set up, and heard, with the first picture.
                self.detect(np.zeros((64, 64, 3), np.uint8))
        except (RuntimeError, ValueError, OSError) as error:
            raise WeightsError(f"{path.name} cannot be loaded ({error}); reinstall faceswap-cli") from error

    def detect(self, rgb: U8) -> list[F32]:
        """(H, W, 3) uint8 -> meshes (478, 3) in pixels of ``rgb``, z in the same unit.

        The runtime aborts the process on sides of 32,768 px and more: callers shrink first.
        """
        mediapipe = load_mediapipe()
        height, width = rgb.shape[:2]
        image = mediapipe.Image(mediapipe.ImageFormat.SRGB, np.ascontiguousarray(rgb))
        size = np.array([width, height, width], dtype=np.float32)
        meshes = [
            np.array([(point.x, point.y, point.z) for point in mesh], dtype=np.float32) * size
            for mesh in self._task.detect(image).face_landmarks
        ]
        with told("(face landmark network)"):
            return [finite(mesh, "the mesh of a face") for mesh in meshes]

    def close(self) -> None:
        self._task.close()
