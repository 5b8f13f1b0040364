"""How many bytes the packets of a file take; nothing is decoded."""

from __future__ import annotations

from dataclasses import dataclass, field

import av
import numpy as np

from faceswap_cli.errors import InputError
from faceswap_cli.records import I64, Clip
from faceswap_cli.video.clock import unroll
from faceswap_cli.video.opening import open_input


@dataclass(frozen=True, slots=True, eq=False)
class PacketSizes:
    """Of one clip."""

    pts: I64 = field(repr=False)
    """(N,) presentation times of the video packets, increasing"""
    sizes: I64 = field(repr=False)
    """(N,) their bytes"""
    keys: I64 = field(repr=False)
    """(K,) those of ``pts`` at which decoding can begin"""
    others: int
    """Bytes of all other streams together"""

    def within(self, first_pts: int | None, end_pts: int | None) -> PacketSizes:
        """Packets of the part ``first_pts <= pts < end_pts``, and its share of the other streams."""
        limits = np.iinfo(np.int64)
        first = limits.min if first_pts is None else first_pts
        end = limits.max if end_pts is None else end_pts
        low, high = np.searchsorted(self.pts, [first, end])
        keys = self.keys[(self.keys >= first) & (self.keys < end)]
        others = round(self.others * (high - low) / max(len(self.pts), 1))
        return PacketSizes(self.pts[low:high], self.sizes[low:high], keys, others)

    def between(self, first_pts: int, end_pts: int) -> int:
        """Bytes of the video packets with ``first_pts <= pts < end_pts``."""
        low, high = np.searchsorted(self.pts, [first_pts, end_pts])
        return int(self.sizes[low:high].sum())

    def on_its_own(self, first_pts: int, end_pts: int) -> int:
        """The same as if the first of them were a key frame, as it is in an encoded segment."""
        key = np.isin(self.pts, self.keys)
        low, high = np.searchsorted(self.pts, [first_pts, end_pts])
        more = 0.0
        if low < high and key.any() and not key[low]:
            more = max(float(self.sizes[key].mean()) - float(self.sizes[low]), 0.0)
        return round(int(self.sizes[low:high].sum()) + more)


def packet_sizes(clip: Clip) -> PacketSizes:
    """Read through the container once.  :class:`InputError` when that fails."""
    found: list[tuple[int, int, bool]] = []
    others = 0
    try:
        with open_input(clip.path) as container:
            for packet in unroll(container.demux(), clip):
                if not packet.size:
                    continue
                if packet.stream.index != clip.video_stream:
                    others += packet.size
                elif packet.pts is not None:
                    pts = round(packet.pts * packet.time_base / clip.time_base)
                    found.append((pts, packet.size, packet.is_keyframe))
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(f"{clip.path} cannot be read ({error}); is the file complete?") from error
    table = np.array(sorted(found), dtype=np.int64).reshape(-1, 3)
    return PacketSizes(table[:, 0], table[:, 1], table[table[:, 2] > 0, 0], others)
