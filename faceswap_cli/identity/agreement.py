"""Which photographs show one person, from their embeddings alone: a stranger among them gets no say."""

from __future__ import annotations

import numpy as np

from faceswap_cli.identity.embed import SAME_PERSON
from faceswap_cli.records import F32, F64

_SURE, _NEVER = 0.52, 0.68
"""Distance from the others up to which a photograph counts fully, and from which on it counts nothing."""

_WITHIN = 0.30 / np.sqrt(2.0)
"""Typical distance of one photograph from its person's mean over many."""


def distances(embeddings: F32, weights: F64) -> F64:
    """(n, 128), (n,) -> (n,) distance of each from the weighted mean of the majority without itself.

    The majority is found first: the photograph that most others, by weight, look like, and those others.
    One photograph has the distance 0.
    """
    count = len(embeddings)
    if count < 2:
        return np.zeros(count)
    apart = np.linalg.norm(embeddings[:, None] - embeddings[None], axis=-1)
    # A sharp stranger must not outweigh two blurred pictures of the person.
    say = np.sqrt(weights) + 0.2
    near = (apart < SAME_PERSON) & ~np.eye(count, dtype=bool)
    support = (near * say[None]).sum(axis=1) - 0.01 * np.minimum(apart, 1.0).mean(axis=1)
    members = apart[int(support.argmax())] < SAME_PERSON
    found = np.zeros(count)
    for row in range(count):
        others = members.copy()
        others[row] = False
        if not others.any():  # nobody agrees with anybody
            others = np.arange(count) != row
        center = np.average(embeddings[others], axis=0, weights=weights[others])
        # The mean of k photographs lies nearer to each than one of them would.
        averaged = 1.0 - float((weights[others] ** 2).sum() / weights[others].sum() ** 2)
        spread = _WITHIN * np.sqrt(max(averaged, 0.0))
        found[row] = np.hypot(np.linalg.norm(embeddings[row] - center), spread)
    return found


def agreement(embeddings: F32, weights: F64) -> tuple[F64, F64]:
    """(n,) factor in [0, 1] for each photograph, and :func:`distances`.

    Two photographs that differ cannot say which of them is wrong: both count.  So do all when no two agree.
    """
    apart = distances(embeddings, weights)
    if len(apart) < 3 or (apart > SAME_PERSON).sum() > len(apart) / 2:
        return np.ones(len(apart)), apart
    t = np.clip((_NEVER - apart) / (_NEVER - _SURE), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t), apart
