"""Signed manifests: every format, what they say, what they do not, and what happens to them."""

from __future__ import annotations

import getpass
import json
import os
import socket
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from faceswap_cli import __version__
from faceswap_cli.errors import OutputError, UsageError
from faceswap_cli.output import PICTURE_SUFFIXES, VIDEO_SUFFIXES
from faceswap_cli.provenance import formats, keys, signing, verify
from faceswap_cli.provenance.formats import EMBEDDED, find_sidecar, sidecar_path
from faceswap_cli.provenance.mark import SOURCE_TYPE
from faceswap_cli.provenance.signing import sealer
from faceswap_cli.provenance.verify import read_statement
from tests.clips import make_clip

ENDINGS = (*PICTURE_SUFFIXES, *VIDEO_SUFFIXES)
_real_key_path = keys.key_path


def make(path: Path, seed: int = 0) -> Path:
    """A small file of the kind that the ending names."""
    if path.suffix in VIDEO_SUFFIXES:
        make_clip(path, codec="libvpx-vp9" if path.suffix == ".webm" else "libx264", frames=6)
    else:
        noise = np.random.default_rng(seed).integers(0, 256, (96, 128, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
    return path


def signed(path: Path, target: Path) -> list[str]:
    """Sign ``path`` where it lies, as if it had been made from ``target``."""
    return sealer(path, target)(path)


def change(path: Path) -> None:
    """Flip a bit of a picture or sound sample."""
    data = bytearray(path.read_bytes())
    place = data.rfind(b"mdat") + 200 if b"mdat" in data else len(data) // 2
    data[place] ^= 1
    path.write_bytes(bytes(data))


def sdk_report(path: Path, sidecar: Path | None = None) -> dict[str, Any]:
    """What the library itself says, with its default settings."""
    import c2pa

    data = sidecar.read_bytes() if sidecar else None
    with path.open("rb") as file, c2pa.Reader(EMBEDDED.get(path.suffix), file, data) as reader:
        found: dict[str, Any] = json.loads(reader.json())
    return found


@pytest.mark.parametrize("suffix", ENDINGS)
def test_every_output_is_signed_and_the_library_agrees(tmp_path: Path, suffix: str) -> None:
    target, out = make(tmp_path / f"target{suffix}", 1), make(tmp_path / f"out{suffix}")
    notes = signed(out, target)
    sidecar = None if suffix in EMBEDDED else sidecar_path(out)
    assert bool(notes) == (sidecar is not None)
    report = sdk_report(out, sidecar)
    assert report["validation_state"] in ("Valid", "Trusted")
    active = report["manifests"][report["active_manifest"]]
    assert active["claim_generator_info"][0]["name"] == "faceswap-cli"
    assert active["claim_generator_info"][0]["version"] == __version__
    found = read_statement(out)
    assert found is not None
    assert (found.state, found.signer) == ("valid", "this machine")
    assert found.where == ("embedded" if sidecar is None else "sidecar")
    assert found.actions == ("c2pa.opened", "c2pa.edited")
    assert found.source_types == (SOURCE_TYPE,)
    assert found.synthetic
    assert found.generator == f"faceswap-cli {__version__}"
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        [target.name, out.name, *([sidecar.name] if sidecar else [])]
    )


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".jpg", ".png", ".webp", ".tif", ".mkv"])
def test_a_change_after_signing_shows(tmp_path: Path, suffix: str) -> None:
    out = make(tmp_path / f"out{suffix}")
    signed(out, make(tmp_path / f"target{suffix}", 1))
    change(out)
    found = read_statement(out)
    assert found is not None
    assert found.state == "tampered"
    assert any("ash.mismatch" in code for code in found.problems)


@pytest.mark.parametrize("suffix", [".mp4", ".jpg", ".mkv"])
def test_without_a_manifest_nothing_is_claimed(tmp_path: Path, suffix: str) -> None:
    assert read_statement(make(tmp_path / f"plain{suffix}")) is None


@pytest.mark.parametrize(
    ("first", "second"),
    [(".mp4", ".mp4"), (".jpg", ".png"), (".mkv", ".mkv"), (".mkv", ".mp4"), (".mov", ".mkv")],
)
def test_an_earlier_manifest_is_kept_as_ingredient(tmp_path: Path, first: str, second: str) -> None:
    camera = make(tmp_path / f"camera{first}", 1)
    signed(camera, make(tmp_path / f"film{first}", 2))
    out = make(tmp_path / f"out{second}")
    signed(out, camera)
    found = read_statement(out)
    assert found is not None
    assert (found.state, found.earlier) == ("valid", 1)


def test_a_changed_parent_does_not_make_the_result_look_changed(tmp_path: Path) -> None:
    parent, out = make(tmp_path / "parent.mp4"), make(tmp_path / "out.mp4")
    signed(parent, make(tmp_path / "film.mp4"))
    change(parent)
    signed(out, parent)
    found = read_statement(out)
    assert found is not None
    assert found.state == "valid"


def test_a_target_that_is_not_what_its_name_says(tmp_path: Path) -> None:
    target, out = tmp_path / "target.mp4", make(tmp_path / "out.mp4")
    target.write_bytes(b"\x00\x00\x00\x08ftyp" + bytes(999))
    signed(out, target)
    found = read_statement(out)
    assert found is not None
    assert found.actions == ("c2pa.opened", "c2pa.edited")


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_long_videos_are_signed_in_place(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = make(tmp_path / f"out{suffix}")
    before = out.read_bytes()
    monkeypatch.setattr(signing, "COPIED_BYTES", 100)
    signed(out, make(tmp_path / "target.mp4"))
    assert out.read_bytes().startswith(before)
    assert sdk_report(out)["validation_state"] in ("Valid", "Trusted")
    frames_of(out)
    change(out)
    found = read_statement(out)
    assert found is not None
    assert found.state == "tampered"


def frames_of(path: Path) -> list[bytes]:
    import av

    with av.open(str(path)) as container:
        return [frame.to_ndarray().tobytes() for frame in container.decode(video=0)]


@pytest.mark.parametrize("suffix", VIDEO_SUFFIXES)
def test_frames_and_times_are_those_from_before(tmp_path: Path, suffix: str) -> None:
    out = make(tmp_path / f"out{suffix}")
    before = frames_of(out)
    signed(out, make(tmp_path / f"target{suffix}"))
    assert frames_of(out) == before


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".mp4", ".mkv"])
def test_nothing_private_goes_in(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "Zanzibar-holiday"
    folder.mkdir()
    target, out = make(folder / f"Ermintrude{suffix}", 1), make(folder / f"Wilhelmina{suffix}")
    plain = out.read_bytes()
    signed(out, target)
    data = out.read_bytes() + b"".join(p.read_bytes() for p in folder.glob("*.c2pa"))
    secrets = ["Zanzibar", "Ermintrude", "Wilhelmina", str(Path.home()), socket.gethostname(), "thumbnail"]
    user = getpass.getuser()
    secrets += [f"/{user}/", f"{user}@"] if len(user) < 5 else [user]
    for secret in secrets:
        if len(secret) > 3 and secret.encode() not in plain:
            assert secret.encode() not in data, secret
            assert secret.encode("utf-16-le") not in data, secret
    assert len(data) - len(plain) < 8000  # no picture hides in it


def test_the_certificate_tells_nothing_of_the_machine() -> None:
    from cryptography import x509

    for certificate in x509.load_pem_x509_certificates(keys.local_credentials().chain):
        names = {part.value for part in certificate.subject}
        assert names <= {keys.ORGANIZATION, keys.LEAF_NAME, keys.ROOT_NAME}
        assert certificate.not_valid_before_utc.year == 2024


def test_the_key_is_made_once_and_for_the_user_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "data" / "signer.pem"
    monkeypatch.setattr(keys, "key_path", lambda: path)
    assert keys.own_root() == ""
    assert not path.exists()
    first, second = keys.local_credentials(), keys.local_credentials()
    assert first == second
    assert [p.name for p in path.parent.iterdir()] == ["signer.pem"]
    assert path.read_bytes().count(b"PRIVATE KEY") == 2  # begin and end: the root's key is gone
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_first_runs_at_once_agree_on_one_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "signer.pem"
    monkeypatch.setattr(keys, "key_path", lambda: path)
    other = keys._make()
    make_one = keys._make

    def slow() -> keys.Credentials:
        keys._keep(path, other)  # the other run gets there first
        return make_one()

    monkeypatch.setattr(keys, "_make", slow)
    assert keys.local_credentials() == other


def test_where_nothing_can_be_stored_the_key_serves_one_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way of a folder")
    monkeypatch.setattr(keys, "key_path", lambda: blocked / "signer.pem")
    out = make(tmp_path / "out.jpg")
    signed(out, make(tmp_path / "target.jpg"))
    found = read_statement(out)
    assert found is not None
    assert (found.state, found.signer) == ("valid", "self-made")


def test_a_damaged_key_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "signer.pem"
    path.write_text("rubbish")
    monkeypatch.setattr(keys, "key_path", lambda: path)
    with pytest.raises(OutputError, match=r"signer\.pem is damaged; delete it"):
        sealer(tmp_path / "out.jpg", tmp_path / "target.jpg")
    assert keys.own_root() == ""


def test_the_key_lies_in_the_data_folder_of_the_user() -> None:
    import platformdirs

    folder = platformdirs.user_data_path("faceswap", appauthor=False)
    assert _real_key_path() == folder / "signer.pem"


Brought = tuple[Path, Path]


@pytest.fixture
def brought(tmp_path: Path) -> Callable[..., Brought]:
    """Certificate and key files that a user might have; ``key`` or ``chain`` replaces a part."""

    def store(key: bytes | None = None, chain: bytes | None = None) -> Brought:
        made = keys._make()
        certificate, private = tmp_path / "chain.pem", tmp_path / "key.pem"
        certificate.write_bytes(made.chain if chain is None else chain)
        private.write_bytes(made.key if key is None else key)
        return certificate, private

    return store


def test_a_key_of_the_user_signs(tmp_path: Path, brought: Callable[..., Brought]) -> None:
    out, target = make(tmp_path / "out.mp4"), make(tmp_path / "target.mp4")
    sealer(out, target, *brought())(out)
    found = read_statement(out)
    assert found is not None
    assert found.state == "valid"
    assert found.signer != "this machine"


def test_keys_that_cannot_sign_are_found_before_the_work(
    tmp_path: Path, brought: Callable[..., Brought]
) -> None:
    out, target = tmp_path / "out.mp4", tmp_path / "target.mp4"
    root = keys._make().chain.rpartition(b"-----BEGIN CERT")
    certificate, key = brought()
    cases: list[tuple[Path | None, Path | None, str]] = [
        (certificate, None, "belong together"),
        (None, key, "belong together"),
        (tmp_path / "gone.pem", key, r"gone\.pem cannot be read"),
        (certificate, tmp_path / "gone.pem", r"gone\.pem cannot be read"),
    ]
    for given, private, words in cases:
        with pytest.raises(UsageError, match=words):
            sealer(out, target, given, private)
    for parts, words in (
        ({"key": b"rubbish"}, "no private key"),
        ({"key": _locked_key()}, "pass phrase"),
        ({"chain": b"rubbish"}, "no certificate"),
        ({"chain": root[1] + root[2]}, "does not belong"),
        (_authority(), "cannot sign C2PA"),
        ({"key": _weak_key()}, "kind that C2PA does not allow"),
    ):
        with pytest.raises(UsageError, match=words):
            sealer(out, target, *brought(**parts))


def _locked_key() -> bytes:
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    lock = form.BestAvailableEncryption(b"secret")
    return key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, lock)


def _weak_key() -> bytes:
    from cryptography.hazmat.primitives.asymmetric import ec

    return keys._pem(ec.generate_private_key(ec.SECP256K1()))


def _authority() -> dict[str, bytes]:
    """A certificate that may sign others only, with its own key."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding

    key = ec.generate_private_key(ec.SECP256R1())
    chain = keys._certificate(keys.ROOT_NAME, key, key).public_bytes(Encoding.PEM)
    return {"key": keys._pem(key), "chain": chain}


def test_another_file_of_the_sidecars_name_is_left_alone(tmp_path: Path) -> None:
    out, other = tmp_path / "out.mkv", tmp_path / "out.mkv.c2pa"
    other.write_text("my notes")
    with pytest.raises(OutputError, match=r"out\.mkv\.c2pa exists and is not a C2PA manifest"):
        sealer(out, tmp_path / "target.mkv")
    assert other.read_text() == "my notes"


def test_sidecars_under_the_name_of_other_programs_are_found(tmp_path: Path) -> None:
    out = make(tmp_path / "out.mkv")
    signed(out, make(tmp_path / "target.mkv"))
    sidecar_path(out).rename(tmp_path / "out.c2pa")
    assert find_sidecar(out) == tmp_path / "out.c2pa"
    found = read_statement(out)
    assert found is not None
    assert found.state == "valid"


def test_a_damaged_sidecar_is_unreadable_and_no_traceback(tmp_path: Path) -> None:
    out = make(tmp_path / "out.mkv")
    for content in (b"", b"rubbish", bytes(5000), b"\x00\x00\x10\x00jumb" + bytes(300)):
        sidecar_path(out).write_bytes(content)
        found = read_statement(out)
        assert found is not None
        assert found.state == "unreadable"


def test_a_failing_signature_is_an_error_and_leaves_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = make(tmp_path / "out.jpg")
    seal = sealer(out, make(tmp_path / "target.jpg"))
    out.write_bytes(b"no picture at all")
    with pytest.raises(OutputError, match=r"out\.jpg could not be signed"):
        seal(out)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.jpg", "target.jpg"]


def test_what_a_stranger_wrote_is_shown_but_does_no_harm() -> None:
    odd = {
        "active_manifest": "a",
        "manifests": {
            "a": {
                "assertions": [
                    {"label": "c2pa.actions", "data": ["no", "actions"]},
                    {"label": "c2pa.actions.v2", "data": {"actions": "none"}},
                    {"label": "c2pa.actions.v2__1", "data": {"actions": [7, {"action": "x\x1b[2Jy"}]}},
                    {"label": None},
                ],
                "signature_info": {"common_name": "me\r\n" * 500},
                "claim_generator_info": None,
            }
        },
        "validation_results": None,
        "validation_state": "Valid",
    }
    found = verify._statement(odd, "embedded")
    assert found.actions == ("x?[2Jy",)
    assert found.signed_by.startswith("me??me")
    assert len(found.signed_by) == 200
    assert verify._statement({}, "embedded").state == "tampered"


def test_nothing_is_fetched() -> None:
    asked = formats.settings()["verify"]
    assert asked["remote_manifest_fetch"] is False
    assert asked["ocsp_fetch"] is False


@pytest.mark.slow
def test_memory_stays_bounded_for_long_videos(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    out = make(tmp_path / "out.mp4")
    block = os.urandom(1 << 20)
    with out.open("ab") as file:
        file.write((1_200 * len(block) + 8).to_bytes(4, "big") + b"mdat")
        for _ in range(1_200):
            file.write(block)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signed(out, make(tmp_path / "target.mp4"))
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3
    assert grown_mb < 700  # two blocks of 256 MiB, whatever the length
    assert sdk_report(out)["validation_state"] in ("Valid", "Trusted")
