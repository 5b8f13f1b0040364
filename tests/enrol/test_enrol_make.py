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
from faceswap_cli.swap.methods.fslsd256 import Fslsd256Method
from faceswap_cli.swap.methods.mesh import MeshMethod
from tests.enrol.conftest import Saver, mirrored


def quiet(stage: str, done: int, total: int) -> None:
    """Nobody listens."""


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


def test_mesh_draws_the_same_face(
    save: Saver, portrait: U8, target: FaceCrop, tmp_path: Path, not_installed: None
) -> None:
    photo = save("a.png", portrait)
    source = enrolled(tmp_path / "anna.faceid", [photo])
    method = MeshMethod(JobOptions(), PasteOptions(occlusion=False))
    before = drawn(method, load_photos([photo], DetectOptions()), target)
    assert np.abs(drawn(method, source, target) - before).mean() < 0.5
    assert source.enrolled is not None
    assert source.enrolled.codes is None


def test_fslsd_draws_the_same_face(
    save: Saver, portrait: U8, target: FaceCrop, tmp_path: Path, installed: Path
) -> None:
    photo = save("a.png", portrait)
    source = enrolled(tmp_path / "anna.faceid", [photo])
    method = Fslsd256Method(JobOptions(device="cpu"), PasteOptions(occlusion=False), installed)
    before = drawn(method, load_photos([photo], DetectOptions()), target)
    assert np.abs(drawn(method, source, target) - before).mean() < 1.0
    known = source.enrolled
    assert known is not None
    assert known.codes is not None
    assert known.codes.base == method.inputs_digest


def test_codes_and_changes_reach_the_picture(
    save: Saver, portrait: U8, target: FaceCrop, tmp_path: Path, installed: Path
) -> None:
    source = enrolled(tmp_path / "anna.faceid", [save("a.png", portrait)])
    method = Fslsd256Method(JobOptions(device="cpu"), PasteOptions(occlusion=False), installed)
    known = source.enrolled
    assert known is not None
    assert known.codes is not None
    before = drawn(method, source, target)
    rng = np.random.default_rng(0)
    up, down = (rng.standard_normal(s).astype(np.float32) * 0.1 for s in ((16, 2), (2, 324)))
    tuned = replace(known.codes, deltas={"decoder.last/up": up, "decoder.last/down": down}, digest="x")
    refined = replace(known.codes, rows=known.codes.rows + 0.5)
    for codes in (tuned, refined):
        other = replace(source, enrolled=replace(known, codes=codes))
        assert np.abs(drawn(method, other, target) - before).mean() > 0.05


def test_other_weights_are_refused(save: Saver, portrait: U8, tmp_path: Path, installed: Path) -> None:
    source = enrolled(tmp_path / "anna.faceid", [save("a.png", portrait)])
    known = source.enrolled
    assert known is not None
    assert known.codes is not None
    foreign = replace(known, codes=replace(known.codes, base="0" * 64))
    method = Fslsd256Method(JobOptions(device="cpu"), PasteOptions(), installed)
    with pytest.raises(WeightsError, match="anna was enrolled with other weights"):
        method.prepare(replace(source, enrolled=foreign))
    MeshMethod(JobOptions(), PasteOptions()).prepare(replace(source, enrolled=foreign))


def test_tuning_needs_the_network(save: Saver, portrait: U8, not_installed: None) -> None:
    with pytest.raises(WeightsError, match="missing"):
        enrol("anna", [save("a.png", portrait)], EnrolOptions(level=1), quiet)


def test_kept_photos_serve_profile_1024(
    save: Saver, portrait: U8, tmp_path: Path, not_installed: None
) -> None:
    wide = np.pad(portrait, ((300, 300), (500, 500), (0, 0)), constant_values=90)
    photo = save("a.png", wide)
    with_them = enrolled(tmp_path / "a.faceid", [photo], keep_photos=True)
    without = enrolled(tmp_path / "b.faceid", [photo])
    assert without.photos == ()
    (kept,) = with_them.photos
    assert kept.rgb.size < wide.size / 4  # only the face
    again = find_faces(kept.rgb)[0].landmarks
    width = np.ptp(again[:, 0])
    assert np.linalg.norm(again[:, :2] - kept.landmarks[:, :2], axis=1).mean() < 0.02 * width


def test_fslsd_1024_says_what_is_missing(
    save: Saver, portrait: U8, tmp_path: Path, not_installed: None
) -> None:
    from faceswap_cli.swap.methods.fslsd import Fslsd1024

    source = enrolled(tmp_path / "anna.faceid", [save("a.png", portrait)])
    method = Fslsd1024.__new__(Fslsd1024)
    with pytest.raises(InputError, match="--keep-photos"):
        method.prepare(source)


def test_what_is_kept_of_the_surroundings_is_coarse(
    save: Saver, portrait: U8, tmp_path: Path, not_installed: None
) -> None:
    known = enrolled(tmp_path / "anna.faceid", [save("a.png", portrait)]).enrolled
    assert known is not None
    assert known.surroundings.shape == (64, 64, 3)


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
