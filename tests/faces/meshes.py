"""Meshes without pictures: the mean face turned, moved and scaled."""

from __future__ import annotations

import numpy as np

from faceswap_cli.faces.landmarks import topology
from faceswap_cli.records import F32


def turn(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> np.ndarray:
    """(3, 3) of angles in degrees: to the subject's left, up, towards its left shoulder."""
    a, b, c = np.radians([roll, -yaw, -pitch])
    z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    x = np.array([[1, 0, 0], [0, np.cos(c), -np.sin(c)], [0, np.sin(c), np.cos(c)]])
    return z @ y @ x


def face(
    x: float, y: float, size: float = 60.0, *, yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0
) -> F32:
    """(478, 3) with its center at (x, y), outer eye corners ``size`` pixels apart before it is turned."""
    points = topology().mean_shape @ turn(yaw, pitch, roll).T * size
    return (points + np.array([x, y, 0])).astype(np.float32)
