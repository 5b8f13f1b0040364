"""Enrolled people by name: where their files lie, and what ``@NAME`` means.

One file per person, ``NAME.faceid``, in the user's data folder or where ``FACESWAP_PEOPLE`` points.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from faceswap_cli.errors import InputError, OutputError, UsageError

SUFFIX = ".faceid"
MARK = "@"
MIXTURES = ".mixed"
"""Folder of people between people, beside theirs."""
_NAME = re.compile(r"[^\W_][\w-]{0,39}")


def people_folder() -> Path:
    """The folder of the user's enrolled people."""
    named = os.environ.get("FACESWAP_PEOPLE")
    if named:
        return Path(named).expanduser()
    from platformdirs import user_data_path

    return user_data_path("faceswap") / "people"


def checked_name(name: str) -> str:
    """``name`` without its ``@``; :class:`UsageError` when no file could be called so."""
    plain = name.removeprefix(MARK)
    if not _NAME.fullmatch(plain):
        raise UsageError(
            f"{name[:60]!r} is not a valid name; use 1 to 40 letters, digits, - or _, a letter or digit first"
        )
    return plain


def person_path(name: str) -> Path:
    """Where the file of ``name`` lies or would lie."""
    return people_folder() / (checked_name(name) + SUFFIX)


def known_people() -> list[Path]:
    """The files of all enrolled people, by name."""
    folder = people_folder()
    try:
        inside = sorted(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error.strerror}); check its permissions") from error
    return [path for path in inside if path.suffix == SUFFIX and not path.name.startswith(".")]


def resolved(name: str) -> str:
    """A source as it was given: ``@NAME`` becomes the path of that person's file, all else stays.

    ``@A:0.3+@B:0.7`` becomes that of a person between them (``identity.mixture``).  A file whose own name
    begins with ``@`` is meant by ``./@...``.
    """
    if not name.startswith(MARK):
        return name
    if "+" in name:
        return str(_mixture(name))
    path = person_path(name)
    if not path.is_file():
        raise InputError(_unknown(path.stem))
    return str(path)


def _mixture(text: str) -> Path:
    from faceswap_cli.identity.mixture import mixed_file, parts_of

    files = [Path(resolved(MARK + name)) for name, _ in parts_of(text)]
    return mixed_file(text, files, people_folder())


def remove(name: str) -> Path:
    """Delete the file of ``name`` and all mixtures of people; its path."""
    path = person_path(name)
    if not path.is_file():
        raise InputError(_unknown(path.stem))
    try:
        path.unlink()
        if (mixtures := people_folder() / MIXTURES).is_dir():
            shutil.rmtree(mixtures)
    except OSError as error:
        raise OutputError(f"{path} cannot be removed ({error.strerror}); check its permissions") from error
    return path


def _unknown(name: str) -> str:
    known = ", ".join(path.stem for path in known_people()) or "nobody yet"
    return f"nobody is enrolled as {name}; known: {known}; try 'faceswap enroll {name} PHOTO...'"
