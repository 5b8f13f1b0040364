"""A photograph taken apart: still room, head with hair and neck, collar in front of the neck."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from puppet.fields import F32, curve, grid, smoothstep

CHIN, FACE_LEFT, FACE_RIGHT = 152, 234, 454


@dataclass(frozen=True, eq=False)
class Puppet:
    """The layers of a portrait, ready to be animated."""

    room: F32 = field(repr=False)
    """(H, W, 3) BGR in [0, 255]: the photograph without head and neck"""
    head: F32 = field(repr=False)
    """(H, W, 3) BGR: head, hair and neck, with colors continued beyond their outline"""
    matte: F32 = field(repr=False)
    """(H, W) in [0, 1]: how much of a pixel is head"""
    front: F32 = field(repr=False)
    """(H, W) in [0, 1]: what the neck disappears behind"""
    depth: F32 = field(repr=False)
    """(H, W)"""
    hold: F32 = field(repr=False)
    """(H, W) in [0, 1]: 1 where the head moves fully, 0 where the neck stands still"""
    points: F32 = field(repr=False)
    """(478, 3) mesh"""


def cut_out(picture: NDArray[np.uint8], outline: F32) -> F32:
    """(H, W, 3) and a rough outline (K, 2) of head, hair and neck -> (H, W) matte.

    GrabCut within a band along the outline, refined with a guided filter, so that hair has soft edges.
    """
    drawn = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(drawn, [outline.astype(np.int32)], 1)
    band = np.ones((15, 15), np.uint8)
    state = np.where(drawn > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    state[cv2.erode(drawn, band) > 0] = cv2.GC_FGD
    state[cv2.dilate(drawn, band) == 0] = cv2.GC_BGD
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(1)
    cv2.grabCut(picture, state, None, models[0], models[1], 4, cv2.GC_INIT_WITH_MASK)
    found = np.isin(state, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    found = cv2.medianBlur(found, 9)
    soft = cv2.ximgproc.guidedFilter(picture, found.astype(np.float32), 5, 60.0)
    soft = np.clip((soft - 0.1) / 0.8, 0, 1)
    soft[cv2.erode(found, np.ones((11, 11), np.uint8)) > 0] = 1.0
    return np.asarray(soft * (cv2.dilate(found, np.ones((11, 11), np.uint8)) > 0), dtype=np.float32)


def continued(picture: F32, known: NDArray[np.bool_]) -> F32:
    """Colors of the ``known`` pixels carried on over the others: nearest first, then softened."""
    _, labels = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    table = np.zeros((int(labels.max()) + 1, 3), np.float32)
    table[labels[known]] = picture[known]
    nearest = table[labels]
    soft = cv2.GaussianBlur(nearest, (0, 0), 5.0)
    return np.where(known[..., None], picture, soft).astype(np.float32)


def empty_room(picture: NDArray[np.uint8], matte: F32, strays: F32) -> F32:
    """The photograph with the head painted over: edges that it hides are carried on behind it.

    ``strays`` (2, 2) are the corners of a place that is painted over as well.
    """
    gone = cv2.dilate((matte > 0.02).astype(np.uint8), np.ones((9, 9), np.uint8))
    (left, top), (right, bottom) = strays.astype(int)
    gone[top:bottom, left:right] = 1
    small = cv2.resize(picture, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    hole = cv2.resize(gone, (small.shape[1], small.shape[0]), interpolation=cv2.INTER_NEAREST)
    known = 255 * (1 - cv2.dilate(hole, np.ones((3, 3), np.uint8)))
    painted = np.zeros_like(small)
    cv2.xphoto.inpaint(small, known, painted, cv2.xphoto.INPAINT_FSR_FAST)
    painted = cv2.resize(painted, (picture.shape[1], picture.shape[0]), interpolation=cv2.INTER_CUBIC)
    noise = np.random.default_rng(1).normal(0, 5.0, picture.shape).astype(np.float32)
    painted = painted + cv2.GaussianBlur(noise, (0, 0), 1.5)
    soft = cv2.GaussianBlur(gone.astype(np.float32), (0, 0), 2.0)[..., None]
    return np.asarray(painted * soft + picture * (1.0 - soft), dtype=np.float32)


def head_depth(points: F32, matte: F32) -> F32:
    """Depth of the mesh, carried on smoothly to the outline of hair and neck and beyond.

    The outline lies a tenth of a face width behind the rim of the mesh; between the two the
    depth solves Laplace's equation (a soap film), found by averaging on a coarse grid.
    """
    step = 8
    height, width = matte.shape[0] // step, matte.shape[1] // step
    face = points[:468]
    size = face[:, 0].max() - face[:, 0].min()
    rim = float(points[[FACE_LEFT, FACE_RIGHT], 2].mean()) + 0.10 * size
    known = np.zeros((height, width), bool)
    depth = np.full((height, width), rim, np.float32)
    cells = (face[:, :2] / step).astype(int)
    total, count = np.zeros((height, width)), np.zeros((height, width))
    np.add.at(total, (cells[:, 1], cells[:, 0]), face[:, 2])
    np.add.at(count, (cells[:, 1], cells[:, 0]), 1)
    known[count > 0] = True
    depth[known] = (total[known] / count[known]).astype(np.float32)
    outside = cv2.resize(matte, (width, height), interpolation=cv2.INTER_AREA) < 0.4
    fixed, values = known | outside, np.where(known, depth, np.float32(rim))
    for _ in range(600):
        depth = np.where(fixed, values, cv2.blur(depth, (3, 3)))
    depth = cv2.GaussianBlur(depth, (0, 0), 1.2)
    full = cv2.resize(depth, (matte.shape[1], matte.shape[0]), interpolation=cv2.INTER_CUBIC)
    inner = np.zeros(matte.shape, np.float32)
    cv2.fillConvexPoly(inner, cv2.convexHull(face[:, :2].astype(np.int32)), 1.0)
    inner = cv2.GaussianBlur(cv2.erode(inner, np.ones((41, 41), np.uint8)), (0, 0), 14.0)
    # Steep flanks would fold when the head turns: outside the face the depth is smoother still.
    fine, coarse = cv2.GaussianBlur(full, (0, 0), 6.0), cv2.GaussianBlur(full, (0, 0), 22.0)
    return np.asarray(coarse + (fine - coarse) * inner, dtype=np.float32)


def below_face(points: F32, shape: tuple[int, int]) -> F32:
    """(H, W) distance in px from the face and all that is above its chin line; 0 inside."""
    jaw = points[[FACE_LEFT, 132, 58, 172, 150, 149, CHIN, 378, 379, 397, 288, 361, FACE_RIGHT], :2]
    ends = np.array([[-9, jaw[0, 1]], [-9, -9], [shape[1] + 9, -9], [shape[1] + 9, jaw[-1, 1]]], np.float32)
    moved = np.ones(shape, np.uint8)
    cv2.fillPoly(moved, [np.concatenate([jaw, ends[::-1]]).astype(np.int32)], 0)
    return np.asarray(cv2.distanceTransform(moved, cv2.DIST_L2, 5), dtype=np.float32)


def take_apart(picture: NDArray[np.uint8], points: F32, outline: F32, collar: F32, strays: F32) -> Puppet:
    """(H, W, 3) BGR photograph and its mesh (478, 3) -> layers.

    ``outline`` (K, 2) goes round head, hair and neck; ``collar`` (K, 2) is the edge, from left to
    right, behind which the neck disappears; ``strays`` is for :func:`empty_room`.
    """
    x, y = grid(picture.shape[:2])
    size = float(points[FACE_RIGHT, 0] - points[FACE_LEFT, 0])
    matte = cut_out(picture, outline)
    edge = curve(collar, x)
    front = ((1.0 - matte) * smoothstep((y - edge + 8) / 6)).astype(np.float32)
    # Behind the collar the neck goes on, so that a lifted chin does not bare a gap.
    neck = outline[outline[:, 1] > points[CHIN, 1]]
    under = (
        (y > edge - 8) & (y < edge + 0.3 * size) & (np.abs(x - neck[:, 0].mean()) < 0.45 * np.ptp(neck[:, 0]))
    )
    whole = np.maximum(matte, cv2.GaussianBlur(under.astype(np.float32), (0, 0), 1.5))
    sure = (cv2.erode(matte, np.ones((9, 9), np.uint8)) > 0.97) & (y < edge - 12)
    head = continued(picture.astype(np.float32), sure)
    hold = 1.0 - 0.65 * smoothstep(below_face(points, matte.shape) / (0.45 * size))
    return Puppet(
        room=empty_room(picture, matte, strays),
        head=head,
        matte=whole.astype(np.float32),
        front=front,
        depth=head_depth(points, matte),
        hold=hold.astype(np.float32),
        points=points.astype(np.float32),
    )
