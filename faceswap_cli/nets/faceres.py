"""The face recognition network "faceres" (MobileNet v1 trained on VGGFace2), as a torch module.

Layer for layer as in HSE-asavchenko/HSE_FaceRec_tf (Apache-2.0): a convolution, then thirteen
depthwise-separable blocks (Howard et al. 2017, table 1), each convolution followed by a ReLU that
stops at 6.  Batch normalization is folded into the convolutions.  Names in the state dict are ours.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

SIDE = 224
"""Side of the input in pixels."""
FEATURES = 1024
BLOCKS = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1)),
)
"""(channels, stride) of each block."""


class SameConv(nn.Conv2d):
    """A 3x3 convolution with TensorFlow's SAME padding: an odd pixel goes to the right and the bottom."""

    def __init__(self, inputs: int, outputs: int, stride: int, groups: int = 1) -> None:
        super().__init__(inputs, outputs, 3, stride, padding=0 if stride == 2 else 1, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        # Sides are even wherever the stride is 2, so one row and one column are missing.
        return super().forward(F.pad(x, (0, 1, 0, 1)) if self.stride[0] == 2 else x)


class Separable(nn.Module):
    """A 3x3 convolution in each channel, then one across channels."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.depthwise = SameConv(inputs, inputs, stride, groups=inputs)
        self.pointwise = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu6(self.pointwise(F.relu6(self.depthwise(x))))


class FaceRes(nn.Module):
    """(N, 3, 224, 224) RGB in [0, 255] -> (N, 1024) features, all >= 0 and not of unit length.

    Compare them by cosine.  No mean color is subtracted: the first convolution expects raw levels.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(3, 32, 2)
        self.blocks = nn.ModuleList()
        inputs = 32
        for outputs, stride in BLOCKS:
            self.blocks.append(Separable(inputs, outputs, stride))
            inputs = outputs

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self.stem(x))
        for block in self.blocks:
            x = block(x)
        return x.mean(dim=(2, 3))
