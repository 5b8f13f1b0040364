"""Which files are meant, and what they are: folders and patterns opened up, clips probed."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from faceswap_cli.errors import FaceswapError, InputError, UsageError
from faceswap_cli.identity.people import resolved
from faceswap_cli.output import PICTURES, VIDEO_SUFFIXES, check_inputs
from faceswap_cli.stream import ordered_map

if TYPE_CHECKING:
    from faceswap_cli.records import Clip

VIDEOS = (
    *VIDEO_SUFFIXES,
    *(".3gp", ".avi", ".flv", ".m2ts", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".wmv"),
)
"""What is taken from a folder or a pattern; a file that is named may be called anything."""
_PROBES = 8


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A file to change, looked at."""

    path: Path
    clip: Clip | None = field(repr=False, default=None)
    """None: a picture, or something that cannot be read"""
    problem: FaceswapError | None = None

    @property
    def kind(self) -> str:
        """``video`` or ``image``; by its name when it cannot be read."""
        if self.problem is not None:
            return "image" if self.path.suffix.lower() in PICTURES else "video"
        return "image" if self.clip is None else "video"


def expand_targets(names: Sequence[str]) -> list[Path]:
    """Every file that ``names`` (files, folders, patterns) stand for, each once, in order."""
    found: list[Path] = []
    for name in names:
        path = _named(name, "target")
        if path.is_dir():
            found += _media_in(path)
        elif path.exists() or not glob.has_magic(name):
            found.append(path)
        else:
            found += _matching(name, (*PICTURES, *VIDEOS), "picture or video")
    return list(dict.fromkeys(found))


def expand_sources(names: Sequence[str]) -> list[Path]:
    """One path per person: a photograph or a folder of them; a pattern stands for its matches."""
    found: list[Path] = []
    for name in names:
        path = _named(resolved(name), "source")
        if path.exists() or not glob.has_magic(name):
            found.append(path)
        else:
            found += _matching(name, PICTURES, "picture or folder", folders=True)
    return list(dict.fromkeys(found))


def _named(name: str, role: str) -> Path:
    if name == "":
        raise UsageError(f"a {role}'s name is empty; check for an unset variable in the command")
    if name == "-":
        raise UsageError("'-' (stdin) cannot be used with 'faceswap batch'; give files, folders or patterns")
    return Path(name)


def _media_in(folder: Path) -> list[Path]:
    try:
        inside = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error.strerror}); check its permissions") from error
    found = [path for path in inside if _is_media(path, (*PICTURES, *VIDEOS))]
    if not found:
        raise InputError(
            f"{folder} holds no picture or video; for those in folders below it try '{folder}/**'"
        )
    return found


def _is_media(path: Path, kinds: Sequence[str]) -> bool:
    return path.suffix.lower() in kinds and not path.name.startswith(".") and path.is_file()


def _matching(pattern: str, kinds: Sequence[str], what: str, *, folders: bool = False) -> list[Path]:
    matches = (Path(name) for name in sorted(glob.glob(pattern, recursive=True)))
    found = [path for path in matches if _is_media(path, kinds) or (folders and path.is_dir())]
    if not found:
        raise InputError(f"no {what} matches {pattern}; check the pattern and the folder")
    return found


def examine(paths: Sequence[Path], max_pixels: int = 0) -> dict[Path, Target]:
    """Each file probed; what cannot be read keeps its reason, and does not stop the others."""
    distinct = list(dict.fromkeys(paths))
    looks = ordered_map(partial(_look, max_pixels=max_pixels), distinct, min(_PROBES, len(distinct)))
    return dict(zip(distinct, looks, strict=True))


def _look(path: Path, max_pixels: int) -> Target:
    from faceswap_cli.video.picture import animation_frames, is_picture
    from faceswap_cli.video.probe import probe

    try:
        check_inputs([path])
        if path.is_dir():
            raise InputError(f"{path} is a folder; a line of a manifest names one file")
        if is_picture(path) and animation_frames(path) <= 1:
            return Target(path)
        return Target(path, probe(path, max_pixels))
    except FaceswapError as error:
        return Target(path, problem=error)
