"""Text of strangers - names of files, tags, what a library said - for a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """``text`` with its lines and spaces, without anything that could steer a terminal.

    Parts of file names that are not valid text are left to the stream's own way of showing them.
    """
    return "".join(c if c.isprintable() or c == "\n" or "\ud800" <= c <= "\udfff" else "?" for c in text)


def one_line(text: str) -> str:
    """The same on one line, each gap one space."""
    return printable(" ".join(text.split()))
