"""The occluder head: what of a face crop lies in front of the face, by class.

A U-Net of plain 3x3 convolutions on a crop of 192 px that answers at 96 px: 0.21 GMAC, 0.9 million
parameters.
Coarse levels decide what a thing is (a finger, a beard), fine ones where it ends.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from faceswap_cli.nets.unet import UNet

SIDE, SIDE_OUT = 192, 96
CHANNELS_IN = 5
"""R'G'B' in [-1, 1], the inside of the face outline and of the features, each in [-1, 1]"""
CLASSES = ("face", "rim", "lens", "hair", "thing", "mask")
"""Softmax over these; ``thing`` is a hand or an object, ``mask`` a covering worn over mouth and nose."""
WIDTHS = (16, 32, 64, 96, 128)
"""Channels at 96, 48, 24, 12 and 6 px"""


class OccluderHead(UNet):
    """(N, 5, 192, 192) -> (N, 6, 96, 96) logits of :data:`CLASSES`."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__(CHANNELS_IN, widths, nn.ReLU)
        self.answer = nn.Conv2d(widths[0], len(CLASSES), 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.answered(self.levels(x))

    def answered(self, levels: Sequence[Tensor]) -> Tensor:
        """The logits by what :meth:`levels` gives."""
        out: Tensor = self.answer(self.joined(levels))
        return out
