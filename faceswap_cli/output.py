"""Where a result goes, and every check that can be made before the work starts.

An output is a file, a folder or a template with ``{stem} {ext} {source} {index}``; without
one it is ``<target stem>_swapped<ext>`` beside the target.  An input is never written over,
neither under another spelling of its name nor through a link.
"""

from __future__ import annotations

import os
import re
import shutil
import string
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from faceswap_cli.errors import InputError, OutputError, UsageError

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".avif")
"""Formats that can carry the machine-readable mark; BMP and GIF cannot."""
PICTURES = (*PICTURE_SUFFIXES, ".bmp", ".gif", ".heic", ".heif")
"""What is taken for a picture in a folder or a pattern."""
VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".nut")
"""The same, with exact times: AVI has neither, MPEG streams have no place for the mark."""
CLIP_SUFFIXES = (*VIDEO_SUFFIXES, ".gif", ".webp", ".png", ".apng")
"""What a clip is written as: a video or an animated picture."""
_REMUX = {
    **dict.fromkeys((".ts", ".mts", ".m2ts", ".avi", ".flv", ".3gp"), "-c copy"),
    **dict.fromkeys((".mpg", ".mpeg", ".vob"), "-q:v 2"),
    ".wmv": "-q:v 2 -c:a wmav2",
}
FIELDS = ("stem", "ext", "source", "index")
"""``ext`` includes its dot; ``index`` counts from 1 with four digits."""

_MIB = 1 << 20
_LONGEST_NAME = 235
"""Bytes; file systems allow 255, and the part file and the job folder add to the name."""
_LONGEST_FOLDER = 255
DISK_MARGIN_BYTES = 64 * _MIB
_BITS_PER_PIXEL = 0.12
"""A generous rate for the default quality; most footage needs a half or less."""
_LOSSLESS_BITS_PER_PIXEL = 8.0


@dataclass(frozen=True, slots=True)
class Naming:
    """What the parts of an output name are filled with."""

    target: Path
    ext: str
    """With its dot: what the output should be called when the user does not say."""
    kinds: tuple[str, ...]
    """Endings that can be written."""
    source: str = ""
    index: int = 1
    suffix: str = "_swapped"

    @property
    def default_name(self) -> str:
        return f"{self.target.stem}{self.suffix}{self.ext}"


def is_special(path: Path) -> bool:
    """Whether ``path`` is there and neither a file nor a folder: a pipe, a socket or a device."""
    return os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path))


def output_path(asked: str | None, naming: Naming) -> Path:
    """The output file for what was given as ``-o``; :class:`UsageError` when it cannot be named.

    :class:`OutputError` for a pipe or a device, which the finished file would take the place of.
    """
    if asked is None:
        return _short_enough(naming.target.parent / naming.default_name)
    if asked == "":
        raise UsageError("the output name is empty; give a file, a folder or a template after -o")
    if "{" in asked or "}" in asked:
        asked = _filled(asked, naming)
    path = Path(asked)
    if os.path.isdir(path) or asked.endswith(("/", os.sep)):
        path = path / naming.default_name
    if is_special(path):
        raise OutputError(f"{path} is a pipe or a device; name a file, or write to stdout with -o -")
    if not path.suffix:
        path = path.with_name(path.name + naming.ext)
    if path.suffix.lower() not in naming.kinds:
        raise UsageError(f"{path.name}: cannot write {path.suffix}; {_way_out(path, naming)}")
    return _short_enough(path)


def _way_out(path: Path, naming: Naming) -> str:
    """What to do about an ending that is not written."""
    how = _REMUX.get(path.suffix.lower())
    if how is None or ".mkv" not in naming.kinds:
        return f"known endings: {' '.join(naming.kinds)}"
    matroska = path.with_suffix(".mkv").name
    return f"write {matroska} and convert it: ffmpeg -i {matroska} {how} {path.name}"


def _short_enough(path: Path) -> Path:
    for part in path.parts:
        if len(os.fsencode(part)) > (_LONGEST_NAME if part == path.name else _LONGEST_FOLDER):
            raise OutputError(f"output name {part[:40]}... is too long; choose a shorter one with -o")
    return path


def _filled(template: str, naming: Naming) -> str:
    values = {
        "stem": naming.target.stem,
        "ext": naming.ext,
        "source": naming.source,
        "index": f"{naming.index:04d}",
    }
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
        unknown = sorted(set(names) - set(FIELDS))
        if not unknown:
            # `{stem}.{ext}` is what many write first; the ending already has its dot.
            return re.sub(r"\.(?=\{ext\})", "", template).format(**values)
    except (ValueError, IndexError, KeyError) as error:
        raise UsageError(f"output template {template!r} is not well formed ({error})") from error
    known = " ".join(f"{{{name}}}" for name in FIELDS)
    raise UsageError(f"output template {template!r} has unknown field {{{unknown[0]}}}; known: {known}")


def check_inputs(paths: Iterable[Path]) -> None:
    """Each path is a folder, or a file that can be opened and is not empty; else :class:`InputError`."""
    for path in paths:
        try:
            if is_special(path):  # to open a pipe waits for its other end, and takes what is in it
                raise InputError(
                    f"{path} is a pipe or a device, not a regular file; pipe it into '-' instead"
                )
            if path.is_dir():
                if next(path.iterdir(), None) is None:
                    raise InputError(f"{path} is an empty folder; give a file, or a folder with pictures")
            elif path.stat().st_size == 0 and path.is_file():
                raise InputError(f"{path} is empty (0 bytes); copy or export it again")
            else:
                path.open("rb").close()
        except FileNotFoundError:
            hint = near_name(path) or "check the spelling and the folder"
            raise InputError(f"{path} does not exist; {hint}") from None
        except OSError as error:
            raise InputError(
                f"{path} cannot be read ({error.strerror or error}); check its permissions"
            ) from error


def near_name(path: Path) -> str:
    """``did you mean ben.jpg?`` for a file that does not exist; empty where nothing there is like it."""
    import difflib

    try:
        names = sorted(entry.name for entry in path.parent.iterdir())
    except OSError:
        return ""
    near = [name for name in names if Path(name).stem == path.stem] or difflib.get_close_matches(
        path.name, names, 1, 0.75
    )
    return f"did you mean {path.with_name(near[0])}?" if near else ""


def check_output(
    path: Path, inputs: Iterable[Path], *, force: bool, skip_existing: bool, may_skip: bool = True
) -> bool:
    """True when the work may start, False when ``--skip-existing`` leaves nothing to do.

    ``may_skip``: the command has this flag.

    Raises :class:`OutputError` when the file exists, is an input, or its folder cannot be written.
    """
    for given in inputs:
        if same_file(path, given):
            raise OutputError(f"{path} is an input and is never overwritten; choose another name with -o")
    if path.exists() or path.is_symlink():
        if path.exists() and not path.is_file():
            raise OutputError(f"{path} is not a regular file; choose another name with -o")
        if skip_existing:
            return False
        if not force:
            keep = "--skip-existing to keep it" if may_skip else "give another name"
            raise OutputError(f"{path} exists; use --force to replace it, or {keep}")
    check_folder(path)
    return True


def check_folder(path: Path) -> None:
    """The folder of ``path`` exists and a file can be made in it; nothing is left behind."""
    folder = path.parent
    if not folder.exists():
        raise OutputError(f"folder {folder} does not exist; make it first (mkdir -p {folder})")
    if not folder.is_dir():
        raise OutputError(f"{folder} is not a folder; choose another name with -o")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"folder {folder} cannot be written ({reason}); choose another with -o") from error


def same_file(first: Path, second: Path) -> bool:
    """True for one and the same file, also through symbolic and hard links."""
    try:
        return os.path.samefile(first, second)
    except OSError:
        return os.path.realpath(first) == os.path.realpath(second)


def video_bytes(input_bytes: int, pixels: int, frames: int, *, lossless: bool = False) -> int:
    """Upper estimate of an output of ``frames`` frames of ``pixels`` pixels each."""
    bits = _LOSSLESS_BITS_PER_PIXEL if lossless else _BITS_PER_PIXEL
    return int(max(1.2 * input_bytes, pixels * frames * bits / 8))


def check_disk(folder: Path, needed: int, what: str) -> None:
    """``folder`` has room for ``needed`` bytes and a margin, else :class:`OutputError`."""
    free = shutil.disk_usage(folder).free
    wanted = needed + DISK_MARGIN_BYTES
    if free < wanted:
        raise OutputError(
            f"not enough room in {folder} for {what}: about {_mib(wanted)} needed, {_mib(free)} free; "
            "free some space or choose another disk with -o"
        )


def _mib(count: int) -> str:
    return f"{count / _MIB:,.0f} MiB"
