"""The signed statement: a C2PA manifest in every output that can hold one, beside the others.

It says that the target was opened and then edited with a trained model, and by which program;
a manifest that the target carries is kept as its ingredient.  No title, file name, thumbnail or
source picture goes in.  Containers without a place for it (Matroska, WebM, NUT) get a sidecar file.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faceswap_cli import __version__
from faceswap_cli.errors import OutputError, UsageError
from faceswap_cli.provenance.formats import CONSENT_LABEL, EMBEDDED, OTHER, SIDECAR, settings, sidecar_path
from faceswap_cli.provenance.keys import Credentials, brought_credentials, local_credentials
from faceswap_cli.provenance.mark import SOURCE_TYPE
from faceswap_cli.provenance.trial import bearable
from faceswap_cli.provenance.verify import sidecar_statement

if TYPE_CHECKING:
    import c2pa

Seal = Callable[[Path], list[str]]
"""Takes a finished file that does not have its name yet; returns notes for the user."""

COPIED_BYTES = 256 << 20
"""Longer videos get their manifest at the end, in place: putting it in front makes three copies on disk."""
BOX_TYPE = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
"""User type of the MP4 box that holds a manifest (C2PA specification, appendix on BMFF)."""


def manifest(consent: str = "") -> dict[str, Any]:
    """What is claimed; ``c2pa.opened`` comes from the parent ingredient.

    ``consent`` is the SHA-256 of the consent file; nothing else of it goes in.
    """
    edited = {"action": "c2pa.edited", "digitalSourceType": SOURCE_TYPE}
    actions = {"label": "c2pa.actions.v2", "data": {"actions": [edited]}}
    generator = {"name": "faceswap-cli", "version": __version__}
    agreed = {"label": CONSENT_LABEL, "data": {"alg": "sha256", "hash": consent}}
    return {"claim_generator_info": [generator], "assertions": [actions, *([agreed] if consent else [])]}


def sealer(
    output: Path,
    target: Path,
    certificate: Path | None = None,
    key: Path | None = None,
    consent: str = "",
) -> Seal:
    """How ``output``, made from ``target``, will be signed; bad keys are found now, before the work."""
    if (certificate is None) != (key is None):
        raise UsageError("--c2pa-cert and --c2pa-key belong together; give both, or none")
    if certificate is not None and key is not None:
        credentials = brought_credentials(certificate, key)
        _try_out(credentials, certificate)
    else:
        credentials = local_credentials()
    _check_sidecar(output)

    def seal(part: Path) -> list[str]:
        return sign_file(part, output, target, credentials, manifest(consent))

    return seal


def sign_file(
    part: Path, output: Path, target: Path, credentials: Credentials, claim: dict[str, Any]
) -> list[str]:
    """Sign ``claim`` about ``part``, which will be renamed to ``output``; returns notes for the user."""
    import c2pa

    kind = EMBEDDED.get(output.suffix.lower())
    try:
        if kind is None:
            _write_sidecar(sidecar_path(output), _statement(part, OTHER, target, credentials, claim))
            return [f"{output.suffix} cannot hold a C2PA manifest: it is in {sidecar_path(output).name}"]
        if kind.startswith("video/") and part.stat().st_size > COPIED_BYTES:
            _append_box(part, _statement(part, kind, target, credentials, claim))
        else:
            _embed(part, kind, target, credentials, claim)
    except c2pa.C2paError as error:
        raise OutputError(f"{output} could not be signed ({_short(error)}); nothing was written") from error
    return []


def _builder(target: Path, credentials: Credentials, claim: dict[str, Any], *, verify: bool) -> c2pa.Builder:
    """A builder with its parent: the target, and what the target says of itself."""
    import c2pa

    info = c2pa.C2paSignerInfo(
        alg=credentials.algorithm.encode(),
        sign_cert=credentials.chain,
        private_key=credentials.key,
        ta_url=None,
    )
    chosen = c2pa.Settings.from_dict(settings(verify_after_sign=verify))
    context = c2pa.Context(settings=chosen, signer=c2pa.Signer.from_info(info))
    builder = c2pa.Builder(claim, context=context)
    builder.set_intent(c2pa.C2paBuilderIntent.EDIT)
    _add_parent(builder, target)
    return builder


def _add_parent(builder: c2pa.Builder, target: Path) -> None:
    import c2pa

    ingredient: dict[str, Any] = {"relationship": "parentOf"}
    kind = EMBEDDED.get(target.suffix.lower(), OTHER)
    if kind != OTHER and not bearable(target):
        kind = OTHER  # a parent all the same; what it says of itself cannot be kept
    elif kind == OTHER and (beside := sidecar_statement(target)) is not None:
        statement, found = beside
        builder.add_resource("earlier" + SIDECAR, io.BytesIO(statement))
        ingredient |= {
            "active_manifest": found["active_manifest"],
            "validation_results": found["validation_results"],
            "manifest_data": {"format": "application/c2pa", "identifier": "earlier" + SIDECAR},
        }
    with target.open("rb") as file:
        try:
            builder.add_ingredient(ingredient, kind, file)
        except c2pa.C2paError:
            # Not what its name says, or damaged: it is a parent all the same.
            file.seek(0)
            builder.add_ingredient({"relationship": "parentOf"}, OTHER, file)


def _embed(part: Path, kind: str, target: Path, credentials: Credentials, claim: dict[str, Any]) -> None:
    """A signed copy beside ``part`` takes its place."""
    signed = part.with_name(part.name + ".signed")
    try:
        builder = _builder(target, credentials, claim, verify=True)
        with builder, part.open("rb") as source, signed.open("w+b") as made:
            builder.sign(kind, source, made)
            made.flush()
            os.fsync(made.fileno())
        os.replace(signed, part)
    finally:
        with suppress(OSError):
            signed.unlink(missing_ok=True)


def _statement(part: Path, kind: str, target: Path, credentials: Credentials, claim: dict[str, Any]) -> bytes:
    """The signed manifest of ``part``, not put in."""
    with _builder(target, credentials, claim, verify=False) as builder, part.open("rb") as source:
        builder.set_no_embed()
        with _Nowhere() as nothing:
            return bytes(builder.sign(kind, source, nothing))


def _append_box(part: Path, statement: bytes) -> None:
    """At the end of an MP4 file: boxes before it keep their places, and their hash."""
    body = BOX_TYPE + bytes(4) + b"manifest\0" + struct.pack(">Q", 0) + statement
    with part.open("ab") as file:
        file.write(struct.pack(">I4s", 8 + len(body), b"uuid") + body)
        file.flush()
        os.fsync(file.fileno())


def _check_sidecar(output: Path) -> None:
    """A file of that name that is not a manifest is the user's: it stays."""
    path = sidecar_path(output)
    if output.suffix.lower() in EMBEDDED or not path.exists():
        return
    try:
        with path.open("rb") as file:
            ours = file.read(8)[4:] == b"jumb"
    except OSError:
        ours = False
    if not ours:
        raise OutputError(f"{path} exists and is not a C2PA manifest; move it, or choose another -o")


def _write_sidecar(path: Path, statement: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(statement)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _try_out(credentials: Credentials, certificate: Path) -> None:
    """Sign the smallest picture: a certificate that C2PA refuses must not be found out after hours."""
    import c2pa

    info = c2pa.C2paSignerInfo(
        alg=credentials.algorithm.encode(),
        sign_cert=credentials.chain,
        private_key=credentials.key,
        ta_url=None,
    )
    created = {"action": "c2pa.created", "digitalSourceType": SOURCE_TYPE}
    claim = {**manifest(), "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [created]}}]}
    try:
        context = c2pa.Context(
            settings=c2pa.Settings.from_dict(settings()), signer=c2pa.Signer.from_info(info)
        )
        with c2pa.Builder(claim, context=context) as builder:
            builder.sign("image/png", io.BytesIO(_DOT), io.BytesIO())
    except c2pa.C2paError as error:
        raise UsageError(
            f"{certificate} cannot sign C2PA manifests ({_short(error)}); it needs the key usage "
            "digitalSignature, an extended one such as emailProtection, and must not be a CA"
        ) from error


_DOT = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63606060000000040001f61738550000000049454e44ae426082"
)
"""A PNG of one black pixel."""


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:160]


class _Nowhere:
    """A file that forgets: the library insists on copying a file whose manifest stays outside."""

    def __init__(self) -> None:
        self._size = self._place = 0

    def __enter__(self) -> _Nowhere:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def write(self, data: bytes) -> int:
        self._place += len(data)
        self._size = max(self._size, self._place)
        return len(data)

    def read(self, count: int = -1) -> bytes:
        return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        self._place = offset + {0: 0, 1: self._place, 2: self._size}[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def flush(self) -> None:
        pass
