"""A person between enrolled people: ``@anna:0.3+@bert:0.7``.

Identity is turned on the sphere of embeddings (slerp) from one to the other, and the faces are
brought to the points in between before their pictures are.  The result is an enrollment file like any other,
in a hidden folder beside theirs, made again whenever one of them changes and removed with any of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from faceswap_cli.errors import UsageError, WeightsError
from faceswap_cli.geometry import warp
from faceswap_cli.identity.enrolled import Enrolled, Share
from faceswap_cli.identity.faceid import Faceid, read_faceid, write_faceid
from faceswap_cli.identity.people import MIXTURES
from faceswap_cli.records import F32, U8
from faceswap_cli.weights.registry import bundled

_SPACE, _MEAN = "facespace.safetensors", "mapper.mean_embedding"
_PART = re.compile(r"@([^\W_][\w-]{0,39})(?::(0?\.\d{1,4}|\d{1,3}(?:\.\d{1,4})?))?")
Weighted = tuple[float, Faceid]


def parts_of(text: str) -> list[tuple[str, float]]:
    """``@A:0.3+@B:0.7`` -> names and shares that sum to 1; without numbers all count alike."""
    found: list[tuple[str, float]] = []
    for piece in text.split("+"):
        match = _PART.fullmatch(piece)
        if match is None:
            raise UsageError(f"{text!r} is not a mixture of people; write @anna:0.3+@bert:0.7")
        found.append((match[1], float(match[2] or 1.0)))
    total = sum(weight for _, weight in found)
    if len({name for name, _ in found}) < len(found):
        raise UsageError(f"{text!r} names a person twice")
    if min(weight for _, weight in found) <= 0:
        raise UsageError(f"{text!r}: every share must be above 0; leave out people with none")
    return [(name, weight / total) for name, weight in found]


def mixed_file(text: str, files: Sequence[Path], folder: Path) -> Path:
    """The file of the mixture ``text`` of the people in ``files``, in the same order."""
    shares = parts_of(text)
    content = mixed([(weight, read_faceid(file)) for (_, weight), file in zip(shares, files, strict=True)])
    path = folder / MIXTURES / ("+".join(f"{name}-{weight:.3g}" for name, weight in shares) + ".faceid")
    write_faceid(path, content)
    return path


def mixed(people: Sequence[Weighted]) -> Faceid:
    """One person out of several, by weight.  The same people give the same bytes."""
    mean = _mean_embedding()
    whole, one = people[0]
    for weight, other in people[1:]:
        whole += weight
        one = _between(one, other, weight / whole, mean)
    return one


def _between(first: Faceid, second: Faceid, share: float, mean: F32) -> Faceid:
    a, b = first.person, second.person
    points = a.points + np.float32(share) * (b.points - a.points)
    side = max(a.texture.shape[0], b.texture.shape[0])
    person = Enrolled(
        name="mixed",
        texture=_blend(_brought(a, points, side), _brought(b, points, side), share),
        surroundings=a.surroundings if share < 0.5 else b.surroundings,
        points=points,
        light=a.light + np.float32(share) * (b.light - a.light),
        neutral=a.neutral + np.float32(share) * (b.neutral - a.neutral),
        seen=a.seen + np.float32(share) * (b.seen - a.seen),
    )
    embedding = mean + slerp(first.embedding - mean, second.embedding - mean, share)
    told = Share("mixture", 1.0, 1.0, 0.0, float(side), 0.0)
    return Faceid(person, embedding, embedding[None], (told,))


def slerp(first: F32, second: F32, share: float) -> F32:
    """From one vector to the other along the arc between them; the length goes evenly."""
    sizes = [max(float(np.linalg.norm(x)), 1e-9) for x in (first, second)]
    a, b = first / sizes[0], second / sizes[1]
    angle = float(np.arccos(np.clip(a @ b, -1.0, 1.0)))
    if angle < 1e-4 or angle > np.pi - 1e-4:
        turned = (1 - share) * a + share * b
    else:
        turned = (np.sin((1 - share) * angle) * a + np.sin(share * angle) * b) / np.sin(angle)
    return np.asarray(turned * (sizes[0] + share * (sizes[1] - sizes[0])), np.float32)


def _brought(person: Enrolled, points: F32, side: int) -> U8:
    """The picture of ``person`` with its face at ``points``, (side, side, 3)."""
    field = warp.scatter(points[:, :2], person.points[:, :2] - points[:, :2])
    where = warp.sample_map(field, side, person.texture.shape[0])
    return np.asarray(
        cv2.remap(person.texture, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT), np.uint8
    )


def _blend(a: U8, b: U8, share: float) -> U8:
    return np.asarray(cv2.addWeighted(a, 1.0 - share, b, share, 0.0), np.uint8)


def _mean_embedding() -> F32:
    """(128,) of many people: embeddings are told apart by their direction from here."""
    from safetensors import SafetensorError, safe_open

    path = bundled(_SPACE)
    try:
        with safe_open(path, "np") as file:
            return np.asarray(file.get_tensor(_MEAN), np.float32)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read ({error}); reinstall faceswap-cli") from error
