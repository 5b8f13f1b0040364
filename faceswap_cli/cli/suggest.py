"""What was probably meant: ``faceswap me.jpg clip.mp4``, ``faceswap swap``, ``faceswap help video``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from faceswap_cli.output import PICTURE_SUFFIXES, VIDEO_SUFFIXES

_VERBS = frozenset({"swap", "face-swap", "faceswap", "run", "convert"})
_MEANT = {"enrol": "enroll", "images": "image", "photo": "image", "picture": "image", "videos": "video"}
_MEANT |= {
    "clip": "video",
    "preview": "video",
    "check": "doctor",
    "benchmark": "bench",
    "version": "--version",
}


def as_command(argv: Sequence[str]) -> list[str]:
    """The arguments; ``help COMMAND`` becomes ``COMMAND --help``."""
    if argv and argv[0] == "help":
        return [*argv[1:], "--help"]
    return list(argv)


def suggestion(argv: Sequence[str], known: Sequence[str]) -> str:
    """One line about the right command when the first argument is not one; empty when it is."""
    first = argv[0] if argv else "-"
    if first.startswith("-") or first in known:
        return ""
    rest = list(argv[1:]) if first in _VERBS else list(argv)
    files = [word for word in rest if not word.startswith("-")]
    if first in _VERBS or _is_input(first):
        words = [_command_for(files), *rest] if files else ["video", "me.jpg", "clip.mp4"]
        return f"{first!r} is not a command; try: {shlex.join(['faceswap', *words])}"
    close = [_MEANT[first]] if first in _MEANT else get_close_matches(first, known, 1)
    meant = f"try: faceswap {close[0]}" if close else "see: faceswap --help"
    return f"{first!r} is not a command; {meant}"


def _is_input(word: str) -> bool:
    """A word that names a file or a person rather than a command."""
    path = Path(word)
    return (
        word.startswith("@") or path.suffix.lower() in (*PICTURE_SUFFIXES, *VIDEO_SUFFIXES) or path.exists()
    )


def _command_for(files: Sequence[str]) -> str:
    """By the last file: a picture, a video, or a folder of targets."""
    last = Path(files[-1])
    if len(files) > 1 and last.is_dir():
        return "batch"
    return "image" if last.suffix.lower() in PICTURE_SUFFIXES else "video"
