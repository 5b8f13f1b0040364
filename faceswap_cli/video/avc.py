"""H.264 in MP4 and Matroska: parameter sets of a stream, and two sets of them side by side.

A decoder finds the parameter sets of a picture by number.  So packets of two encoders may follow
each other in one stream when their sets have different numbers and the stream's header (``avcC``,
ISO 14496-15) holds both: nothing needs to be rewritten and nothing stands between the pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

IDR, SPS, PPS = 5, 7, 8
_LENGTH_BYTES = 4
_PROFILES = (66, 77, 88, 100, 110, 122, 244)
"""Each decodes the ones before it, as they are used in practice."""
_WITH_FORMAT = (100, 110, 122, 244, 44, 83, 86, 118, 128)
"""Profiles whose sequence parameter sets name the sampling and the depth."""
_NUMBERS = 32


@dataclass(frozen=True, slots=True)
class Header:
    """What ``avcC`` says."""

    profile: int
    compatibility: int
    level: int
    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]
    rest: bytes
    """Sampling and depth, of the higher profiles"""

    @property
    def numbers(self) -> frozenset[int]:
        """Of all sets."""
        return frozenset([*map(_sps_number, self.sps), *(_Bits(s[1:]).ue() for s in self.pps)])


def read_header(data: bytes) -> Header | None:
    """``avcC`` with packet lengths of four bytes; None for anything else."""
    if len(data) < 7 or data[0] != 1 or data[4] & 3 != _LENGTH_BYTES - 1:
        return None
    sps, place = _sets(data, 6, data[5] & 31)
    if place >= len(data):
        return None
    pps, place = _sets(data, place + 1, data[place])
    if not sps or not pps or place > len(data) or not all((*sps, *pps)):
        return None
    return Header(data[1], data[2], data[3], sps, pps, data[place:])


def _sets(data: bytes, place: int, count: int) -> tuple[tuple[bytes, ...], int]:
    found = []
    for _ in range(count):
        size = int.from_bytes(data[place : place + 2], "big")
        found.append(data[place + 2 : place + 2 + size])
        place += 2 + size
    return tuple(found), place


def free_number(data: bytes) -> int:
    """A number that no parameter set in the header ``data`` has; 0 when it is not H.264."""
    header = read_header(data)
    taken = header.numbers if header else frozenset()
    return next((number for number in range(_NUMBERS) if number not in taken), 0)


def merged_headers(first: bytes, second: bytes) -> bytes | None:
    """One header for packets of both streams; None when they cannot be told apart by number."""
    a, b = read_header(first), read_header(second)
    if a is None or b is None or a.numbers & b.numbers:
        return None
    if a.profile not in _PROFILES or b.profile not in _PROFILES or len(a.sps) + len(b.sps) > 31:
        return None
    higher = max(a, b, key=lambda header: _PROFILES.index(header.profile))
    sps, pps = a.sps + b.sps, a.pps + b.pps
    head = bytes([1, higher.profile, a.compatibility & b.compatibility, max(a.level, b.level)])
    body = bytes([0xFC | (_LENGTH_BYTES - 1), 0xE0 | len(sps)]) + b"".join(map(_sized, sps))
    return head + body + bytes([len(pps)]) + b"".join(map(_sized, pps)) + higher.rest


def _sized(unit: bytes) -> bytes:
    return len(unit).to_bytes(2, "big") + unit


def units(packet: bytes) -> list[bytes]:
    """The units of a packet; empty when their lengths do not add up."""
    found, place = [], 0
    while place + _LENGTH_BYTES <= len(packet):
        size = int.from_bytes(packet[place : place + _LENGTH_BYTES], "big")
        found.append(packet[place + _LENGTH_BYTES : place + _LENGTH_BYTES + size])
        place += _LENGTH_BYTES + size
    return found if place == len(packet) and all(found) else []


def kind(unit: bytes) -> int:
    """What a unit holds: ``IDR``, ``SPS``, ``PPS`` or another number."""
    return unit[0] & 31


def is_progressive(header: Header) -> bool:
    """Whether every picture is coded as a whole frame, none as two fields."""
    return all(_frames_only(sps) for sps in header.sps)


def _sps_number(sps: bytes) -> int:
    return _Bits(sps[4:]).ue()


def _frames_only(sps: bytes) -> bool:
    bits = _Bits(sps[4:])
    bits.ue()
    if sps[1] in _WITH_FORMAT:
        _pass_format(bits)
    bits.ue()
    order = bits.ue()
    if order == 0:
        bits.ue()
    elif order == 1:
        bits.take(1)
        bits.ue()
        bits.ue()
        for _ in range(bits.ue()):
            bits.ue()
    bits.ue()
    bits.take(1)
    bits.ue()
    bits.ue()
    return bits.take(1) == 1


def _pass_format(bits: _Bits) -> None:
    sampling = bits.ue()
    if sampling == 3:
        bits.take(1)
    bits.ue()
    bits.ue()
    bits.take(1)
    if bits.take(1):
        for number in range(12 if sampling == 3 else 8):
            if bits.take(1):
                _pass_scaling(bits, 16 if number < 6 else 64)


def _pass_scaling(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.se()) % 256
        last = following or last


class _Bits:
    """Reads the payload of a unit bit by bit; past its end there are ones, so that every read ends."""

    def __init__(self, unit: bytes) -> None:
        plain = unit.replace(b"\x00\x00\x03", b"\x00\x00")
        self._bits = "".join(f"{byte:08b}" for byte in plain)
        self._place = 0

    def take(self, count: int) -> int:
        found = self._bits[self._place : self._place + count].ljust(count, "1")
        self._place += count
        return int(found, 2) if found else 0

    def ue(self) -> int:
        """An unsigned Exp-Golomb number."""
        zeros = 0
        while self.take(1) == 0:
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)

    def se(self) -> int:
        """A signed one."""
        code = self.ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)
