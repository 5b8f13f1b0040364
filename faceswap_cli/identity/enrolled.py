"""What an enrollment file keeps of a person in place of photographs."""

from __future__ import annotations

from dataclasses import dataclass, field

from faceswap_cli.records import F32, U8


@dataclass(frozen=True, slots=True, eq=False)
class Enrolled:
    """Enough of a person for every method.  S: side of the texture; coordinates are those of the texture."""

    name: str
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
