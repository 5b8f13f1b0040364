"""The swap network of profile 256: structure from the source, appearance from the target.

Pose and expression enter as landmarks, identity as codes, embedding gains and mesh-warped source
pictures with a visibility map; the target's face itself is erased before any spatial layer sees
it (only an 8 x 8 light map, a coarse view of the open mouth and a 32-number code of mouth and
eyes remain), so the network cannot answer with the target.  After FSLSD (Xu et al., CVPR 2022),
with a joint generator of the StyleGAN2 kind.

Axes: N batch, S = 256 crop side, L style rows, C style width.  Pictures are RGB in [-1, 1].
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceswap_cli.nets.blocks import (
    CheapDown,
    Gain,
    StyledConv,
    conv,
    folded,
    joined,
    lrelu,
    stacked,
    unfolded,
    zeroed,
)
from faceswap_cli.nets.fslsd256_encoders import (
    EMBEDDING,
    EXPRESSION,
    GAIN_SIDES,
    HINT_SIDE,
    MESH_POINTS,
    PARTS_SIDE,
    SHAPE_INPUTS,
    SIDE,
    SKETCH,
    STRUCTURE_ROWS,
    WARP_SIDES,
    DetailEncoder,
    Preset,
    SourceMaps,
    StructureEncoder,
    StyleEncoder,
)
from faceswap_cli.nets.meshfield import enlarged, relight, sampling_grid


@dataclass(frozen=True, eq=False)
class Scene:
    """What the network may know of a target crop."""

    erased: Tensor = field(repr=False)
    """(N, 3, S, S): the crop with the inside of the mask replaced by its light map"""
    mask: Tensor = field(repr=False)
    """(N, 1, S, S) soft, 1 where the face is replaced"""
    light: Tensor = field(repr=False)
    """(N, 3, 8, 8) mean color of the face per cell"""
    hint: Tensor = field(repr=False)
    """(N, 3, 32, 32) the open mouth, coarse; 0 elsewhere"""
    parts: Tensor = field(repr=False)
    """(N, 9, 32, 32) right eye, left eye, mouth; read into 32 numbers only"""
    sketch: Tensor = field(repr=False)
    """(N, 7, S / 2, S / 2) drawn landmarks, see :data:`SKETCH`"""
    flow: Tensor = field(repr=False)
    """(N, 2, 64, 64) displacement from target to source crop"""
    visible: Tensor = field(repr=False)
    """(N, 1, 64, 64) where the source can be copied"""
    shape: Tensor = field(repr=False)
    """(N, :data:`SHAPE_INPUTS`) landmarks, poses and expressions of both"""

    def tensors(self) -> tuple[Tensor, ...]:
        """All fields in order, as the constructor takes them."""
        return tuple(getattr(self, name) for name in self.__dataclass_fields__)

    def apply(self, fn: Callable[[Tensor], Tensor]) -> Scene:
        """The same record with ``fn(tensor)`` in each field."""
        return Scene(**{name: fn(getattr(self, name)) for name in self.__dataclass_fields__})


@dataclass(frozen=True, eq=False)
class Source:
    """A source person, encoded once."""

    rgb: Tensor = field(repr=False)
    """(N, 3, S, S)"""
    w: Tensor = field(repr=False)
    """(N, L, C)"""
    z: Tensor = field(repr=False)
    """(N, 128) centered, unit identity embedding"""
    maps: dict[int, Tensor] = field(repr=False)
    """Features to be warped, by side"""


@dataclass(frozen=True, eq=False)
class Swapped:
    """Everything one forward pass yields."""

    face: Tensor
    """(N, 3, S, S) the decoder's picture, before compositing"""
    side: Tensor
    """(N, 3, S, S) what the generator draws alone"""
    direction: Tensor
    """(N, 7, C) structure direction"""
    w: Tensor
    """(N, L, C) the code that was drawn"""
    w_target: Tensor
    """(N, L, C) the code of the (erased) target"""
    base: Tensor
    """(N, 3, S, S) the warped, relit source"""


class Conditions(nn.Module):
    """Inputs at one resolution: warped features, drawn landmarks, mouth hint, warped picture."""

    def __init__(self, warped: int, folded: int, outer: int) -> None:
        super().__init__()
        self.layer = conv(warped + 1 + len(SKETCH) + 3 + 3 * folded**2, outer)

    def forward(self, warped: Tensor, visible: Tensor, scene: Scene, base: Tensor) -> Tensor:
        side = warped.shape[-1]
        seen = visible.to(warped.dtype)
        maps = (warped * seen, seen, resized(scene.sketch, side), resized(scene.hint, side), base)
        # Training warps maps that are laid out channels last; a person's stored ones are plain.
        out: Tensor = self.layer(joined(*maps) if torch.is_grad_enabled() else stacked(*maps))
        return out


class Generator(nn.Module):
    """Style generator with spatial conditions."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.preset = preset
        self.start = nn.Parameter(torch.randn(1, preset.channels[0], 4, 4))
        self.first, self.second, self.to_rgb = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        self.conditions, self.gains = nn.ModuleDict(), nn.ModuleDict()
        inner = preset.channels[0]
        for side, outer in zip(preset.sides, preset.channels, strict=True):
            if side > 4:
                self.first.append(StyledConv(inner, outer, preset.style, up=True))
            self.second.append(StyledConv(outer, outer, preset.style))
            folded = preset.fold if side == preset.top else 1
            self.to_rgb.append(conv(outer, 3 * folded**2, 1))
            if side in WARP_SIDES or side == preset.top:
                self.conditions[str(side)] = Conditions(_warped_width(preset, side), folded, outer)
            if side in GAIN_SIDES:
                self.gains[str(side)] = Gain(EMBEDDING, outer)
            inner = outer

    def forward(self, w: Tensor, z: Tensor, extras: Mapping[int, Tensor]) -> dict[int, Tensor]:
        """Features by side; ``extras``: outputs of :attr:`conditions` by side."""
        x = self.start.expand(len(w), -1, -1, -1)
        x = self.second[0](x, w[:, 0])
        features = {4: x}
        for i, side in enumerate(self.preset.sides[1:], start=1):
            x = self.first[i - 1](x, w[:, 2 * i - 1], extras.get(side))
            x = self.second[i](x, w[:, 2 * i])
            if str(side) in self.gains:
                x = self.gains[str(side)](x, z)
            features[side] = x
        return features

    def picture(self, features: Mapping[int, Tensor]) -> Tensor:
        """(N, 3, S, S) what the generator draws alone: training looks at it."""
        picture: Tensor | None = None
        for (side, x), layer in zip(features.items(), self.to_rgb, strict=True):
            drawn = layer(x).float()
            if side == self.preset.top:
                drawn = F.pixel_shuffle(drawn, self.preset.fold)
            if picture is not None:
                size = drawn.shape[-2:]
                drawn = F.interpolate(picture, size=size, mode="bilinear", align_corners=False) + drawn
            picture = drawn
        if picture is None:
            raise ValueError("the generator has no levels")
        return picture


def _warped_width(preset: Preset, side: int) -> int:
    return preset.warped * (1 if side == preset.top else 2 if side >= 64 else 4)


class BlendDecoder(nn.Module):
    """Generator features inside the mask, target features outside, decoded coarse to fine."""

    FIRST = 16

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.preset = preset
        self.sides = [s for s in preset.sides if s >= self.FIRST]
        widths = [max(preset.at(s) // 2, 24) for s in self.sides]
        self.context = nn.ModuleList([conv(4 * preset.fold**2, widths[-1])])
        self.context.extend(CheapDown(a, b) for a, b in itertools.pairwise(widths[::-1]))
        self.inside = nn.ModuleList(conv(preset.at(s), c, 1) for s, c in zip(self.sides, widths, strict=True))
        joined = [widths[0]] + [a + b for a, b in itertools.pairwise(widths)]
        self.joins = nn.ModuleList(conv(a, b) for a, b in zip(joined, widths, strict=True))
        self.last = conv(widths[-1] + 3 * preset.fold**2, 4 * preset.fold**2)
        with torch.no_grad():
            self.last.weight.mul_(0.05)

    def forward(self, features: Mapping[int, Tensor], scene: Scene, base: Tensor) -> tuple[Tensor, Tensor]:
        """``base`` folded (N, 3 fold^2, top, top) -> correction (N, 3, S, S), gate logit (N, 1, S, S)."""
        fold = self.preset.fold
        x = lrelu(self.context[0](folded(torch.cat([scene.erased, scene.mask], 1), fold)))
        outside = [x]
        for layer in self.context[1:]:
            x = layer(x)
            outside.append(x)
        out: Tensor | None = None
        rows = zip(self.sides, self.inside, self.joins, reversed(outside), strict=True)
        for side, inside, join, around in rows:
            mask = F.interpolate(scene.mask, size=(side, side), mode="area").to(around.dtype)
            # One weight per pixel is slow where pixels have few channels: each channel gets its own.
            share = mask.expand_as(around).contiguous(memory_format=torch.channels_last)
            mixed = torch.lerp(around, inside(features[side]).to(around.dtype), share)
            if out is not None:
                mixed = joined(F.interpolate(out, scale_factor=2.0, mode="nearest"), mixed)
            out = lrelu(join(mixed))
        if out is None:
            raise ValueError("the decoder has no levels")
        drawn = unfolded(self.last(joined(out, base)), fold)
        return drawn[:, :3], drawn[:, 3:]


class Fslsd256(nn.Module):
    """The whole swap network; see the module's text.

    Call :meth:`encode_source` once per source and :meth:`forward` per target.
    """

    expression: Tensor
    mean_embedding: Tensor

    def __init__(self, preset: Preset, detail: int = 32) -> None:
        super().__init__()
        self.preset = preset
        # Measured on the training set and needed wherever the network is used.
        self.register_buffer("expression", torch.zeros(EXPRESSION, MESH_POINTS, 3))
        self.register_buffer("mean_embedding", torch.zeros(EMBEDDING))
        self.style = StyleEncoder(preset, 3)
        self.structure = StructureEncoder(preset.style, detail, 512 if preset.fold == 2 else 1024)
        self.detail = DetailEncoder(detail)
        self.identity = zeroed(nn.Linear(EMBEDDING, STRUCTURE_ROWS * preset.style))
        self.source_maps = SourceMaps(preset)
        self.generator = Generator(preset)
        self.decoder = BlendDecoder(preset)

    def encode_source(self, rgb: Tensor, z: Tensor) -> Source:
        return Source(rgb, self.style(rgb), z, self.source_maps(rgb))

    def forward(self, source: Source, scene: Scene, w_target: Tensor | None = None) -> Swapped:
        """``w_target``: the target's code when it is known already (smoothed over time)."""
        if w_target is None:
            w_target = self.style(scene.erased)
        direction, w, z = self._code(source, scene, w_target)
        face, features, base = self._drawn(source, scene, w, z)
        return Swapped(face, self.generator.picture(features), direction, w, w_target, base)

    def face(self, source: Source, scene: Scene, w_target: Tensor) -> Tensor:
        """(N, 3, S, S) the ``face`` of :meth:`forward` and nothing else: all that a swap shows."""
        _, w, z = self._code(source, scene, w_target)
        return self._drawn(source, scene, w, z)[0]

    def _code(self, source: Source, scene: Scene, w_target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Structure direction, the code to draw, and the embedding, for a whole batch."""
        direction: Tensor = self.structure(scene.shape, self.detail(scene.parts))
        z = source.z.expand(len(direction), -1)  # one source may serve a whole batch
        identity = self.identity(z).reshape(direction.shape)
        w = torch.cat(
            [source.w[:, :STRUCTURE_ROWS] + direction + identity, w_target[:, STRUCTURE_ROWS:]], dim=1
        )
        return direction, w, z

    def _drawn(
        self, source: Source, scene: Scene, w: Tensor, z: Tensor
    ) -> tuple[Tensor, dict[int, Tensor], Tensor]:
        """The decoder's picture, the generator's features, the warped source."""
        base = warped_base(source.rgb, scene)
        small = folded(base, self.preset.fold)
        features = self.generator(w, z, self._extras(source, scene, base, small))
        correction, gate = self.decoder(features, scene, small)
        visible = resized(scene.visible, SIDE)
        light = enlarged(scene.light, SIDE)
        share = visible * torch.sigmoid(gate + 3.0)
        return light + share * (base - light) + correction, features, base

    def _extras(self, source: Source, scene: Scene, base: Tensor, small: Tensor) -> dict[int, Tensor]:
        extras = {}
        for name, layer in self.generator.conditions.items():
            side = int(name)
            warped = _sample(source.maps[side], scene.flow)
            picture = (
                small if side == self.preset.top else F.interpolate(base, size=(side, side), mode="area")
            )
            extras[side] = layer(warped, resized(scene.visible, side), scene, picture)
        return extras


def warped_base(rgb: Tensor, scene: Scene) -> Tensor:
    """The source picture in the target's pose and light: what a swap without any network would show."""
    warped = _sample(rgb, scene.flow)
    return relight(warped, skin_weight(scene.sketch, SIDE) * resized(scene.visible, SIDE), scene.light)


def skin_weight(sketch: Tensor, side: int) -> Tensor:
    """(N, 1, side, side): the face without brows, eyes and lips, from the drawn landmarks."""
    face, brows, eyes, _, lips, _, _ = sketch.unbind(1)
    return resized((face * (1 - brows) * (1 - eyes) * (1 - lips))[:, None], side)


def _sample(maps: Tensor, flow: Tensor) -> Tensor:
    """``maps`` (N, C, s, s) warped by ``flow``; one source may serve a whole batch."""
    if len(maps) != len(flow):
        maps = maps.expand(len(flow), -1, -1, -1)
    grid = sampling_grid(flow.float(), maps.shape[-1]).to(maps.dtype)
    return F.grid_sample(maps, grid, mode="bilinear", padding_mode="border", align_corners=False)


def resized(x: Tensor, side: int) -> Tensor:
    """Bilinear when enlarging, area mean when shrinking."""
    if x.shape[-1] == side:
        return x
    if x.shape[-1] > side:
        return F.interpolate(x, size=(side, side), mode="area")
    return enlarged(x, side)


def composite(face: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """The swapped crop: ``face`` where the mask says so, the untouched ``target`` elsewhere."""
    return target + mask * (face - target)


def multiply_adds(preset: Preset) -> int:
    """Multiply-adds of one frame (source encoded already), counted from the convolutions."""
    net = Fslsd256(preset).eval()
    total = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        weight = module.get_parameter("weight")
        total += weight[0].numel() * output.numel() // len(output)

    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | StyledConv):
            module.register_forward_hook(count)
    with torch.no_grad():
        source = net.encode_source(torch.zeros(1, 3, SIDE, SIDE), torch.zeros(1, EMBEDDING))
        total = 0
        net(source, blank_scene(1))
    return total


def blank_scene(n: int) -> Scene:
    """A scene of zeros of the right shapes, for counting, export and tests."""
    half = SIDE // 2
    return Scene(
        erased=torch.zeros(n, 3, SIDE, SIDE),
        mask=torch.zeros(n, 1, SIDE, SIDE),
        light=torch.zeros(n, 3, 8, 8),
        hint=torch.zeros(n, 3, HINT_SIDE, HINT_SIDE),
        parts=torch.zeros(n, 9, PARTS_SIDE, PARTS_SIDE),
        sketch=torch.zeros(n, len(SKETCH), half, half),
        flow=torch.zeros(n, 2, 64, 64),
        visible=torch.zeros(n, 1, 64, 64),
        shape=torch.zeros(n, SHAPE_INPUTS),
    )
