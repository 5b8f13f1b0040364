"""Frames whose size changes inside a stream: the decoder hands them out as stored, the reader scales them."""

from __future__ import annotations

from collections.abc import Sequence

from faceswap_cli.records import Clip, Frame, SizeChange


class SizeGauge:
    """Notes where the stored size of the frames of ``clip`` changes."""

    def __init__(self, clip: Clip) -> None:
        self.changes: list[SizeChange] = []
        self._own = self._last = (clip.width, clip.height)

    def add(self, frame: Frame) -> bool:
        """Whether ``frame``, the next in order, is stored in another size than the one before."""
        size = frame.scaled_from or self._own
        if size == self._last:
            return False
        self._last = size
        self.changes.append(SizeChange(frame.pts, *size))
        return True


def size_note(clip: Clip, changes: Sequence[SizeChange]) -> str:
    """One line with both sizes and the time of the first change; empty without a change."""
    if not changes:
        return ""
    first, own = changes[0], f"{clip.width}x{clip.height}"
    return (
        f"{clip.path.name}: the frame size changes from {own} to {first.width}x{first.height} at "
        f"{clip.seconds(first.pts):.2f} s; later frames are scaled to {own}"
    )
