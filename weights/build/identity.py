"""Convert dlib's face recognition network (CC0) to ``identity.safetensors``.

    pip download face_recognition_models==0.3.0 --no-deps --no-binary :all:
    python weights/build/identity.py face_recognition_models-0.3.0.tar.gz weights/identity.safetensors

The file of dlib is read directly: convolution, affine and fully connected records are found by
their tags; integers are packed as a size byte and little-endian bytes, tensors are raw float32.
Stored as 16-bit floats (the mean color in 32); the script prints how far that moves the output.
"""

from __future__ import annotations

import argparse
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from faceswap_cli.nets.dlib_resnet import Affine, Block, DlibResNet

MEMBER = "dlib_face_recognition_resnet_model_v1.dat"
TAG = re.compile(rb"\x01[\x04-\x07](con_\d|affine_|fc_\d)")


def packed_integer(data: bytes, at: int) -> tuple[int, int]:
    """dlib's integers: a byte with size and sign, then so many bytes -> (value, next position)."""
    size, negative = data[at] & 0x0F, data[at] & 0x80
    value = int.from_bytes(data[at + 1 : at + 1 + size], "little")
    return -value if negative else value, at + 1 + size


def tensor(data: bytes, at: int) -> np.ndarray | None:
    """The tensor record at ``at``, flat; None when there is none (its version is always 2)."""
    version, at = packed_integer(data, at)
    if version != 2:
        return None
    count = 1
    for _ in range(4):
        side, at = packed_integer(data, at)
        count *= side
    return np.frombuffer(data, "<f4", count, at).copy()


def records(data: bytes) -> Iterator[tuple[str, np.ndarray]]:
    """(kind, flat parameters) from the input of the network to its output."""
    for match in TAG.finditer(data):
        kind, at = match.group(1), match.end()
        if data[match.start() + 1] != len(kind):
            continue
        values = tensor(data, at)
        if kind.startswith(b"fc"):  # number of outputs and bias mode come first
            for _ in range(2):
                _, at = packed_integer(data, at)
            values = tensor(data, at)
        if values is None:
            raise SystemExit(f"record {kind.decode()} at byte {match.start()} cannot be read")
        yield kind.decode(), values


def take(found: Iterator[tuple[str, np.ndarray]], kind: str, count: int) -> torch.Tensor:
    name, values = next(found)
    if not name.startswith(kind) or values.size != count:
        raise SystemExit(f"expected {kind} with {count} numbers, found {name} with {values.size}")
    return torch.from_numpy(values)


def fill(found: Iterator[tuple[str, np.ndarray]], conv: nn.Conv2d, affine: Affine) -> None:
    weights, bias = conv.weight.numel(), conv.bias.numel() if conv.bias is not None else 0
    values = take(found, "con", weights + bias)
    conv.weight.data = values[:weights].reshape(conv.weight.shape)
    conv.bias = nn.Parameter(values[weights:])
    values = take(found, "affine_", 2 * affine.gain.numel())
    affine.gain.data, affine.bias.data = values.chunk(2)


def convert(data: bytes) -> DlibResNet:
    found, net = records(data), DlibResNet()
    fill(found, net.stem, net.stem_affine)
    for block in (module for module in net.modules() if isinstance(module, Block)):
        fill(found, block.conv1, block.affine1)
        fill(found, block.conv2, block.affine2)
    net.head.weight.data = take(found, "fc_", 256 * 128).reshape(256, 128).T.contiguous()
    if next(found, None) is not None:
        raise SystemExit("the file holds more layers than the network")
    return net.eval().requires_grad_(False)


def drift(net: DlibResNet, stored: dict[str, torch.Tensor]) -> float:
    """Largest move (L2) of the output over smooth random chips when the stored weights are used."""
    torch.manual_seed(0)
    coarse = torch.rand(16, 3, 10, 10) * 255
    chips = nn.functional.interpolate(coarse, size=150, mode="bicubic").clamp(0, 255)
    other = DlibResNet().eval()
    other.load_state_dict({name: value.float() for name, value in stored.items()})
    with torch.inference_mode():
        return float((net(chips) - other(chips)).norm(dim=1).max())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("archive", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    with tarfile.open(options.archive) as archive:
        name = next(name for name in archive.getnames() if name.endswith(MEMBER))
        member = archive.extractfile(name)
        if member is None:
            raise SystemExit(f"{name} is not a file")
        net = convert(member.read())
    state = net.state_dict()
    stored = {name: value.half().contiguous() for name, value in state.items()} | {"mean": state["mean"]}
    notes = {"origin": "dlib_face_recognition_resnet_model_v1, D. E. King", "licence": "CC0-1.0"}
    save_file(stored, options.output, metadata=notes)
    print(f"16-bit storage moves descriptors by at most {drift(net, stored):.4f}")


if __name__ == "__main__":
    main()
