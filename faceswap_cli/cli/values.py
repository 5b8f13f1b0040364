"""Values that the TAB key offers for a flag or a source."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from faceswap_cli.config import EDIT_RANGES
from faceswap_cli.errors import FaceswapError
from faceswap_cli.identity.people import MARK, known_people
from faceswap_cli.user_files import taught_names

VALUES: dict[str, tuple[str, ...]] = {
    "--face": ("largest", "left", "all", "1", "2"),
    "--method": ("auto", "mesh", "fslsd", "nitzan"),
    "--mapper": ("landmarks", "nitzan", "blend:0.5"),
    "--preserve": ("mouth", "eyes", "brows", "skin", "shape"),
    "--glasses": ("keep", "remove"),
    "--beard": ("keep", "remove"),
    "--mask-regions": ("brows", "eyes", "nose", "mouth", "skin", "forehead"),
    "--device": ("auto", "cpu", "cuda", "mps"),
    "--precision": ("float32", "bfloat16"),
    "--appear-from": ("released", "paper"),
    "--compare": ("side", "wipe"),
    "--codec": ("libx264", "libx265", "libsvtav1", "libvpx-vp9", "prores_ks", "ffv1"),
    "--preset": ("ultrafast", "veryfast", "fast", "medium", "slow", "slower"),
    "--progress": ("auto", "plain", "none"),
}
"""Flag -> values worth offering; the shell offers file names for every other flag."""

Complete = Callable[[str], list[str]]


def names(incomplete: str) -> list[str]:
    """Enrolled people."""
    return [path.stem for path in _people() if path.stem.startswith(incomplete)]


def sources(incomplete: str) -> list[str]:
    """``@NAME`` of enrolled people; the shell offers files where this offers nothing."""
    if not incomplete.startswith(MARK):
        return []
    return [f"{MARK}{path.stem}" for path in _people() if path.stem.startswith(incomplete[len(MARK) :])]


def _people() -> list[Path]:
    with suppress(FaceswapError):
        return known_people()
    return []


def edits(incomplete: str) -> list[str]:
    """``smile=`` and the like, those that the user has taught included; of a list the last one."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{one}=" for one in (*EDIT_RANGES, *taught_names()) if one.startswith(last)]


_FOUND: dict[str, Complete] = {"--edit": edits, "--remove": names, "--source": sources}
"""Flags whose values are looked up"""


def values_of(flag: str) -> Complete | None:
    """What completes the value of ``flag``; None where nothing is known."""
    known = VALUES.get(flag)
    if known is None:
        return _FOUND.get(flag)

    def complete(incomplete: str) -> list[str]:
        return [value for value in known if value.startswith(incomplete)]

    return complete
