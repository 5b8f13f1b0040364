"""Damage behind the checksums: what a file holds is changed and its sums are made right again.

Without this nearly all damage to a PNG, a ZIP or a signed table of tensors is met by the first check.
"""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
import zlib

from tests.fuzz.corpus import resealed_record
from tests.fuzz.mutate import mutated


def mutated_inside(name: str, data: bytes, dice: random.Random, *, text: bool, other: bytes) -> bytes:
    """As :func:`mutated`, with the checksums of the format recomputed where there are some."""
    ending = name.rpartition(".")[2]
    if ending in ("npz", "pt") and data[:2] == b"PK":
        return _zip(data, dice)
    if ending in ("faceid", "safetensors"):
        return _tensors(data, dice)
    if ending == "json" and b'"digest"' in data:
        return resealed_record(mutated(data, dice, text=text, other=other))
    if ending == "png":
        return _repaired_png(mutated(data, dice) if dice.random() < 0.5 else _png_samples(data, dice))
    return mutated(data, dice, text=text, other=other)


def _zip(data: bytes, dice: random.Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as given:
        members = [(info, given.read(info)) for info in given.infolist()]
    chosen = dice.randrange(len(members))
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as made:
        for row, (info, content) in enumerate(members):
            held = content
            if row == chosen:
                json_like = content[128:129] == b"{" or content[:1] == b"{"
                held = _npy_text(content, dice) if json_like else mutated(content, dice)
            made.writestr(info.filename, held)
    return target.getvalue()


def _npy_text(content: bytes, dice: random.Random) -> bytes:
    """An array of bytes that is a text, with its length made right."""
    import numpy as np

    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except ValueError:
        return mutated(content, dice, text=True)
    target = io.BytesIO()
    np.save(target, np.frombuffer(mutated(array.tobytes(), dice, text=True), np.uint8))
    return target.getvalue()


def _tensors(data: bytes, dice: random.Random) -> bytes:
    """A safetensors file: header and numbers changed apart, lengths and our own digest made right."""
    size = int.from_bytes(data[:8], "little")
    head, body = data[8 : 8 + size], data[8 + size :]
    if dice.random() < 0.5:
        body = bytes(_same_length(body, mutated(body, dice)))
    else:
        head = _changed_header(head, dice)
    made = struct.pack("<Q", len(head)) + head + body
    return _resealed(made)


def _same_length(before: bytes, after: bytes) -> bytes:
    return after[: len(before)].ljust(len(before), b"\0")


def _changed_header(head: bytes, dice: random.Random) -> bytes:
    """Either as text, or one of the values inside the header's own JSON."""
    table = json.loads(head)
    meta = table.get("__metadata__", {})
    if meta and dice.random() < 0.6:
        key = dice.choice(sorted(meta))
        meta[key] = mutated(meta[key].encode(), dice, text=True).decode("utf-8", "replace")
        return json.dumps(table).encode()
    return mutated(head, dice, text=True)


def _resealed(data: bytes) -> bytes:
    """With the digest that an enrollment file has over its tensors."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    from faceswap_cli.identity.faceid import _content_digest

    try:
        digest = _content_digest(load(data))
        size = int.from_bytes(data[:8], "little")
        table = json.loads(data[8 : 8 + size])
        if "content" not in table.get("__metadata__", {}):
            return data
        table["__metadata__"]["content"] = digest
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError, AttributeError):
        return data
    head = json.dumps(table).encode()
    return struct.pack("<Q", len(head)) + head + data[8 + size :]


def _png_samples(data: bytes, dice: random.Random) -> bytes:
    """Samples, filters or the numbers of the header changed, and packed again."""
    made, place = bytearray(data[:8]), 8
    in_header = dice.random() < 0.4
    while place + 12 <= len(data):
        length = struct.unpack(">I", data[place : place + 4])[0]
        kind, held = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        place += 12 + length
        if kind == b"IDAT" and not in_header and data.count(b"IDAT") == 1:
            held = zlib.compress(mutated(zlib.decompress(held), dice))
        elif kind == b"IHDR" and in_header:
            held = _same_length(held, mutated(held, dice))
        made += struct.pack(">I", len(held)) + kind + held + bytes(4)
    return bytes(made)


def _repaired_png(data: bytes) -> bytes:
    made, place = bytearray(data[:8]), 8
    while place + 12 <= len(data):
        length = struct.unpack(">I", data[place : place + 4])[0]
        piece = data[place + 4 : place + 8 + length]
        if len(piece) < length + 4:
            break
        made += data[place : place + 4] + piece + struct.pack(">I", zlib.crc32(piece))
        place += 12 + length
    return bytes(made) + data[place:]
