"""Every error a user can cause, each with the exit code that scripts see.

    FaceswapError (1)
    ├── UsageError (2)            a flag, a value or a configuration file is wrong
    ├── NoFaceFound (3)           no usable face in the source, or nothing swapped in the target
    ├── InputError (4)            an input cannot be read or is not supported
    ├── OutputError (5)           output exists, is not writable, or the disk is too small
    ├── WeightsError (6)          weights are missing, damaged, or not what was expected
    ├── DeviceError (7)           the named device cannot be used, or its memory is too small
    ├── BatchFailure (8)          a batch finished with some failures
    ├── PolicyError (9)           refused by the consent or content policy
    ├── QualityGateError (10)     ``--fail-under`` was not met
    └── Interrupted (130 or 143)  stopped by a signal; the work done so far is kept

A message is one line: what happened, to which file, and what to try.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class FaceswapError(Exception):
    """Base of all errors that end a command with one line instead of a traceback."""

    exit_code: int = 1
    code: str = "failure"


class UsageError(FaceswapError):
    """A flag, a value or a configuration file is wrong."""

    exit_code = 2
    code = "usage"


class NoFaceFound(FaceswapError):
    """No usable face in the source, or nothing was swapped in the target."""

    exit_code = 3
    code = "no-face"


class SeveralFaces(NoFaceFound):
    """A source picture shows several people, and none of them is clearly meant."""

    def __init__(self, message: str, pictures: tuple[Any, ...]) -> None:
        super().__init__(message)
        self.pictures = pictures
        """(S, S, 3) uint8 of each face, from the left"""


class InputError(FaceswapError):
    """An input file cannot be read, or is of a kind that is not supported."""

    exit_code = 4
    code = "input"


class OutputError(FaceswapError):
    """The output exists, its folder is not writable, or the disk is too small."""

    exit_code = 5
    code = "output"


class WeightsError(FaceswapError):
    """Weights are missing, damaged, or not the ones expected."""

    exit_code = 6
    code = "weights"


class DeviceError(FaceswapError):
    """The device that was asked for cannot be used, or ran out of memory."""

    exit_code = 7
    code = "device"


class BatchFailure(FaceswapError):
    """A batch ran to its end, but some of its jobs failed."""

    exit_code = 8
    code = "batch"


class PolicyError(FaceswapError):
    """The terms are not accepted, or the consent or content policy refuses."""

    exit_code = 9
    code = "policy"

    def __init__(self, message: str, *, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.details = dict(details or {})
        """What was found, for programs: JSON-ready values"""


class QualityGateError(FaceswapError):
    """A figure asked for with ``--fail-under`` was not reached."""

    exit_code = 10
    code = "quality"


class Interrupted(FaceswapError):
    """Stopped by a signal; finished work is kept."""

    exit_code = 130
    code = "interrupted"

    def __init__(self, message: str, *, exit_code: int = 130) -> None:
        super().__init__(message)
        self.exit_code = exit_code
