"""Several photographs, one person: codes brought to one pose before they are averaged.

After DR-GAN (Tran et al., CVPR 2017): each picture has a weight and the codes are fused by it; averaging
codes of different poses would blur, so each is first moved to the pose of the fused picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from faceswap_cli.enrol.views import View
from faceswap_cli.nets.fslsd256 import Fslsd256
from faceswap_cli.nets.fslsd256_encoders import STRUCTURE_ROWS
from faceswap_cli.swap.shape import remove_pose, shape_inputs


@torch.no_grad()
def fused_rows(net: Fslsd256, views: Sequence[View], picture: Tensor, reference: Tensor) -> Tensor:
    """(L, C): the code of the fused ``picture`` (1, 3, 256, 256), structure rows averaged with the views'.

    ``reference`` (1, 478, 3): mesh of the picture, to whose pose and expression each view is moved.
    """
    own = net.style(picture)
    total, weight = own[:, :STRUCTURE_ROWS].clone(), 1.0
    whole = sum(view.weight for view in views)
    if len(views) > 1:
        for view in views:
            share = view.weight / whole
            total += share * (
                net.style(view.rgb)[:, :STRUCTURE_ROWS] + direction(net, view.points, reference)
            )
        weight = 2.0
    return torch.cat([total / weight, own[:, STRUCTURE_ROWS:]], dim=1)[0]


def direction(net: Fslsd256, start: Tensor, end: Tensor) -> Tensor:
    """(N, 7, C) structure direction from one mesh of a person to another, (N, 478, 3) each."""
    shape = shape_inputs(remove_pose(start), remove_pose(end), net.expression, (start, end))
    # The detail code describes the eyes and the mouth of a target; there is none.
    quiet = shape.new_zeros(len(shape), net.detail.last.out_features)
    out: Tensor = net.structure(shape, quiet)
    return out
