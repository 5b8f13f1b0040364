"""What a file's streams hold, packet by packet: the test of "carried over by packet copy"."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path

import av

from faceswap_cli.errors import InputError


def audio_digests(path: Path) -> tuple[str, ...]:
    """One SHA-256 per audio stream over the bytes of all its packets, in the file's order.

    Two files with equal digests play the same sound, whatever their containers.
    """
    digests: dict[int, hashlib._Hash] = {}
    try:
        with av.open(str(path)) as container:
            for stream in container.streams.audio:
                digests[stream.index] = hashlib.sha256()
            if digests:
                for packet in container.demux(*container.streams.audio):
                    if packet.size:
                        digests[packet.stream.index].update(bytes(packet))
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(f"cannot read the sound of {path.name}: {error}; is the file complete?") from error
    return tuple(digests[index].hexdigest() for index in sorted(digests))


def frame_times(path: Path) -> tuple[Fraction, ...]:
    """Times of the first video stream in seconds, in order, from its packets; nothing is decoded."""
    times: list[Fraction] = []
    try:
        with av.open(str(path)) as container:
            for packet in container.demux(container.streams.video[0]):
                if packet.size and packet.pts is not None and packet.time_base is not None:
                    times.append(packet.pts * packet.time_base)
    except (av.error.FFmpegError, OSError, IndexError) as error:
        raise InputError(f"cannot read the pictures of {path.name}: {error}; is it a video?") from error
    return tuple(sorted(times))
