"""From photographs to a file and back to a swap: nothing is lost on the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from faceswap_cli.config import DetectOptions, JobOptions, PasteOptions
from faceswap_cli.enrollment.make import EnrollOptions, enroll
from faceswap_cli.errors import InputError
from faceswap_cli.faces.crops import cut
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.geometry import align
from faceswap_cli.identity.faceid import source_of, write_faceid
from faceswap_cli.identity.photos import load_photos
from faceswap_cli.records import U8, FaceCrop, SourceIdentity
from faceswap_cli.swap import build_method
from faceswap_cli.swap.appearance import rgb_from_lab
from faceswap_cli.swap.facespace import made, mapped
from faceswap_cli.swap.methods.fslsd256 import Fslsd256Method
from faceswap_cli.swap.methods.mesh import MeshMethod
from tests.enroll.conftest import Saver, mirrored


def quiet(stage: str, done: int, total: int) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def photo(portrait: U8, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from PIL import Image

    path = tmp_path_factory.mktemp("photo") / "a.png"
    Image.fromarray(portrait).save(path)
    return path


@pytest.fixture(scope="module")
def anna(photo: Path, tmp_path_factory: pytest.TempPathFactory) -> SourceIdentity:
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
    made = enroll(path.stem, photos, EnrollOptions(**options), quiet)  # type: ignore[arg-type]
    write_faceid(path, made)
    return source_of([path])


@pytest.mark.parametrize("name", ["mesh", "fslsd"])
def test_an_enrolled_person_is_drawn_as_from_the_photograph(
    name: str, anna: SourceIdentity, plain: SourceIdentity, target: FaceCrop, tiny_weights: Path
) -> None:
    job, paste = JobOptions(device="cpu"), PasteOptions(occlusion=False)
    method = MeshMethod(job, paste) if name == "mesh" else Fslsd256Method(job, paste, tiny_weights)
    assert np.abs(drawn(method, anna, target) - drawn(method, plain, target)).mean() < 0.5


def test_kept_photos_serve_profile_1024(
    save: Saver, portrait: U8, anna: SourceIdentity, tmp_path: Path
) -> None:
    wide = np.pad(portrait, ((300, 300), (500, 500), (0, 0)), constant_values=90)
    photo = save("a.png", wide)
    with_them = enrolled(tmp_path / "a.faceid", [photo], keep_photos=True)
    assert anna.photos == ()
    (kept,) = with_them.photos
    assert kept.rgb.size < wide.size / 4  # only the face
    again = find_faces(kept.rgb)[0].landmarks
    width = np.ptp(again[:, 0])
    assert np.linalg.norm(again[:, :2] - kept.landmarks[:, :2], axis=1).mean() < 0.02 * width


def test_fslsd_1024_says_what_is_missing(anna: SourceIdentity) -> None:
    from faceswap_cli.swap.methods.fslsd import Fslsd1024

    with pytest.raises(InputError, match="--keep-photos"):
        Fslsd1024.prepare(Fslsd1024.__new__(Fslsd1024), anna)


def test_what_is_kept_of_the_surroundings_is_coarse(anna: SourceIdentity) -> None:
    assert anna.enrolled is not None
    assert anna.enrolled.surroundings.shape == (64, 64, 3)


def test_without_a_picture_only_the_embedding_is_kept(save: Saver, portrait: U8, tmp_path: Path) -> None:
    files = [save("a.png", portrait), save("b.png", mirrored(portrait))]
    kept, blind = (enroll("anna", files, EnrollOptions(picture=picture), quiet) for picture in (True, False))
    assert np.allclose(kept.embedding, blind.embedding)
    # The face in the file is a function of the embedding: the photographs do not come in.
    again = made(mapped(blind.embedding))
    assert np.array_equal(blind.person.texture, rgb_from_lab(again.lab))
    assert not np.array_equal(blind.person.texture, kept.person.texture)
    write_faceid(tmp_path / "anna.faceid", blind)
    source = source_of([tmp_path / "anna.faceid"])
    for name in ("mesh", "fslsd"):
        build_method(name, JobOptions(device="cpu"), PasteOptions()).prepare(source)
