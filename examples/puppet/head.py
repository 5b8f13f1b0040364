"""The head moves: turned in space with the depth of its own mesh, over the still room."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from puppet.face import Expression, express
from puppet.fields import F32, Warp, grid, over, sample, smoothstep
from puppet.layers import FACE_LEFT, FACE_RIGHT, Puppet


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Of the head, against the photograph."""

    yaw: float = 0.0
    """Degrees; positive turns the nose to the right of the picture."""
    pitch: float = 0.0
    """Degrees; positive lowers the nose."""
    roll: float = 0.0
    """Degrees, clockwise."""
    dx: float = 0.0
    dy: float = 0.0
    """Shift in canvas pixels."""


def pose_field(puppet: Puppet, pose: Pose) -> tuple[F32, F32]:
    """Forward displacement of the head: turned about a point between the ears, seen from nearby."""
    x, y = grid(puppet.depth.shape)
    rim = puppet.points[[FACE_LEFT, FACE_RIGHT]]
    size = float(rim[1, 0] - rim[0, 0])
    pivot = np.array([rim[:, 0].mean(), rim[:, 1].mean() + 0.25 * size, rim[:, 2].mean() - 0.05 * size])
    yaw, pitch, roll = np.radians([pose.yaw, pose.pitch, pose.roll])
    px, py, pz = x - pivot[0], y - pivot[1], puppet.depth - pivot[2]
    px, pz = px * np.cos(yaw) - pz * np.sin(yaw), px * np.sin(yaw) + pz * np.cos(yaw)
    py, pz = py * np.cos(pitch) - pz * np.sin(pitch), py * np.sin(pitch) + pz * np.cos(pitch)
    px, py = px * np.cos(roll) - py * np.sin(roll), px * np.sin(roll) + py * np.cos(roll)
    # A camera ten face widths away; a point on the pivot keeps its size, as does the still head.
    nearer = (10 * size + puppet.depth - pivot[2]) / (10 * size + pz)
    dx = pivot[0] + px * nearer + pose.dx - x
    dy = pivot[1] + py * nearer + pose.dy - y
    return (dx * puppet.hold).astype(np.float32), (dy * puppet.hold).astype(np.float32)


def pose_frame(puppet: Puppet, pose: Pose, face: Expression, breath: float) -> F32:
    """One frame on the canvas, (H, W, 3) BGR in [0, 255]; ``breath`` -1 to 1 lifts the shoulders."""
    warp = Warp.of(*pose_field(puppet, pose))
    head = warp(express(puppet.head, puppet.points, face))
    matte = np.clip(warp(puppet.matte), 0, 1)
    x, y = grid(matte.shape)
    low = smoothstep((y / matte.shape[0] - 0.45) / 0.4)
    body_x, body_y = x - 0.10 * pose.dx * low, y + (1.6 * breath - 0.1 * pose.dy) * low
    # The turning head's light: cheeks that turn away from the light (from the upper left) darken.
    light = 1.0 + 0.0035 * pose.yaw * np.clip((x - puppet.points[1, 0] - pose.dx) / 150.0, -1, 1)
    picture = over(sample(puppet.room, body_x, body_y), head * light[..., None].astype(np.float32), matte)
    return over(picture, sample(puppet.room, body_x, body_y), sample(puppet.front, body_x, body_y))
