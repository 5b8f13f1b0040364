"""The invisible mark of ``provenance.watermark`` on crops of a batch."""

from __future__ import annotations

import cv2
import torch
from torch import Tensor

from faceswap_cli.provenance import watermark
from faceswap_cli.resident.tables import Tables, along, resized


def marked(rgb: Tensor, crop_scale: float, tables: Tables) -> Tensor:
    """Whole crops (N, 3, S, S), levels of 255, with the pattern; rounded."""
    side = rgb.shape[-1]
    drawn = tables.of(("mark", side, crop_scale), lambda: watermark.crop_pattern(side, crop_scale))
    return (rgb + drawn * _strength(rgb[:, 1:2], tables)).round().clamp(0, 255)


def _strength(green: Tensor, tables: Tables) -> Tensor:
    """(N, 1, S, S) levels: more where there is texture of the pattern's size."""
    side = green.shape[-1]
    size = max(round(side / max(2 * side / watermark.GRID, 1.0)), 1)
    green = resized(green, size, cv2.INTER_AREA, tables)
    # OpenCV's own border here, as the host has it.
    fine = (green - along(green, tables.blur(size, watermark.FINE, cv2.BORDER_DEFAULT))).abs()
    around = along(fine, tables.blur(size, watermark.AROUND, cv2.BORDER_DEFAULT))
    texture = (around / watermark.BUSY).clamp_max(1.0)
    low, high = watermark.STRENGTH
    room = (torch.minimum(255 - green, green) / watermark.ROOM).clamp(0.0, 1.0)
    levels = (low + (high - low) * texture) * room
    return along(levels, tables.resize(size, side, cv2.INTER_LINEAR))
