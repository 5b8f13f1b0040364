"""The method ``fslsd`` in profile 1024, with thin networks; the real ones in slow tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from faceswap_cli.config import JobOptions, PasteOptions
from faceswap_cli.errors import UsageError, WeightsError
from faceswap_cli.nets import fslsd as nets
from faceswap_cli.nets.layout import channels_last
from faceswap_cli.nets.stylegan2 import Generator
from faceswap_cli.numerics import NotFinite
from faceswap_cli.records import FaceCrop, SourceIdentity, SourcePhoto
from faceswap_cli.swap import build_method, official
from faceswap_cli.swap.fslsd_networks import MixOptions, OfficialNetworks, keep_large_blocks
from faceswap_cli.swap.method import BatchMethod, Task
from faceswap_cli.swap.methods.fslsd import SIDE, Fslsd1024
from faceswap_cli.swap.selective import Amounts, selected

THIN = {"multiplier": 1, "most_channels": 4}
EXAMPLE = Path(__file__).parents[2] / "examples"


class Inverter(nn.Module):
    """Stands in for the pSp encoder, which has no thin form: codes from the colors of a picture."""

    def forward(self, x: torch.Tensor, rows: list[int]) -> torch.Tensor:
        pooled = nn.functional.adaptive_avg_pool2d(x, 8).flatten(1)
        return torch.stack([pooled.repeat(1, 3)[:, :512] * (1 + row) for row in rows], 1) * 0.1


class Pointer(nn.Module):
    """Stands in for the landmark encoder."""

    def from_points(self, points: torch.Tensor) -> torch.Tensor:
        return (points.mean((1, 2)) / 256).view(-1, 1, 1).expand(-1, 7, 512)


@pytest.fixture(scope="module")
def networks() -> OfficialNetworks:
    torch.manual_seed(8)
    made = OfficialNetworks(
        encoder=Inverter(),  # type: ignore[arg-type]
        average=torch.randn(18, 512) * 0.1,
        landmark_encoder=Pointer(),  # type: ignore[arg-type]
        editor=nets.LatentEditor(),
        generator=channels_last(Generator(SIDE, 512, 1, **THIN)),
        target_encoder=channels_last(nets.TargetEncoder(SIDE, **THIN)),
        decoder=channels_last(nets.FeatureDecoder(SIDE, **THIN)),
    )
    for part in (made.editor, made.generator, made.target_encoder, made.decoder):
        part.eval().requires_grad_(False)
    return made


def face(side: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture of noise and a mesh whose outline is an ellipse in it."""
    from faceswap_cli.faces import landmarks as parts

    rng = np.random.default_rng(seed)
    rgb = rng.integers(60, 200, (side, side, 3), np.uint8)
    points = (rng.uniform(0.42, 0.58, (478, 3)) * side).astype(np.float32)
    angles = np.linspace(0, 2 * np.pi, len(parts.OVAL), endpoint=False) - np.pi / 2
    oval = np.stack([0.5 + 0.22 * np.cos(angles), 0.5 + 0.28 * np.sin(angles)], axis=1)
    points[list(parts.OVAL), :2] = oval * side
    points[[33, 160, 158, 133, 153, 144], :2] = (0.42 * side, 0.45 * side)
    points[[362, 385, 387, 263, 373, 380], :2] = (0.58 * side, 0.45 * side)
    points[[61, 291], :2] = (0.5 * side, 0.62 * side)
    return rgb, points


def crop(seed: int = 4) -> FaceCrop:
    rgb, points = face(SIDE, seed)
    return FaceCrop(0, rgb, np.eye(3), points)


def person(*seeds: int) -> SourceIdentity:
    made = [face(300, seed) for seed in seeds]
    photos = [SourcePhoto(Path("x"), rgb, points, np.zeros(128, np.float32), 0.5) for rgb, points in made]
    return SourceIdentity("x", tuple(photos), np.zeros(128, np.float32))


def method(networks: OfficialNetworks, labels: np.ndarray | None = None, **how: object) -> Fslsd1024:
    return Fslsd1024(networks, MixOptions(**how), PasteOptions(occlusion=False), labels)  # type: ignore[arg-type]


def test_a_face_is_drawn(networks: OfficialNetworks) -> None:
    ours = method(networks)
    prepared = ours.prepare(person(1))
    target = crop()
    code = ours.encode(prepared, target)
    assert code.shape == (6 * 512,) == np.shape(ours.smoothing.beta)
    drawn = ours.render(prepared, target, code, seed=0)
    assert drawn.rgb.shape == (SIDE, SIDE, 3)
    assert drawn.mask[0].max() == 0
    assert drawn.mask[SIDE // 2, SIDE // 2] == 1
    again = method(networks).render(prepared, target, code, seed=5)
    assert np.array_equal(drawn.rgb, again.rgb)
    assert not np.array_equal(drawn.rgb, ours.render(ours.prepare(person(2)), target, code, 0).rgb)


def test_the_steps_are_the_published_ones(networks: OfficialNetworks) -> None:
    """The method's picture is that of the plain sequence of networks."""
    from faceswap_cli.swap import mixing, official

    ours, target = method(networks), crop()
    prepared = ours.prepare(person(1))
    drawn = ours.render(prepared, target, ours.encode(prepared, target), 0)
    with torch.inference_mode():
        small = official.to_input(official.shrink_to_256(target.rgb))
        codes = networks.encoder(small, list(range(18))) + networks.average
        both = np.concatenate([prepared.points, official.points106(target.landmarks / 4)])
        structure = networks.landmark_encoder.from_points(torch.from_numpy(both)[None])
        edited = networks.editor(mixing.mix(prepared.codes, structure, codes))
        inside = ours._indicator(target)
        picture = networks.decoder(
            networks.generator.features(edited),
            networks.target_encoder(official.to_input(target.rgb)),
            official.face_mask(inside),
        )
    gap = np.abs(drawn.rgb.astype(int) - official.to_uint8(picture))
    assert gap.max() <= 1
    assert (gap > 0).mean() < 1e-3


def test_strength_and_parts_work_around_it(networks: OfficialNetworks) -> None:
    """Its mesh says nothing of where it draws: the target's own is laid over it as it is."""
    ours = method(networks)
    prepared, target = ours.prepare(person(1)), crop()
    drawn = ours.render(prepared, target, ours.encode(prepared, target), seed=0)

    def away(amounts: Amounts) -> float:
        rgb = selected(drawn, amounts).rgb
        return float(np.abs(rgb.astype(int) - target.rgb)[drawn.mask > 0.9].mean())

    far = [away(Amounts(strength=s)) for s in (0.25, 0.5, 0.75, 1.0)]
    assert far == sorted(far)
    assert far[0] < 0.5 * far[-1]
    assert away(Amounts(kept={"mouth": 1.0, "eyes": 1.0, "brows": 1.0, "skin": 1.0})) < far[-1]
    np.testing.assert_array_equal(selected(drawn, Amounts(strength=0.5)).mask, drawn.mask)


def test_several_photographs_are_averaged(networks: OfficialNetworks) -> None:
    ours = method(networks)
    one, two, both = (ours.prepare(person(*seeds)).codes for seeds in ((1,), (2,), (1, 2)))
    assert torch.allclose(both, (one + two) / 2, atol=1e-5)
    assert both[:, 11:].abs().max() == 0


def test_the_slicing_changes_the_code_and_the_picture(networks: OfficialNetworks) -> None:
    paper = method(networks, appear_from=7)
    prepared = paper.prepare(person(1))
    assert paper.encode(prepared, crop()).shape == (10 * 512,)
    assert np.unique(paper.smoothing.beta).tolist() == [10.0, 25.0]


def test_a_parsing_map_gives_the_mask(networks: OfficialNetworks) -> None:
    labels = np.zeros((SIDE, SIDE))
    labels[300:500, 400:700] = 1
    inside = method(networks, labels)._indicator(crop())[0, 0].numpy()
    assert inside.sum() == pytest.approx(100 * 150, rel=0.01)
    assert inside[200, 275] == 1
    assert inside[350, 275] == 0


def test_the_batch_agrees_with_single_faces(networks: OfficialNetworks) -> None:
    rng = torch.manual_seed(0)
    source, target = (torch.randn(2, 18, 512, generator=rng) for _ in range(2))
    points = torch.rand(2, 212, 2, generator=rng) * 256
    pictures = torch.rand(2, 3, SIDE, SIDE, generator=rng) * 2 - 1
    mask = torch.zeros(2, 1, SIDE, SIDE)
    mask[:, :, 300:700, 300:700] = 1
    with torch.inference_mode():
        together = networks.swap(source, target, points, pictures, mask, MixOptions())
        singly = [
            networks.swap(*(x[k : k + 1] for x in (source, target, points, pictures, mask)), MixOptions())
            for k in range(2)
        ]
    assert torch.allclose(together, torch.cat(singly), atol=1e-4 * float(together.std()))


def test_faces_go_through_the_networks_together(networks: OfficialNetworks) -> None:
    """Two people, three targets: each face is drawn as if it were alone."""
    ours = method(networks)
    assert isinstance(ours, BatchMethod)
    assert ours.batches.size == 1
    people = [ours.prepare(person(seed)) for seed in (1, 2)]
    tasks = [Task(people[k % 2], crop(4 + k)) for k in range(3)]
    codes = ours.encode_batch(tasks)
    tasks = [Task(t.prepared, t.crop, code) for t, code in zip(tasks, codes, strict=True)]
    for task, together in zip(tasks, ours.render_batch(tasks), strict=True):
        code = ours.encode(task.prepared, task.crop)
        assert np.abs(code - task.code).max() < 1e-4
        alone = ours.render(task.prepared, task.crop, code, 0)
        assert np.abs(alone.rgb.astype(int) - together.rgb.astype(int)).max() <= 1
        assert np.array_equal(alone.mask, together.mask)


def test_numbers_that_are_none_are_seen_behind_the_copy() -> None:
    pictures = torch.rand(2, 3, 4, 4) * 2.4 - 1.2
    for one, plain in zip(official.from_samples(official.to_samples(pictures)), pictures, strict=True):
        assert np.array_equal(one, official.to_uint8(plain[None]))
    pictures[1, 2, 3, 3] = torch.nan
    with pytest.raises(NotFinite):
        official.from_samples(official.to_samples(pictures))


def test_options_out_of_range_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FACESWAP_WEIGHTS", str(tmp_path))
    for spoilt in (
        {"profile": "77"},
        {"profile": "1024", "appear_from": "3"},
        {"profile": "1024", "precision": "int4"},
        {"profile": "1024", "landmark_maps": "smooth"},
    ):
        with pytest.raises(UsageError):
            build_method("fslsd", JobOptions(device="cpu", **spoilt), PasteOptions())  # type: ignore[arg-type]


def test_missing_weights_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FACESWAP_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match=r"psp_ffhq_encode\.pt from https"):
        build_method("fslsd", JobOptions(device="cpu", profile="1024"), PasteOptions())


def test_large_blocks_can_be_kept_or_not() -> None:
    assert keep_large_blocks() in (True, False)


@pytest.mark.slow
def test_stand_in_checkpoints_run_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import av

    from faceswap_cli.cli import main
    from faceswap_cli.swap.fslsd_networks import load_networks
    from faceswap_cli.video.picture import read_picture
    from faceswap_cli.weights import formats

    monkeypatch.setenv("FACESWAP_WEIGHTS", str(tmp_path / "store"))
    monkeypatch.setenv("FACESWAP_ACCEPT_TERMS", "1")
    for checkpoint, name in (("fslsd_celebahq_1024", "CELEBA-HQ-1024.pt"), ("psp_ffhq_encode", "psp.pt")):
        torch.save(formats.stand_in_container(checkpoint), tmp_path / name)
        assert main(["weights", "import", str(tmp_path / name), "-q"]) == 0
        (tmp_path / name).unlink()
    load_networks.cache_clear()
    source, clip = str(EXAMPLE / "source.jpg"), str(EXAMPLE / "target.mp4")
    chosen = ["--method", "fslsd", "--profile", "1024", "--device", "cpu", "-q"]
    for name in ("a.png", "b.png"):
        assert main(["image", source, source, "-o", str(tmp_path / name), *chosen]) == 0
    # Signatures differ each time they are made.
    first, second = (read_picture(tmp_path / name).rgb for name in ("a.png", "b.png"))
    assert np.array_equal(first, second)
    video = tmp_path / "out.mp4"
    assert main(["video", source, clip, "-o", str(video), "--end", "3f", *chosen]) == 0
    with av.open(str(video)) as opened:
        assert sum(1 for _ in opened.decode(video=0)) == 3
    load_networks.cache_clear()
