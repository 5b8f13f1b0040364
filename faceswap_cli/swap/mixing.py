"""Where each latent code comes from: pure functions on (N, L, D) codes.

Row 0 steers 4x4, rows 2r-1 and 2r the level 4 * 2^r.  The paper (section 3.2) keeps 7 structure rows of the
source and takes 11 appearance rows from the target.  The released code cuts at the other end: 11 rows from
the source and 7 from the target, and its weights are run that way.
"""

from __future__ import annotations

import torch
from torch import Tensor

from faceswap_cli.errors import UsageError

RELEASED_APPEAR_FROM = 11
"""First row taken from the target by the released inference code; its weights want this one."""
PAPER_APPEAR_FROM = 7
"""First row taken from the target as the paper describes it."""
MEGAFS_KEPT_ROWS = 4

SPLITS = {"released": RELEASED_APPEAR_FROM, "paper": PAPER_APPEAR_FROM}


def appear_from_row(value: str | int, structure_rows: int = 7, layers: int = 18) -> int:
    """``released``, ``paper`` or a row -> the first row that comes from the target."""
    row = SPLITS.get(str(value))
    if row is None and str(value).isdigit():
        row = int(value)
    if row is None or not structure_rows <= row <= layers:
        raise UsageError(
            f"--appear-from is released (11), paper (7) or a row {structure_rows} to {layers}, not {value}"
        )
    return row


def mix(source: Tensor, structure: Tensor, target: Tensor, appear_from: int = RELEASED_APPEAR_FROM) -> Tensor:
    """(N, L, D), (N, 7, D), (N, L, D) -> (N, L, D).

    Rows 0..6 source plus structure, from 7 up to ``appear_from`` source, the rest target.
    """
    rows = structure.shape[1]
    return torch.cat(
        [source[:, :rows] + structure, source[:, rows:appear_from], target[:, appear_from:]], dim=1
    )


def megafs_split(source: Tensor, target: Tensor, kept: int = MEGAFS_KEPT_ROWS) -> Tensor:
    """(N, L, D), (N, L, D) -> (N, L, D): rows below ``kept`` target, the rest source ("lcr" of MegaFS)."""
    return torch.cat([target[:, :kept], source[:, kept:]], dim=1)
