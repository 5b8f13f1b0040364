"""Identity embeddings: face chips and the recognition network that reads them.

Two embeddings less than ``SAME_PERSON`` apart (Euclidean) belong to one person.  The network
hardly spreads in angle: do not use the cosine.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from faceswap_cli.errors import WeightsError
from faceswap_cli.faces.crops import cut
from faceswap_cli.faces.landmarks import FIVE
from faceswap_cli.numerics import finite, told
from faceswap_cli.records import F32, F64, U8
from faceswap_cli.weights.registry import bundled

if TYPE_CHECKING:
    from faceswap_cli.nets.dlib_resnet import DlibResNet

SAME_PERSON = 0.6
CHIP = 150
EMBEDDING = 128

# Where dlib's five-point model puts FIVE in its chips: shares of the face square, which has a quarter
# of its side added all round; dlib counts pixel centers from 0.
_SHARES = ((0.85957, 0.21350), (0.64606, 0.22897), (0.12058, 0.21373), (0.33409, 0.22906), (0.49011, 0.62780))
_TEMPLATE = (0.25 + np.array(_SHARES)) / 1.5 * CHIP + 0.5


def chip_from_points(landmarks: F32) -> F64:
    """(..., 478, 2 or 3) points -> (..., 3, 3) similarity to the chip of 150 px, by least squares."""
    points = np.asarray(landmarks, dtype=np.float64)[..., list(FIVE), :2]
    middle = points.mean(axis=-2)
    p, q = points - middle[..., None, :], _TEMPLATE - _TEMPLATE.mean(axis=0)
    norm = np.maximum((p**2).sum(axis=(-1, -2)), 1e-9)
    # As complex numbers the similarity is one factor a + bi.
    a = (p * q).sum(axis=(-1, -2)) / norm
    b = (p[..., 0] * q[..., 1] - p[..., 1] * q[..., 0]).sum(axis=-1) / norm
    matrix = np.zeros((*a.shape, 3, 3))
    matrix[..., 0, 0], matrix[..., 0, 1] = a, -b
    matrix[..., 1, 0], matrix[..., 1, 1] = b, a
    matrix[..., :2, 2] = _TEMPLATE.mean(axis=0) - np.einsum("...ij,...j->...i", matrix[..., :2, :2], middle)
    matrix[..., 2, 2] = 1.0
    return matrix


@lru_cache(maxsize=1)
def identity_network() -> DlibResNet:
    """The bundled network, on the CPU, frozen; read once."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from faceswap_cli.nets.dlib_resnet import DlibResNet
    from faceswap_cli.weights.load import load_strict

    path = bundled("identity.safetensors")
    try:
        stored = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read ({error}); reinstall faceswap-cli") from error
    with _one_thread():
        whole = {name: value.float() for name, value in stored.items()}
    return load_strict(DlibResNet, whole, path.name)


def embed_chips(chips: U8, *, flip: bool = False) -> F32:
    """(N, 150, 150, 3) uint8 -> (N, 128); ``flip`` averages each with its mirror image.

    One thread: a chip takes 7 ms, and on a busy machine many threads waiting for each other take
    a hundred times as long.
    """
    import torch

    if not len(chips):
        return np.zeros((0, EMBEDDING), np.float32)
    x = torch.from_numpy(np.ascontiguousarray(chips)).permute(0, 3, 1, 2).float()
    net = identity_network()
    with torch.inference_mode(), _one_thread():
        found: Any = net(x)
        if flip:
            found = (found + net(x.flip(3))) / 2
    with told("(identity network)"):
        return finite(np.asarray(found.numpy(), np.float32), "the embedding of a face")


def pooled_chips(chips: U8) -> F32:
    """(N, 150, 150, 3) uint8 -> (N, 2, 256): last features of each and of its mirror image, averaged over
    the face; :func:`head_of` turns them into embeddings."""
    import torch

    x = torch.from_numpy(np.ascontiguousarray(chips)).permute(0, 3, 1, 2).float()
    net = identity_network()
    with torch.inference_mode(), _one_thread():
        found = [net.features(side)[-1].mean(dim=(2, 3)) for side in (x, x.flip(3))]
    with told("(identity network)"):
        return finite(np.asarray(torch.stack(found, dim=1).numpy(), np.float32), "the features of a face")


def head_of(pooled: F32) -> F32:
    """(..., 256) -> (..., 128) embeddings."""
    weight = identity_network().head.weight.detach().numpy()
    return np.asarray(pooled @ weight.T, np.float32)


@contextmanager
def _one_thread() -> Iterator[None]:
    import torch

    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(usual)


def embed(rgb: U8, landmarks: F32, *, flip: bool = False) -> F32:
    """Picture (H, W, 3) and meshes (N, 478, 2 or 3) in its pixels -> (N, 128)."""
    chips = [cut(rgb, matrix, CHIP) for matrix in chip_from_points(landmarks)]
    return embed_chips(np.stack(chips) if chips else np.zeros((0, CHIP, CHIP, 3), np.uint8), flip=flip)
