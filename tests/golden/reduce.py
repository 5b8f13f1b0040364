"""Cut the reference arrays of set A down to what the default tests need.

    python tests/golden/reduce.py FOLDER_WITH_THE_FULL_FILES

The full arrays are outputs of the official FSLSD, pSp, StyleGAN2 and MegaFS modules (their CUDA operations
replaced by exact plain-tensor equivalents) on the stand-in weights of ``faceswap_cli.weights.recipe``.
Operations, streams and codes are kept whole; of feature maps every channel's statistics and a thinned
sample, of pictures the statistics, the cell means and a corner.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
FILES = (
    "streams", "ops", "psp_encoder", "stylegan2", "fslsd_parts", "fslsd_chain", "megafs_swapper",
)  # fmt: skip
DROPPED = re.compile(
    r"(_256|_full|_crop|_br|_sub8|_u8_sub8|labels|mask_x16|mask_used_(128|256|512)|[tgfd]\d+_(mean|std|tl))$"
)
KEPT = re.compile(r"^(ops|streams)$")
ELSEWHERE = re.compile(
    r"fslsd_parts/(g\d+_|bald_in)|megafs_swapper/(source|target)$|psp_encoder/.*_raw|(fslsd_parts|stylegan2)/.*_area8"
)
"""What another kept array implies."""


def reduced(stem: str, name: str) -> bool:
    """True when the array goes into the repository."""
    if KEPT.match(stem):
        return True
    return not DROPPED.search(name) and not ELSEWHERE.match(f"{stem}/{name}")


def main(folder: Path) -> None:
    for stem in FILES:
        with np.load(folder / f"{stem}.npz") as full:
            kept = {name: full[name] for name in full.files if reduced(stem, name)}
        np.savez_compressed(HERE / "A" / f"{stem}.npz", **kept)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
