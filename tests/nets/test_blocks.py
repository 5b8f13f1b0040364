"""The quick forms of simple steps give the same bits as the plain ones."""

from __future__ import annotations

import pytest
import torch

from faceswap_cli.nets.blocks import joined, scaled, stacked

LAST = torch.channels_last


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("layout", [LAST, torch.contiguous_format])
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float32])
def test_scaled_is_a_product_and_a_sum(n: int, layout: torch.memory_format, kind: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.randn(n, 24, 6, 10).to(kind).contiguous(memory_format=layout)
    gain, shift = torch.randn(2, n, 24)
    plain = torch.addcmul(shift.to(kind)[..., None, None], x, gain.to(kind)[..., None, None])
    with torch.no_grad():
        quick = scaled(x, gain, shift)
    assert torch.equal(quick, plain)
    assert quick.is_contiguous(memory_format=layout)
    assert torch.equal(scaled(x, gain, shift), plain)


def test_stacked_maps_are_those_that_are_joined() -> None:
    torch.manual_seed(1)
    maps = [torch.randn(2, c, 8, 8) for c in (12, 1, 7)]
    with torch.autocast("cpu", torch.bfloat16):
        half = stacked(*maps)
    assert half.dtype == torch.bfloat16
    assert half.is_contiguous(memory_format=LAST)
    assert torch.equal(half, joined(*maps).to(torch.bfloat16))
    assert torch.equal(stacked(*maps), joined(*maps))
