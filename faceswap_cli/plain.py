"""Text of strangers - names of files, tags, what a library said - for a terminal."""

from __future__ import annotations


def one_line(text: str) -> str:
    """``text`` without anything that could steer a terminal.

    Parts of file names that are no valid text are left to the stream's own way of showing them.
    """
    plain = " ".join(text.split())
    return "".join(c if c.isprintable() or "\ud800" <= c <= "\udfff" else "?" for c in plain)
