"""From photographs to a file and back to a swap: nothing is lost on the way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from faceswap_cli.config import DetectOptions, JobOptions, PasteOptions
from faceswap_cli.enrol.make import EnrolOptions, enrol
from faceswap_cli.errors import InputError, WeightsError
from faceswap_cli.faces.crops import cut
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.geometry import align
from faceswap_cli.identity.faceid import read_faceid, source_of, write_faceid
from faceswap_cli.identity.photos import load_photos
from faceswap_cli.records import U8, FaceCrop, SourceIdentity
from faceswap_cli.swap import build_method
from faceswap_cli.swap.appearance import rgb_from_lab
from faceswap_cli.swap.facespace import made, mapped
from faceswap_cli.swap.methods.fslsd256 import Fslsd256Method
from faceswap_cli.swap.methods.mesh import MeshMethod
from tests.enrol.conftest import Saver, mirrored


def quiet(stage: str, done: int, total: int) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def photo(portrait: U8, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from PIL import Image

    path = tmp_path_factory.mktemp("photo") / "a.png"
    Image.fromarray(portrait).save(path)
    return path


@pytest.fixture(scope="module")
def anna(photo: Path, tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> SourceIdentity:
    """Enrolled with the tiny network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("faceswap_cli.enrol.make.bundled", lambda name: tiny_weights)
        return enrolled(tmp_path_factory.mktemp("people") / "anna.faceid", [photo])


@pytest.fixture(scope="module")
def bare(photo: Path, tmp_path_factory: pytest.TempPathFactory) -> SourceIdentity:
    """Enrolled without any network."""

    def missing(name: str) -> Path:
        raise WeightsError(f"weights file {name} is missing")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("faceswap_cli.enrol.make.bundled", missing)
        return enrolled(tmp_path_factory.mktemp("people") / "anna.faceid", [photo])


@pytest.fixture(scope="module")
def plain(photo: Path) -> SourceIdentity:
    """Never enrolled."""
    return load_photos([photo], DetectOptions())


@pytest.fixture(scope="module")
def target(stranger: U8) -> FaceCrop:
    mesh = find_faces(stranger)[0].landmarks
    matrix = align.scaled(align.unit_from_points(mesh), 224)
    return FaceCrop(0, cut(stranger, matrix, 224), matrix, align.apply(matrix, mesh))


def drawn(method: MeshMethod | Fslsd256Method, source: SourceIdentity, crop: FaceCrop) -> np.ndarray:
    ready = method.prepare(source)
    face = method.render(ready, crop, method.encode(ready, crop), 0)  # type: ignore[arg-type]
    return (face.rgb * face.mask[..., None]).astype(np.float32)


def enrolled(path: Path, photos: list[Path], **options: object) -> SourceIdentity:
    made = enrol(path.stem, photos, EnrolOptions(**options), quiet)  # type: ignore[arg-type]
    write_faceid(path, made.content)
    return source_of([path])


def test_mesh_draws_the_same_face(bare: SourceIdentity, plain: SourceIdentity, target: FaceCrop) -> None:
    method = MeshMethod(JobOptions(), PasteOptions(occlusion=False))
    assert np.abs(drawn(method, bare, target) - drawn(method, plain, target)).mean() < 0.5
    assert bare.enrolled is not None
    assert bare.enrolled.codes is None


def test_fslsd_draws_the_same_face(
    anna: SourceIdentity, plain: SourceIdentity, target: FaceCrop, tiny_weights: Path
) -> None:
    method = Fslsd256Method(JobOptions(device="cpu"), PasteOptions(occlusion=False), tiny_weights)
    assert np.abs(drawn(method, anna, target) - drawn(method, plain, target)).mean() < 1.0
    known = anna.enrolled
    assert known is not None
    assert known.codes is not None
    assert known.codes.base == method.inputs_digest


def test_codes_and_changes_reach_the_picture(
    anna: SourceIdentity, target: FaceCrop, tiny_weights: Path
) -> None:
    method = Fslsd256Method(JobOptions(device="cpu"), PasteOptions(occlusion=False), tiny_weights)
    known = anna.enrolled
    assert known is not None
    assert known.codes is not None
    before = drawn(method, anna, target)
    rng = np.random.default_rng(0)
    up, down = (rng.standard_normal(s).astype(np.float32) * 0.1 for s in ((16, 2), (2, 324)))
    tuned = replace(known.codes, deltas={"decoder.last/up": up, "decoder.last/down": down}, digest="x")
    refined = replace(known.codes, rows=known.codes.rows + 0.5)
    for codes in (tuned, refined):
        other = replace(anna, enrolled=replace(known, codes=codes))
        assert np.abs(drawn(method, other, target) - before).mean() > 0.05


def test_other_weights_are_refused(anna: SourceIdentity, tiny_weights: Path) -> None:
    known = anna.enrolled
    assert known is not None
    assert known.codes is not None
    foreign = replace(known, codes=replace(known.codes, base="0" * 64))
    method = Fslsd256Method(JobOptions(device="cpu"), PasteOptions(), tiny_weights)
    with pytest.raises(WeightsError, match="anna was enrolled with other weights"):
        method.prepare(replace(anna, enrolled=foreign))
    MeshMethod(JobOptions(), PasteOptions()).prepare(replace(anna, enrolled=foreign))


def test_tuning_needs_the_network(photo: Path, not_installed: None) -> None:
    with pytest.raises(WeightsError, match="missing"):
        enrol("anna", [photo], EnrolOptions(level=1), quiet)


def test_kept_photos_serve_profile_1024(
    save: Saver, portrait: U8, bare: SourceIdentity, tmp_path: Path, not_installed: None
) -> None:
    wide = np.pad(portrait, ((300, 300), (500, 500), (0, 0)), constant_values=90)
    photo = save("a.png", wide)
    with_them = enrolled(tmp_path / "a.faceid", [photo], keep_photos=True)
    assert bare.photos == ()
    (kept,) = with_them.photos
    assert kept.rgb.size < wide.size / 4  # only the face
    again = find_faces(kept.rgb)[0].landmarks
    width = np.ptp(again[:, 0])
    assert np.linalg.norm(again[:, :2] - kept.landmarks[:, :2], axis=1).mean() < 0.02 * width


def test_fslsd_1024_says_what_is_missing(bare: SourceIdentity) -> None:
    from faceswap_cli.swap.methods.fslsd import Fslsd1024

    with pytest.raises(InputError, match="--keep-photos"):
        Fslsd1024.prepare(Fslsd1024.__new__(Fslsd1024), bare)


def test_what_is_kept_of_the_surroundings_is_coarse(bare: SourceIdentity) -> None:
    assert bare.enrolled is not None
    assert bare.enrolled.surroundings.shape == (64, 64, 3)


@pytest.mark.slow
def test_whole_ladder(save: Saver, portrait: U8, tmp_path: Path, installed: Path) -> None:
    """Three photographs: one is held out; the file says what each level did."""
    bright = np.clip(portrait.astype(int) + 25, 0, 255).astype(np.uint8)
    photos = [save("a.png", portrait), save("b.png", mirrored(portrait)), save("c.png", bright)]
    from faceswap_cli.enrol.tune import TuneOptions

    options = EnrolOptions(level=2, tuning=TuneOptions(steps=(8, 8)))
    made = enrol("anna", photos, options, quiet)
    assert [outcome.level for outcome in made.outcomes] == [1, 2]
    path = tmp_path / "anna.faceid"
    write_faceid(path, made.content)
    found = read_faceid(path)
    assert found.person.level == max((o.level for o in made.outcomes if o.helped), default=0)
    assert sum("tuning level" in note for note in made.content.notes) == 2
    for outcome in made.outcomes:
        assert outcome.after <= outcome.before


def test_without_a_picture_only_the_embedding_is_kept(
    installed: Path, save: Saver, portrait: U8, tmp_path: Path
) -> None:
    files = [save("a.png", portrait), save("b.png", mirrored(portrait))]
    kept, blind = (
        enrol("anna", files, EnrolOptions(picture=picture), quiet).content for picture in (True, False)
    )
    assert np.allclose(kept.embedding, blind.embedding)
    # The face in the file is a function of the embedding: the photographs do not come in.
    again = made(mapped(blind.embedding))
    assert np.array_equal(blind.person.texture, rgb_from_lab(again.lab))
    assert blind.person.texture.shape != kept.person.texture.shape
    write_faceid(tmp_path / "anna.faceid", blind)
    source = source_of([tmp_path / "anna.faceid"])
    for name in ("mesh", "fslsd"):
        build_method(name, JobOptions(device="cpu"), PasteOptions()).prepare(source)
