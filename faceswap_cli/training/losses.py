"""Every loss of the training, as small pure functions.

Pictures are (N, 3, S, S) RGB in [-1, 1], masks (N, 1, S, S) in [0, 1], landmarks (N, 478, 2 or 3)
unit-square coordinates.  Each function returns one number (a mean over the batch) unless its
text says otherwise.  Sources: method.md's table after FSLSD, FaceDancer (IFSR), SimSwap (weak
feature matching), FaceID-GAN (third player); formulas are named where they are used.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from faceswap_cli.faces.landmarks import BROWS, EYES, IRISES, LIPS, SUBSET
from faceswap_cli.nets.meshfield import displacement, warp


def mean_over(x: Tensor, weight: Tensor) -> Tensor:
    """Mean of ``x`` (N, C, H, W) where ``weight`` (N, 1, H, W) says so."""
    return (x * weight).sum() / (weight.sum() * x.shape[1]).clamp_min(1.0)


def pixel(face: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute difference."""
    return mean_over((face - wanted).abs(), weight)


def _gaussian(size: int, sigma: float, like: Tensor) -> Tensor:
    x = torch.arange(size, device=like.device, dtype=torch.float32) - (size - 1) / 2
    g = torch.exp(-0.5 * (x / sigma) ** 2)
    return (g / g.sum()).to(like.dtype)


def blur(x: Tensor, size: int, sigma: float) -> Tensor:
    """Separable Gaussian, edges repeated."""
    g = _gaussian(size, sigma, x)
    c, r = x.shape[1], size // 2
    x = F.pad(x, (r, r, r, r), mode="replicate")
    x = F.conv2d(x, g.reshape(1, 1, 1, -1).expand(c, 1, 1, -1), groups=c)
    return F.conv2d(x, g.reshape(1, 1, -1, 1).expand(c, 1, -1, 1), groups=c)


def structure(face: Tensor, wanted: Tensor, weight: Tensor, scales: int = 3) -> Tensor:
    """1 - multi-scale SSIM (Wang et al. 2003) with means of 8 x 8 boxes, over ``scales`` halvings."""
    total = face.new_zeros(())
    for _ in range(scales):
        a, b = (face + 1) / 2, (wanted + 1) / 2
        box = [F.avg_pool2d(v, 8, 4) for v in (a, b, a * a, b * b, a * b)]
        ma, mb, aa, bb, ab = box
        va, vb, cov = aa - ma * ma, bb - mb * mb, ab - ma * mb
        light = (2 * ma * mb + 1e-4) / (ma * ma + mb * mb + 1e-4)
        ssim = light * (2 * cov + 9e-4) / (va + vb + 9e-4)
        total = total + mean_over(1 - ssim, F.avg_pool2d(weight, 8, 4))
        face, wanted, weight = (F.avg_pool2d(v, 2) for v in (face, wanted, weight))
    return total / scales


def laplacian(face: Tensor, wanted: Tensor, weight: Tensor, levels: int = 4) -> Tensor:
    """Sum over ``levels`` of 2^-j |Lap_j| differences, fine levels counted most."""
    total, d = face.new_zeros(()), face - wanted
    for j in range(levels):
        small = F.avg_pool2d(d, 2)
        fine = d - F.interpolate(small, scale_factor=2.0, mode="nearest")
        total = total + mean_over(fine.abs(), weight) * 2.0**-j
        d, weight = small, F.avg_pool2d(weight, 2)
    return total


def identity(found: Tensor, wanted: Tensor, mean: Tensor) -> Tensor:
    """1 - cosine of embeddings (N, 128) after the training set's ``mean`` is taken off."""
    return (1 - F.cosine_similarity(found - mean, wanted - mean)).mean()


def activations(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Mean squared distance of activations, each place normalized over channels (as LPIPS does)."""
    parts = [
        (F.normalize(a, dim=1) - F.normalize(b, dim=1)).square().sum(1).mean()
        for a, b in zip(found, wanted, strict=True)
    ]
    return torch.stack(parts).mean()


def feature_similarity(found: Sequence[Tensor], wanted: Sequence[Tensor], margins: Tensor) -> Tensor:
    """IFSR (FaceDancer, Rosberg et al. 2023): sum over layers of max(0, 1 - cos - 1.2 margin)."""
    total = margins.new_zeros(())
    for a, b, margin in zip(found, wanted, margins, strict=True):
        distance = 1 - F.cosine_similarity(a.flatten(1), b.flatten(1))
        total = total + F.relu(distance - 1.2 * margin).mean()
    return total


def landmark_weights(like: Tensor) -> Tensor:
    """(478, 1): named points 1, brows, lips and eyes 3, irises 4, the rest of the surface 0.2."""
    weights = like.new_full((478, 1), 0.2)
    for points, value in ((SUBSET, 1.0), (BROWS, 3.0), (LIPS, 3.0), (EYES, 3.0), (IRISES, 4.0)):
        weights[list(points)] = value
    return weights


def landmarks(found: Tensor, wanted: Tensor) -> Tensor:
    """Weighted mean distance of points (N, 478, 3) in crop sides, depth as much as place.

    Without the depth a constant pitch, read from the source's own features, costs nothing.
    """
    weights = landmark_weights(found)
    return ((found - wanted).abs() * weights).sum(1).mean() / weights.sum()


def generator_wins(score: Tensor) -> Tensor:
    """Non-saturating adversarial loss of the generator."""
    return F.softplus(-score).mean()


def critic_wins(real: Tensor, fake: Tensor) -> Tensor:
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def gradient_penalty(score: Tensor, picture: Tensor) -> Tensor:
    """R1 (Mescheder et al. 2018): mean squared norm of the score's gradient at real pictures."""
    (gradient,) = torch.autograd.grad(score.sum(), picture, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()


def feature_match(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Mean absolute difference of the critic's features, all levels."""
    parts = [(a.float() - b.float().detach()).abs().mean() for a, b in zip(found, wanted, strict=True)]
    return torch.stack(parts).mean()


def weak_feature_match(
    found: Sequence[Tensor], wanted: Sequence[Tensor], mask: Tensor, inside: float = 0.2
) -> Tensor:
    """The last two levels only (SimSwap, Chen et al. 2020); inside the mask it counts ``inside``."""
    parts = []
    for a, b in zip(found[-2:], wanted[-2:], strict=True):
        weight = 1 - (1 - inside) * F.interpolate(mask, size=a.shape[-2:], mode="area")
        parts.append(mean_over((a.float() - b.float().detach()).abs(), weight))
    return torch.stack(parts).mean()


@torch.no_grad()
def matched_histogram(face: Tensor, reference: Tensor, mask: Tensor) -> Tensor:
    """``face`` with the color distribution of ``reference`` inside ``mask`` > 0.5; a constant target.

    Channel by channel: equal ranks get equal values (FSLSD's HM), interpolated when the counts differ.
    """
    out = face.clone()
    for n in range(len(face)):
        inside = mask[n, 0] > 0.5
        if int(inside.sum()) < 16:
            continue
        for c in range(face.shape[1]):
            values = face[n, c][inside]
            wanted = reference[n, c][inside].sort().values
            out[n, c][inside] = wanted[values.argsort().argsort()]
    return out


def histogram(face: Tensor, reference: Tensor, mask: Tensor) -> Tensor:
    """Distance to the histogram-matched picture at half size."""
    small = [F.avg_pool2d(v, 4) for v in (face, reference, mask)]
    return pixel(small[0], matched_histogram(*small), small[2])


def structure_consistency(forward: Tensor, same: Tensor, back: Tensor) -> Tensor:
    """E_le(a, a) = 0 and E_le(a, b) = -E_le(b, a); each (N, 7, C)."""
    return same.square().mean() + (forward + back).square().mean()


def transport(own: Tensor, direction: Tensor, wanted: Tensor) -> Tensor:
    """g_a + E_le(a, b) = g_b for two pictures of one person; rows (N, 7, C)."""
    return (own + direction - wanted).square().mean()


def code_trajectory(codes: Tensor, target_codes: Tensor) -> Tensor:
    """The swapped code moves as the target's does; (2 N, R, C), later frames in the second half."""
    step, wanted = (b - a for a, b in (codes.chunk(2), target_codes.chunk(2)))
    return (step - wanted).square().mean()


def flow_trajectory(face: Tensor, target: Tensor, points: Tensor, mask: Tensor) -> Tensor:
    """The swapped face moves as the target's mesh does.

    All of (2 N, ...), later frames in the second half.  Where the target itself changes its look
    between the frames, the result may too.
    """
    before, after = points.chunk(2)
    flow = displacement(before, after)
    own, later = face.chunk(2)
    seen, seen_later = target.chunk(2)
    trust = torch.exp(-(seen_later - warp(seen, flow)).abs().mean(1, keepdim=True) / 0.1)
    return pixel(warp(own, flow), later, trust * mask.chunk(2)[1])


def third_player_wins(logits: Tensor, people: Tensor) -> Tensor:
    """The generator wants its picture of person n in class n (real)."""
    return F.cross_entropy(logits, people)


def third_player_learns(real: Tensor, fake: Tensor, people: Tensor, share: float) -> Tensor:
    """Real pictures of n in class n, synthetic ones in class N + n."""
    count = real.shape[1] // 2
    return F.cross_entropy(real, people) + share * F.cross_entropy(fake, people + count)
