"""How much of a head's pose an identity embedding tells: what an adapter against it could take away.

    python benchmarks/pose_in_embedding.py POOL

One picture of each person of a training pool.  A straight regression and a small network learn yaw, pitch,
roll and their absolute values from centered embeddings of four fifths of the people; printed is the share of
the variance that they explain on the last fifth, of the network at its best epoch (which flatters it).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceswap_cli.swap.shape import remove_pose
from faceswap_cli.training.facespace import ridge
from faceswap_cli.training.pool import SIDE, open_pool

NAMES = ("yaw", "pitch", "roll", "|yaw|", "|pitch|", "|roll|")
_EPOCHS, _BATCH = 60, 64


def table(folder: Path) -> tuple[Tensor, Tensor]:
    """Centered unit embeddings (N, 128) and standardized angles (N, 6), one row a person, in random order."""
    pool = open_pool(folder)
    _, rows = np.unique(pool.person, return_index=True)
    rows = np.random.default_rng(0).permutation(rows)
    angles = remove_pose(torch.from_numpy(pool.landmarks[rows] / np.float32(SIDE))).angles()
    z = torch.from_numpy(pool.embedding[rows])
    both = torch.cat([angles, angles.abs()], dim=1)
    return F.normalize(z - z.mean(0), dim=1), (both - both.mean(0)) / both.std(0)


def explained(found: Tensor, truth: Tensor) -> Tensor:
    """(6,) share of the variance."""
    return 1 - (found - truth).square().mean(0) / truth.var(0)


def best_network(z: Tensor, angles: Tensor, many: int) -> Tensor:
    """(6,) of the epoch that explains most."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(z.shape[1], 128), nn.SiLU(), nn.Dropout(0.3), nn.Linear(128, len(NAMES)))
    adam = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.05)
    best = torch.full((len(NAMES),), -torch.inf)
    for _ in range(_EPOCHS):
        net.train()
        for rows in torch.randperm(many).split(_BATCH):
            adam.zero_grad()
            torch.autograd.backward((net(z[rows]) - angles[rows]).square().mean())
            adam.step()
        net.eval()
        with torch.no_grad():
            share = explained(net(z[many:]), angles[many:])
        best = share if share.mean() > best.mean() else best
    return best


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pool", type=Path)
    torch.set_num_threads(1)
    z, angles = table(parser.parse_args().pool)
    many = len(z) * 4 // 5
    weight, bias = ridge(z[:many], angles[:many], 10.0)
    print(f"{many} people to learn from, {len(z) - many} to ask")
    print(f"{'':10s}" + "".join(f"{name:>9s}" for name in NAMES))
    rows = {"straight": explained(z[many:] @ weight.T + bias, angles[many:])}
    rows["network"] = best_network(z, angles, many)
    for name, shares in rows.items():
        print(f"{name:10s}" + "".join(f"{float(share):9.3f}" for share in shares))


if __name__ == "__main__":
    main()
