"""What the commands have in common that train a network on a pool for a number of images."""

from __future__ import annotations

import argparse
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from faceswap_cli.errors import FaceswapError, InputError

log = logging.getLogger(__name__)


def run_command(
    module: str,
    about: str | None,
    images: int,
    train: Callable[[argparse.Namespace, float], object],
    arguments: Sequence[str] | None,
    files: Mapping[str, str] | None = None,
) -> int:
    """Read the command line of ``python -m MODULE POOL FOLDER``, train, and return the exit code.

    ``train`` gets the options (pool, folder, images, seed, start) and the seconds it may take; errors of the
    program are one line.  ``images``: default of ``--images``; ``files``: further options that take a file,
    name -> help.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=about)
    parser.add_argument("pool", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=images)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-time", type=str, default="")
    parser.add_argument("--start", type=Path, default=None, help="weights (safetensors) to start from")
    for name, text in (files or {}).items():
        parser.add_argument(f"--{name}", type=Path, default=None, help=text)
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        limit_s = _seconds(given.max_time)
        given.folder.mkdir(parents=True, exist_ok=True)
        train(given, limit_s)
    except FaceswapError as error:
        log.error("%s", error)
        return error.exit_code
    return 0


def _seconds(text: str) -> float:
    """``90s``, ``25m``, ``2h`` -> seconds; nothing means no limit."""
    if not text:
        return math.inf
    unit = {"s": 1.0, "m": 60.0, "h": 3600.0}.get(text[-1])
    try:
        return float(text[:-1]) * unit if unit else float(text) * 60.0
    except ValueError as error:
        raise InputError(f"--max-time is {text!r}; use a number with s, m or h, e.g. 25m") from error
