"""What an enrolment file keeps of a person in place of photographs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from faceswap_cli.records import F32, U8


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """The person as one network knows it: worth nothing to a network with other weights."""

    base: str
    """SHA-256 of the weights file"""
    rows: F32 = field(repr=False)
    """(L, C) style code"""
    z: F32 = field(repr=False)
    """(128,) identity code, unit length"""
    deltas: Mapping[str, F32] = field(repr=False, default_factory=dict)
    """Low-rank changes of the network by layer: ``LAYER/up`` (outer, rank), ``LAYER/down`` (rank, inner)"""
    digest: str = ""
    """Of ``deltas``; empty when there are none"""


@dataclass(frozen=True, slots=True, eq=False)
class Enrolled:
    """Enough of a person for every method.  S: side of the texture; coordinates are those of the texture."""

    name: str
    level: int
    """0 encoded, 1 codes refined, 2 network tuned, 3 tuned on the clip it is for"""
    texture: U8 = field(repr=False)
    """(S, S, 3) RGB: the face of all photographs in one geometry"""
    surroundings: U8 = field(repr=False)
    """(s, s, 3) RGB: what lies around it, coarse"""
    points: F32 = field(repr=False)
    """(478, 3) unit coordinates"""
    light: F32 = field(repr=False)
    """(478, 3) low-frequency Lab at the mesh points"""
    neutral: F32 = field(repr=False)
    """(478, 3) canonical shape, median of the photographs"""
    seen: F32 = field(repr=False)
    """(478,) how well the photographs show each point, 0 to 1"""
    codes: Codes | None = field(repr=False, default=None)
    """None when no network was installed"""
    clip: str = ""
    """Digest of the clip of level 3 (``recipe.digests``); empty below"""


@dataclass(frozen=True, slots=True)
class Share:
    """What one photograph contributes."""

    file: str
    weight: float
    """Share of the whole, 0 to 1; 0: left out"""
    quality: float
    yaw: float
    """Degrees, above 0 turned to the person's left"""
    width_px: float
    distance: float
    """Of its embedding from that of the others; below 0.6 is one person"""


def elsewhere(people: Iterable[Enrolled | None], clip: str) -> list[str]:
    """One line for each of ``people`` who was tuned for another clip than that of the digest ``clip``."""
    return [
        f"{person.name} was tuned for another clip; in this one that is worth about what --tune 2 is"
        for person in people
        if person is not None and person.clip not in ("", clip)
    ]
