"""Importing official checkpoints: what is recognised, what is refused and with which words."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from faceswap_cli.errors import InputError, UsageError, WeightsError
from faceswap_cli.weights import formats, recipe, store
from tests.weights.tiny import small, write

__all__ = ["small"]

OFFICIAL = {
    "psp_ffhq_encode": "psp-ffhq",
    "stylegan2_ffhq_1024": "stylegan2-ffhq",
    "fslsd_celebahq_1024": "fslsd-1024",
}


@pytest.mark.parametrize(("checkpoint", "name"), OFFICIAL.items())
def test_each_file_is_recognised_by_its_keys(small: Path, tmp_path: Path, checkpoint: str, name: str) -> None:
    card = store.import_file(write(checkpoint, tmp_path / "anything.bin"))
    assert (card.name, card.checkpoint, card.source_file) == (name, checkpoint, "anything.bin")
    assert card.licence_use == "noncommercial"
    assert card.sha256 == store.file_sha256(small / f"{name}.safetensors")
    assert [c.name for c in store.installed()] == [name]
    spec = recipe.checkpoints()[checkpoint]
    part, key = next((p, k) for p, keys in spec.components.items() for k in keys)
    stored = store.open_part(name, [part])[part][key]
    assert np.array_equal(
        stored.numpy(), recipe.fill(f"A/{checkpoint}/{part}/{key}", spec.components[part][key])
    )


@pytest.mark.parametrize("checkpoint", OFFICIAL)
def test_export_gives_the_published_layout_back(small: Path, tmp_path: Path, checkpoint: str) -> None:
    first = write(checkpoint, tmp_path / "in.pt")
    card = store.import_file(first)
    again = store.export_file(card.name, tmp_path / "out.pt")
    a, b = (torch.load(path, weights_only=True) for path in (first, again))
    assert a.keys() == b.keys()
    for part in recipe.checkpoints()[checkpoint].components:
        assert list(a[part]) == list(b[part])
        assert all(torch.equal(a[part][key], b[part][key]) for key in a[part])
    assert store.import_file(again).sha256 == card.sha256


def test_installed_safetensors_can_be_imported_again(small: Path, tmp_path: Path) -> None:
    card = store.import_file(write("fslsd_celebahq_1024", tmp_path / "in.pt"))
    copy = store.export_file(card.name, tmp_path / "copy.safetensors")
    assert store.import_file(copy).sha256 == card.sha256


def test_names_without_the_wrapper_prefix_are_the_same(small: Path, tmp_path: Path) -> None:
    container = formats.stand_in_container("fslsd_celebahq_1024")
    bare = {part: {k.removeprefix("module."): v for k, v in s.items()} for part, s in container.items()}
    torch.save(container, tmp_path / "a.pt")
    torch.save(bare, tmp_path / "b.pt")
    assert store.import_file(tmp_path / "a.pt").sha256 == store.import_file(tmp_path / "b.pt").sha256


def test_the_old_file_format_is_read(small: Path, tmp_path: Path) -> None:
    container = formats.stand_in_container("stylegan2_ffhq_1024")
    torch.save(container, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert store.import_file(tmp_path / "old.pt").name == "stylegan2-ffhq"


def test_generator_without_noise_gets_repeatable_noise(small: Path, tmp_path: Path) -> None:
    state = formats.stand_in_container("stylegan2_ffhq_1024")["g_ema"]
    lean = {k: v for k, v in state.items() if not k.startswith("noises.") and not k.endswith("kernel")}
    first = store.import_file(write("stylegan2_ffhq_1024", tmp_path / "lean.pt", g_ema=lean))
    assert "filled in" in first.notes[0]
    kernel = store.open_part("stylegan2-ffhq", ["g_ema"])["g_ema"]["convs.0.conv.blur.kernel"]
    assert kernel.sum() == pytest.approx(4)
    assert store.import_file(tmp_path / "lean.pt").sha256 == first.sha256


def test_noise_is_required_in_the_other_files(small: Path, tmp_path: Path) -> None:
    state = formats.stand_in_container("psp_ffhq_encode")["state_dict"]
    lean = {k: v for k, v in state.items() if not k.startswith("decoder.to_rgb1")}
    with pytest.raises(WeightsError, match=r"tensors missing \(state_dict.decoder.to_rgb1"):
        store.import_file(write("psp_ffhq_encode", tmp_path / "x.pt", state_dict=lean))


def test_a_short_average_latent_is_repeated(small: Path, tmp_path: Path) -> None:
    short = torch.arange(512.0)
    store.import_file(write("psp_ffhq_encode", tmp_path / "x.pt", latent_avg=short))
    stored = store.open_part("psp-ffhq", ["latent_avg"])["latent_avg"][""]
    assert stored.shape == (18, 512)
    assert torch.equal(stored[11], short)


def with_nan(container: dict[str, Any]) -> None:
    container["decoder"]["module.decoder.7.2.bias"][1] = float("nan")


def without_part(container: dict[str, Any]) -> None:
    del container["bald_model"]


def without_key(container: dict[str, Any]) -> None:
    del container["generator"]["module.conv1.noise.weight"]


def renamed(container: dict[str, Any]) -> None:
    part = container["encoder_target"]
    part["module.encoder.0.0.0.bias"] = part.pop("module.encoder.0.0.1.bias")


def wrong_size(container: dict[str, Any]) -> None:
    container["decoder"]["module.decoder.7.2.bias"] = torch.zeros(5)


def whole_numbers(container: dict[str, Any]) -> None:
    container["decoder"]["module.decoder.7.2.bias"] = torch.zeros(3, dtype=torch.int32)


def no_tensor(container: dict[str, Any]) -> None:
    container["decoder"]["module.decoder.7.2.bias"] = [1.0, 2.0]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (with_nan, r"damaged: decoder\.decoder\.7\.2\.bias"),
        (without_part, r"looks like CELEBA-HQ-1024\.pt, but 2 of \d+ tensors missing \(bald_model\.dense\.3"),
        (without_key, r"1 of \d+ tensors missing \(generator\.conv1\.noise\.weight\)"),
        (
            renamed,
            r"tensors missing \(encoder_target\.encoder\.0\.0\.1\.bias\); 1 unexpected \(.*0\.0\.0\.bias",
        ),
        (wrong_size, r"1 of another shape \(decoder\.decoder\.7\.2\.bias is \[5\], expected \[3\]\)"),
        (whole_numbers, r"torch\.int32, expected float32"),
        (no_tensor, r"holds list at 'module\.decoder\.7\.2\.bias', expected tensors"),
    ],
)
def test_a_spoilt_file_says_what_is_wrong(small: Path, tmp_path: Path, spoil: Any, words: str) -> None:
    container = formats.stand_in_container("fslsd_celebahq_1024")
    spoil(container)
    torch.save(container, tmp_path / "x.pt")
    with pytest.raises(WeightsError, match=words) as caught:
        store.import_file(tmp_path / "x.pt")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 6
    assert store.installed() == []
    assert not small.exists() or list(small.iterdir()) == []


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_pickle_is_refused_and_not_run(small: Path, tmp_path: Path, zipped: bool) -> None:
    container = formats.stand_in_container("stylegan2_ffhq_1024")
    container["opts"] = Bomb(tmp_path / "boom")
    torch.save(container, tmp_path / "evil.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"evil\.pt is refused: .* \(posix\.mkdir\)"):
        store.import_file(tmp_path / "evil.pt")
    assert not (tmp_path / "boom").exists()


def test_a_bare_pickle_with_code_is_refused(small: Path, tmp_path: Path) -> None:
    (tmp_path / "evil.pt").write_bytes(pickle.dumps({"a": Bomb(tmp_path / "boom"), "padding": "x" * 64}))
    with pytest.raises(WeightsError, match=r"evil\.pt"):
        store.import_file(tmp_path / "evil.pt")
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize("keep", [0.0, 0.2, 0.7, 0.999])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_cut_short_is_refused(small: Path, tmp_path: Path, keep: float, zipped: bool) -> None:
    container = formats.stand_in_container("stylegan2_ffhq_1024")
    torch.save(container, tmp_path / "whole.pt", _use_new_zipfile_serialization=zipped)
    data = (tmp_path / "whole.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(WeightsError, match=r"cut\.pt"):
        store.import_file(tmp_path / "cut.pt")


def test_a_safetensors_file_cut_short_is_refused(small: Path, tmp_path: Path) -> None:
    card = store.import_file(write("fslsd_celebahq_1024", tmp_path / "in.pt"))
    whole = store.weights_path(card.name).read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:-100])
    with pytest.raises(WeightsError, match=r"cut\.safetensors is a damaged safetensors file"):
        store.import_file(tmp_path / "cut.safetensors")


@pytest.mark.parametrize(
    "content", [{"weights": torch.zeros(3)}, [1, 2, 3], {"g_ema": {"x": torch.zeros(1)}}]
)
def test_something_else_is_named(small: Path, tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(WeightsError, match=r"other\.pt (is none of the known|holds a list)"):
        store.import_file(tmp_path / "other.pt")


def test_a_file_that_is_not_there(small: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file .*nowhere\.pt"):
        store.import_file(tmp_path / "nowhere.pt")


def test_a_published_name_on_another_file_is_refused(small: Path, tmp_path: Path) -> None:
    path = write("stylegan2_ffhq_1024", tmp_path / "CELEBA-HQ-1024.pt")
    with pytest.raises(WeightsError, match=r"holds StyleGAN2.*expected FSLSD.*--as stylegan2-ffhq"):
        store.import_file(path)
    with pytest.raises(WeightsError, match=r"is StyleGAN2.*expected pSp"):
        store.import_file(path, "psp-ffhq")
    with pytest.raises(UsageError, match="known are psp-ffhq"):
        store.import_file(path, "pixie")
    assert store.import_file(path, "stylegan2-ffhq").name == "stylegan2-ffhq"


def test_another_kind_of_encoder_is_refused(small: Path, tmp_path: Path) -> None:
    path = write(
        "psp_ffhq_encode", tmp_path / "x.pt", opts={"encoder_type": "BackboneEncoderUsingLastLayerIntoW"}
    )
    with pytest.raises(WeightsError, match="expected a GradualStyleEncoder"):
        store.import_file(path)


def flip(path: Path, at: int = -5) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_flipped_bit_is_found(small: Path, tmp_path: Path) -> None:
    card = store.import_file(write("fslsd_celebahq_1024", tmp_path / "in.pt"))
    path = store.weights_path(card.name)
    assert store.verify(card.name).sha256 == card.sha256
    flip(path)
    with pytest.raises(WeightsError, match=r"sha256 [0-9a-f]{16}\.\.\. found, [0-9a-f]{16}\.\.\. expected"):
        store.verify(card.name)
    os.utime(path, ns=(0, 12345))
    with pytest.raises(WeightsError, match="import it again"):
        store.open_part(card.name, ["decoder"])


def test_a_file_of_another_size_is_found(small: Path, tmp_path: Path) -> None:
    card = store.import_file(write("fslsd_celebahq_1024", tmp_path / "in.pt"))
    with store.weights_path(card.name).open("ab") as out:
        out.write(b"more")
    with pytest.raises(WeightsError, match=rf"{card.size + 4} bytes found, {card.size} expected"):
        store.verify(card.name)


def test_a_renamed_installed_file_is_found(small: Path, tmp_path: Path) -> None:
    store.import_file(write("fslsd_celebahq_1024", tmp_path / "a.pt"))
    store.import_file(write("stylegan2_ffhq_1024", tmp_path / "b.pt"))
    (small / "stylegan2-ffhq.safetensors").replace(small / "fslsd-1024.safetensors")
    with pytest.raises(WeightsError, match="expected"):
        store.verify("fslsd-1024")


def test_missing_weights_say_how_to_get_them(small: Path) -> None:
    with pytest.raises(WeightsError, match=r"CELEBA-HQ-1024\.pt from https://.*faceswap weights import"):
        store.open_part("fslsd-1024", ["decoder"])


@pytest.mark.parametrize("damage", [{}, {"sha256": 0}, {"size": "many"}, {"notes": [1]}])
def test_a_damaged_card_is_named(damage: dict[str, object], small: Path, tmp_path: Path) -> None:
    card = store.import_file(write("fslsd_celebahq_1024", tmp_path / "a.pt"))
    path = small / f"{card.name}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **damage}) if damage else "{")
    for read in (store.trusted, store.verify):
        with pytest.raises(WeightsError, match=r"card .* is damaged"):
            read(card.name)


def test_tables_name_what_is_published() -> None:
    counts = {
        (name, part): len(keys)
        for name, spec in recipe.checkpoints().items()
        for part, keys in spec.components.items()
    }
    assert counts[("fslsd_celebahq_1024", "encoder_lmk")] == 465
    assert counts[("fslsd_celebahq_1024", "encoder_target")] == 23
    assert counts[("fslsd_celebahq_1024", "decoder")] == 26
    assert counts[("fslsd_celebahq_1024", "bald_model")] == 36
    assert counts[("fslsd_celebahq_1024", "generator")] == counts[("stylegan2_ffhq_1024", "g_ema")] == 171
    assert counts[("psp_ffhq_encode", "state_dict")] == 621 + 171


@pytest.mark.parametrize(
    ("pattern", "keys"),
    [
        ("a.b", ["a.b"]),
        ("a.{0..2}.b", ["a.0.b", "a.1.b", "a.2.b"]),
        ("{0..4..2}.x.{1,3}", ["0.x.1", "0.x.3", "2.x.1", "2.x.3", "4.x.1", "4.x.3"]),
    ],
)
def test_brace_patterns(pattern: str, keys: list[str]) -> None:
    assert list(recipe.expand(pattern)) == keys
