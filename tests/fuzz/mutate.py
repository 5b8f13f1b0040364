"""Small random damage to a file: what a bad disk, a bad link or a bad person does to it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

INTERESTING = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    16384,
    65537,
    10**9,
    2**31 - 1,
    2**31,
    2**32 - 1,
)
WORDS = (
    *("0", "-1", "1e308", "nan", "inf", "-inf", "9" * 400, "1" * 5000, "true", "null", "[]", "{}", '""'),
    *(
        "../" * 8 + "etc/passwd",
        "/dev/zero",
        "/dev/stdin",
        "~nobody/x",
        "a\\0b",
        "\\ud800",
        "\x1b[2J",
        "NUL:",
    ),
    *(
        "{stem}",
        "{0}",
        "{stem.__class__}",
        "%s%n",
        "[" * 3000,
        '{"a":' * 3000,
        "a.b.c = 1\n",
        "file:///etc/passwd",
    ),
    *(
        "1970-13-40",
        "9999-12-31",
        "0xFFFFFFFFFFFFFFFFFF",
        "\ufeff",
        "\u202e",
        "concat:/etc/passwd|",
        "=",
        "\r",
        "\0",
    ),
)
_HEAD, _TAIL = 1024, 2048
"""Where the formats keep what is worth lying about."""
Mutation = Callable[[bytearray, random.Random], None]


def mutated(data: bytes, dice: random.Random, *, text: bool = False, other: bytes = b"") -> bytes:
    """``data`` with one to six changes; ``other`` is a file to splice pieces from."""
    changed = bytearray(data)
    kinds = TEXT_MUTATIONS if text and dice.random() < 0.8 else MUTATIONS
    for _ in range(min(6, 1 + int(dice.expovariate(0.7)))):
        if other and dice.random() < 0.05:
            _splice(changed, dice, other)
        else:
            dice.choice(kinds)(changed, dice)
    return bytes(changed)


def _place(data: bytearray, dice: random.Random) -> int:
    """A position; headers and indexes are hit more often than the rest."""
    size = len(data)
    where = dice.random()
    if where < 0.4:
        return dice.randrange(min(size, _HEAD) or 1)
    if where < 0.6:
        return size - 1 - dice.randrange(min(size, _TAIL) or 1) if size else 0
    return dice.randrange(size or 1)


def _flip(data: bytearray, dice: random.Random) -> None:
    for _ in range(dice.choice((1, 1, 2, 8))):
        if data:
            data[_place(data, dice)] ^= 1 << dice.randrange(8)


def _number(data: bytearray, dice: random.Random) -> None:
    width = dice.choice((1, 2, 4, 4, 8))
    value = dice.choice(INTERESTING) % (1 << 8 * width)
    place = _place(data, dice)
    data[place : place + width] = value.to_bytes(width, dice.choice(("little", "big")))


def _noise(data: bytearray, dice: random.Random) -> None:
    place, length = _place(data, dice), dice.choice((1, 4, 16, 200))
    data[place : place + length] = dice.randbytes(length)


def _fill(data: bytearray, dice: random.Random) -> None:
    place, length = _place(data, dice), dice.choice((4, 16, 64, 512))
    data[place : place + length] = bytes([dice.choice((0, 0xFF))]) * length


def _cut(data: bytearray, dice: random.Random) -> None:
    del data[_place(data, dice) :]


def _remove(data: bytearray, dice: random.Random) -> None:
    place = _place(data, dice)
    del data[place : place + dice.choice((1, 2, 7, 100, 3000))]


def _repeat(data: bytearray, dice: random.Random) -> None:
    place = _place(data, dice)
    piece = data[place : place + dice.choice((4, 32, 300))]
    data[place:place] = piece * dice.choice((1, 2, 20))


def _splice(data: bytearray, dice: random.Random, other: bytes) -> None:
    start = dice.randrange(len(other))
    piece = other[start : start + dice.choice((16, 200, 2000))]
    place = _place(data, dice)
    data[place : place + dice.choice((0, len(piece)))] = piece


def _word(data: bytearray, dice: random.Random) -> None:
    """One value or name of a text becomes another."""
    found = list(re.finditer(rb"[^\s,=\"\[\]{}:]+", bytes(data)))
    word = dice.choice(WORDS).encode("utf-8", "surrogatepass")
    if not found:
        data += word
        return
    chosen = dice.choice(found)
    data[chosen.start() : chosen.end()] = word


def _swap_words(data: bytearray, dice: random.Random) -> None:
    found = list(re.finditer(rb"[^\s,=\"\[\]{}:]+", bytes(data)))
    if len(found) > 1:
        first, second = sorted(dice.sample(range(len(found)), 2))
        a, b = found[first], found[second]
        data[b.start() : b.end()] = a.group()
        data[a.start() : a.end()] = b.group()


def _lines(data: bytearray, dice: random.Random) -> None:
    """A line is doubled, lost or moved."""
    lines = bytes(data).split(b"\n")
    row = dice.randrange(len(lines))
    kind = dice.randrange(3)
    if kind == 0:
        lines.insert(dice.randrange(len(lines) + 1), lines[row])
    elif kind == 1:
        del lines[row]
    else:
        lines.insert(dice.randrange(len(lines)), lines.pop(row))
    data[:] = b"\n".join(lines)


def _punctuation(data: bytearray, dice: random.Random) -> None:
    place = dice.randrange(len(data) + 1)
    mark = dice.choice((b'"', b"'", b"[", b"]", b"{", b"}", b",", b"=", b"\n", b"#", b"|", b"\xff", b"\0"))
    data[place : place + dice.randrange(2)] = mark


MUTATIONS: tuple[Mutation, ...] = (_flip, _flip, _number, _number, _noise, _fill, _cut, _remove, _repeat)
TEXT_MUTATIONS: tuple[Mutation, ...] = (_word, _word, _word, _swap_words, _lines, _punctuation, _flip, _cut)
