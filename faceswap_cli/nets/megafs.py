"""The latent swappers of MegaFS, baselines that FSLSD compares with: codes in, codes out.

Source: Zhu et al., "One Shot Face Swapping on Megapixels" (CVPR 2021), section 3.2 (face transfer module)
and its ablation (injection); names of the published modules.  Codes are (N, 18, D): rows 0..3 stay the
target's, 14 rows are mixed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

KEPT_ROWS = 4
MIXED_ROWS = 14
ROUNDS = 3


def _gate(dim: int, hidden: int, last: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(2 * dim, hidden), nn.ReLU(), nn.Linear(hidden, dim), last)


class TransferCell(nn.Module):
    """Three rounds in which identity and attribute code exchange what they gate."""

    def __init__(self, dim: int = 512, hidden: int = 256, rounds: int = ROUNDS) -> None:
        super().__init__()
        self.idd_selectors = nn.ModuleList(_gate(dim, hidden, nn.Sigmoid()) for _ in range(rounds))
        self.idd_shifters = nn.ModuleList(_gate(dim, hidden, nn.Tanh()) for _ in range(rounds))
        self.att_selectors = nn.ModuleList(_gate(dim, hidden, nn.Sigmoid()) for _ in range(rounds))
        self.att_shifters = nn.ModuleList(_gate(dim, hidden, nn.Tanh()) for _ in range(rounds))

    def forward(self, identity: Tensor, attribute: Tensor) -> tuple[Tensor, Tensor]:
        """(N, D), (N, D) -> the same"""
        gates = zip(self.idd_selectors, self.idd_shifters, self.att_selectors, self.att_shifters, strict=True)
        for idd_select, idd_shift, att_select, att_shift in gates:
            both = torch.cat([identity, attribute], dim=1)
            identity = identity * idd_select(both) + idd_shift(both)
            attribute = attribute * att_select(both) + att_shift(both)
        return identity, attribute


class FaceTransferModule(nn.Module):
    """Keys ``blocks.i.*``, ``weight`` (1, 14, D): the blend of the two codes, through a sigmoid."""

    def __init__(self, rows: int = MIXED_ROWS, dim: int = 512) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, rows, dim))
        self.blocks = nn.ModuleList(TransferCell(dim) for _ in range(rows))

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """(N, 4 + rows, D), (N, 4 + rows, D) -> (N, 4 + rows, D)"""
        pairs = [
            cell(source[:, KEPT_ROWS + k], target[:, KEPT_ROWS + k]) for k, cell in enumerate(self.blocks)
        ]
        identity = torch.stack([pair[0] for pair in pairs], dim=1)
        attribute = torch.stack([pair[1] for pair in pairs], dim=1)
        share: Tensor = torch.sigmoid(self.weight)
        mixed: Tensor = share * identity + (1 - share) * attribute
        return torch.cat([target[:, :KEPT_ROWS], mixed], dim=1)


class InjectionLayer(nn.Module):
    """The attribute code, whitened by running statistics, scaled and shifted by the identity code."""

    def __init__(self, dim: int = 512) -> None:
        super().__init__()
        self.idd_linears = nn.Sequential(nn.Linear(dim, dim), nn.ReLU())
        self.idd_selectors = nn.Linear(dim, dim)
        self.idd_shifters = nn.Linear(dim, dim)
        self.att_bns = nn.BatchNorm1d(dim, affine=False)

    def forward(self, attribute: Tensor, identity: Tensor) -> Tensor:
        """(N, D), (N, D) -> (N, D)"""
        hidden = self.idd_linears(identity)
        scaled = self.att_bns(attribute) * (1 + self.idd_selectors(hidden))
        result: Tensor = scaled + self.idd_shifters(hidden)
        return result


class InjectionBlock(nn.Module):
    """Two injections, each with a linear layer behind it, plus the attribute code.

    The published rectifier between them is built with a slope of ``True``, 1: it does nothing.
    """

    def __init__(self, dim: int = 512) -> None:
        super().__init__()
        self.att_path1 = nn.Sequential(nn.Sequential(InjectionLayer(dim), nn.Identity(), nn.Linear(dim, dim)))
        self.att_path2 = nn.Sequential(nn.Sequential(InjectionLayer(dim), nn.Identity(), nn.Linear(dim, dim)))

    def forward(self, identity: Tensor, attribute: Tensor) -> Tensor:
        """(N, D), (N, D) -> (N, D)"""
        x = attribute
        for path in (self.att_path1, self.att_path2):
            layers = list(path[0].children())
            x = layers[2](layers[0](x, identity))
        return x + attribute


class InjectionModule(nn.Module):
    """Keys ``blocks.i.att_path{1,2}.0.*``."""

    def __init__(self, rows: int = MIXED_ROWS, dim: int = 512) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(InjectionBlock(dim) for _ in range(rows))

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """(N, 4 + rows, D), (N, 4 + rows, D) -> (N, 4 + rows, D)"""
        rows = [
            block(source[:, KEPT_ROWS + k], target[:, KEPT_ROWS + k]) for k, block in enumerate(self.blocks)
        ]
        return torch.cat([target[:, :KEPT_ROWS], torch.stack(rows, dim=1)], dim=1)
