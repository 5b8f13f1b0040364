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
    others: int
    """Bytes of all other streams together"""

    def between(self, first_pts: int, end_pts: int) -> int:
        """Bytes of the video packets with ``first_pts <= pts < end_pts``."""
        low, high = np.searchsorted(self.pts, [first_pts, end_pts])
        return int(self.sizes[low:high].sum())


def packet_sizes(clip: Clip) -> PacketSizes:
    """Read through the container once.  :class:`InputError` when that fails."""
    found: list[tuple[int, int]] = []
    others = 0
    try:
        with open_input(clip.path) as container:
            for packet in unroll(container.demux(), clip):
                if not packet.size:
                    continue
                if packet.stream.index != clip.video_stream:
                    others += packet.size
                elif packet.pts is not None:
                    found.append((round(packet.pts * packet.time_base / clip.time_base), packet.size))
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(f"{clip.path} cannot be read ({error}); is the file complete?") from error
    table = np.array(sorted(found), dtype=np.int64).reshape(-1, 2)
    return PacketSizes(table[:, 0], table[:, 1], others)
