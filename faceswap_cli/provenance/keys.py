"""Who signs: a certificate of this machine, made on first use, or one that the user brings.

The machine's own chain is a root and a leaf.  The root's private key is thrown away as soon as
the leaf is signed; the leaf's lies in the user's data folder, readable by the user alone.  Names
and dates in the certificates are the same on every machine, so that they reveal nothing about it.
"""

from __future__ import annotations

import datetime
import logging
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faceswap_cli.errors import OutputError, UsageError

ORGANIZATION = "faceswap, self-made certificate"
LEAF_NAME, ROOT_NAME = "faceswap on an unnamed machine", "faceswap root of an unnamed machine"
_VALID = (datetime.datetime(2024, 1, 1), datetime.datetime(2056, 1, 1))
"""UTC.  Fixed: the day of first use is nobody's business, and a clock that was wrong then does no harm."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a signature is made with."""

    algorithm: str
    """As C2PA names it: es256, es384, es512, ps256 or ed25519"""
    chain: bytes = field(repr=False)
    """PEM, the signer's certificate first"""
    key: bytes = field(repr=False)
    """PEM, PKCS #8, not encrypted"""
    own: bool = True
    """Made by this program, not brought by the user"""


def key_path() -> Path:
    """Where the machine's own key and certificates lie: one PEM file."""
    import platformdirs

    return platformdirs.user_data_path("faceswap", appauthor=False) / "signer.pem"


def local_credentials() -> Credentials:
    """The machine's own, made when there are none; kept in memory only where nothing can be stored."""
    path = key_path()
    with suppress(OSError):
        return _read_own(path)
    made = _make()
    try:
        _keep(path, made)
        return _read_own(path)  # another run may have been quicker: both then use the same
    except OSError as error:
        _log.info("the signing key could not be kept in %s (%s); it serves this run only", path, error)
        return made


def own_root() -> str:
    """PEM of the machine's root certificate; empty where nothing was signed yet: reading makes no key."""
    try:
        chain = _read_own(key_path()).chain.decode()
    except (OSError, OutputError):
        return ""
    return chain[chain.rfind("-----BEGIN CERTIFICATE-----") :]


def brought_credentials(certificate: Path, key: Path) -> Credentials:
    """The user's own, as PEM; :class:`UsageError` when they cannot sign."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    chain = _read(certificate, "certificate")
    try:
        leaf = x509.load_pem_x509_certificates(chain)[0]
    except Exception as error:  # errors of its own, without a common base
        raise UsageError(
            f"{certificate} holds no certificate in PEM form; export the chain as PEM"
        ) from error
    private, algorithm = _private_key(key)
    try:
        fits = private.public_key() == leaf.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(
            f"{certificate} has a key of an unknown kind; use P-256, P-384 or Ed25519"
        ) from error
    if not fits:
        raise UsageError(
            f"{key} does not belong to the first certificate in {certificate}; put the signer's own first"
        )
    return Credentials(algorithm, chain, _pem(private), own=False)


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"the {what} {path} cannot be read ({error.strerror or error})") from error


def _private_key(path: Path) -> tuple[Any, str]:
    """The key of a PEM file and the signature algorithm that goes with it."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    text = _read(path, "key")
    try:
        key = load_pem_private_key(text, password=None)
    except TypeError as error:
        raise UsageError(f"{path} is locked with a pass phrase; unlock a copy (openssl pkey)") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{path} holds no private key in PEM form; export it as PKCS #8 PEM") from error
    if isinstance(key, ec.EllipticCurvePrivateKey):
        names = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
        if key.curve.name in names:
            return key, names[key.curve.name]
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048:
        return key, "ps256"
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key, "ed25519"
    raise UsageError(f"{path} is of a kind that C2PA does not allow; use P-256, P-384, P-521, RSA or Ed25519")


def _pem(key: Any) -> bytes:
    from cryptography.hazmat.primitives import serialization as form

    text: bytes = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    return text


def _read_own(path: Path) -> Credentials:
    """Key and chain out of one file; :class:`OutputError` when it is damaged."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    text = path.read_bytes()
    start = text.find(b"-----BEGIN CERTIFICATE-----")
    key, chain = text[: max(start, 0)], text[max(start, 0) :]
    try:
        if load_pem_private_key(key, None).public_key() != x509.load_pem_x509_certificate(chain).public_key():
            raise ValueError("key and certificate do not match")
    except Exception as error:  # as above
        raise OutputError(f"the signing key {path} is damaged; delete it, and a new one is made") from error
    return Credentials("es256", chain, key)


def _keep(path: Path, made: Credentials) -> None:
    """Store, readable by the user alone, unless there is one already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as handle:
            handle.write(made.key + made.chain)
            handle.flush()
            os.fsync(handle.fileno())
        try:
            os.link(part, path)  # unlike a rename, it never takes the place of another run's
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _make() -> Credentials:
    """A new root, a new leaf."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding

    root_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = _certificate(ROOT_NAME, root_key, root_key)
    leaf = _certificate(LEAF_NAME, leaf_key, root_key)
    chain = leaf.public_bytes(Encoding.PEM) + root.public_bytes(Encoding.PEM)
    return Credentials("es256", chain, _pem(leaf_key))


def _certificate(name: str, key: Any, issuer_key: Any) -> Any:
    """As C2PA asks for it: the root may only sign certificates, the leaf only content."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    root = key is issuer_key
    uses = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment"]
    uses += ["key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]
    allowed = ("key_cert_sign", "crl_sign") if root else ("digital_signature",)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(ROOT_NAME))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_VALID[0])
        .not_valid_after(_VALID[1])
        .add_extension(x509.BasicConstraints(root, 0 if root else None), critical=True)
        .add_extension(x509.KeyUsage(**{use: use in allowed for use in uses}), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if not root:
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
        purposes = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(issuer, critical=False).add_extension(purposes, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _name(common: str) -> Any:
    from cryptography import x509

    parts = ((x509.NameOID.ORGANIZATION_NAME, ORGANIZATION), (x509.NameOID.COMMON_NAME, common))
    return x509.Name([x509.NameAttribute(kind, text) for kind, text in parts])
