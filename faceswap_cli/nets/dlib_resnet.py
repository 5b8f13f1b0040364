"""The face recognition network of dlib ("ResNet v1"), 29 convolutions, as a torch module.

Layer for layer as in dlib's ``dnn_face_recognition_ex.cpp`` (D. E. King, CC0): residual blocks
whose shortcut is average-pooled and zero-padded where the size changes, affine layers in place
of batch normalization.  Names in the state dict are ours.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHIP = 150
"""Side of the input in pixels."""
STAGES = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))
"""(channels, blocks, first block halves the size)"""


class Affine(nn.Module):
    """Gain and bias per channel: batch normalization with its statistics folded in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gain[:, None, None] + self.bias[:, None, None]


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, *, halve: bool) -> None:
        super().__init__()
        self.halve = halve
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=2 if halve else 1, padding=0 if halve else 1)
        self.affine1 = Affine(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.affine2 = Affine(outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = self.affine2(self.conv2(F.relu(self.affine1(self.conv1(x)))))
        if self.halve:
            x = F.avg_pool2d(x, 2)
        # dlib adds tensors of unequal size as if the smaller one went on with zeros.
        channels, height, width = (max(a, b) for a, b in zip(x.shape[1:], y.shape[1:], strict=True))
        return F.relu(_grown(x, channels, height, width) + _grown(y, channels, height, width))


def _grown(x: Tensor, channels: int, height: int, width: int) -> Tensor:
    missing = (0, width - x.shape[3], 0, height - x.shape[2], 0, channels - x.shape[1])
    return F.pad(x, missing) if any(missing) else x


class DlibResNet(nn.Module):
    """(N, 3, 150, 150) RGB in [0, 255] -> (N, 128); Euclidean distance below 0.6 means the same person.

    The input is a face chip (``identity.embed.chip_from_points``).  Outputs are not unit length.
    """

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 7, stride=2)
        self.stem_affine = Affine(32)
        self.stages = nn.ModuleList()
        inputs = 32
        for outputs, count, halve in STAGES:
            blocks = []
            for k in range(count):
                blocks.append(Block(inputs, outputs, halve=halve and k == 0))
                inputs = outputs
            self.stages.append(nn.Sequential(*blocks))
        self.head = nn.Linear(256, 128, bias=False)
        mean = torch.tensor([122.782, 117.001, 104.298]).view(3, 1, 1)
        self.register_buffer("mean", mean)

    def forward(self, x: Tensor) -> Tensor:
        last: Tensor = self.features(x)[-1]
        embedding: Tensor = self.head(last.mean(dim=(2, 3)))
        return embedding

    def features(self, x: Tensor) -> list[Tensor]:
        """Activations of the stem and of the five stages, fine to coarse, for perceptual losses.

        Channels 32, 32, 64, 128, 256, 256; sides 72, 35, 17, 8, 4, 2 (rounded as dlib does) for 150 px.
        """
        x = F.relu(self.stem_affine(self.stem((x - self.mean) / 256.0)))
        found = [x]
        x = F.max_pool2d(x, 3, stride=2)
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found
