"""Reading and checking C2PA manifests, embedded or in a sidecar file.  Nothing is fetched."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faceswap_cli.provenance.formats import CONSENT_LABEL, EMBEDDED, OTHER, find_sidecar, settings
from faceswap_cli.provenance.keys import LEAF_NAME, own_root
from faceswap_cli.provenance.trial import bearable

_LARGEST_SIDECAR = 64 << 20
TOO_MUCH = "takes more memory or time to read than a manifest may"
_LONGEST = 200
"""Of a name that is shown."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What a C2PA manifest says, and whether it holds."""

    state: str
    """``valid``; ``tampered``: the file or the manifest was changed after signing; ``unreadable``"""
    where: str
    """``embedded`` or ``sidecar``"""
    signer: str = ""
    """``this machine``, ``self-made`` (another machine's own certificate) or ``named``"""
    signed_by: str = ""
    """Name in the certificate, as its owner or issuer wrote it"""
    generator: str = ""
    """The program that claims to have made the file, with its version"""
    source_types: tuple[str, ...] = ()
    """Digital source types of the actions, oldest first, full addresses"""
    actions: tuple[str, ...] = ()
    earlier: int = 0
    """Manifests of the files that this one was made from"""
    problems: tuple[str, ...] = ()
    """Codes of the checks that failed"""
    consent: str = ""
    """SHA-256 of the file that records who agreed, where the manifest names one"""

    @property
    def synthetic(self) -> bool:
        """True when an action says that a trained model made the file, or a part of it."""
        return any("trainedalgorithmicmedia" in term.lower() for term in self.source_types)


def read_statement(path: Path) -> Statement | None:
    """The manifest in ``path`` or beside it; None when there is none."""
    if not bearable(path):
        return Statement("unreadable", "embedded", problems=(TOO_MUCH,))
    found = _look(path, None)
    if found is not None:
        return found
    sidecar = find_sidecar(path)
    if sidecar is not None and not bearable(path, sidecar):
        return Statement("unreadable", "sidecar", problems=(TOO_MUCH,))
    return None if sidecar is None else _look(path, _sidecar_bytes(sidecar))


def try_report(path: Path, sidecar: Path | None = None) -> None:
    """Read the manifest and forget it: what the library refuses on its own is fine."""
    import c2pa

    with suppress(c2pa.C2paError, ValueError):
        _report(path, None if sidecar is None else _sidecar_bytes(sidecar))


def sidecar_statement(path: Path) -> tuple[bytes, dict[str, Any]] | None:
    """The sidecar of ``path`` and its report, for keeping it as an ingredient."""
    import c2pa

    sidecar = find_sidecar(path)
    data = None if sidecar is None or not bearable(path, sidecar) else _sidecar_bytes(sidecar)
    if data is None:
        return None
    try:
        return data, _report(path, data)
    except c2pa.C2paError:
        return None


def _sidecar_bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes() if path.stat().st_size <= _LARGEST_SIDECAR else b""
    except OSError:
        return None


def _look(path: Path, statement: bytes | None) -> Statement | None:
    import c2pa

    where = "embedded" if statement is None else "sidecar"
    try:
        return _statement(_report(path, statement), where)
    except (c2pa.C2paError.ManifestNotFound, c2pa.C2paError.NotSupported):
        # A container that the library does not know cannot hold one.
        return None if statement is None else Statement("unreadable", where)
    except (c2pa.C2paError, ValueError) as error:
        return Statement("unreadable", where, problems=(" ".join(str(error).split())[:160],))


def _report(path: Path, statement: bytes | None) -> dict[str, Any]:
    """The library's own report; with our root as anchor, files of this machine count as trusted."""
    import c2pa

    asked = settings()
    anchor = own_root()
    asked["verify"]["verify_trust"] = True
    if anchor:
        asked["trust"] = {"trust_anchors": anchor}
    context = c2pa.Context(settings=c2pa.Settings.from_dict(asked))
    kind = EMBEDDED.get(path.suffix.lower()) if statement is None else OTHER
    with path.open("rb") as file, c2pa.Reader(kind, file, statement, context=context) as reader:
        found: dict[str, Any] = json.loads(reader.json())
    return found


def _statement(found: dict[str, Any], where: str) -> Statement:
    manifests = found.get("manifests") or {}
    active = manifests.get(found.get("active_manifest")) or {}
    actions = _actions(active)
    results = (found.get("validation_results") or {}).get("activeManifest") or {}
    codes = [_plain(entry.get("code")) for entry in results.get("failure") or ()]
    problems = tuple(dict.fromkeys(code for code in codes if code != "signingCredential.untrusted"))
    state = str(found.get("validation_state"))
    signature = active.get("signature_info") or {}
    name = _plain(signature.get("common_name") or signature.get("issuer"))
    kinds = [_plain(action["digitalSourceType"]) for action in actions if "digitalSourceType" in action]
    return Statement(
        state="valid" if state in ("Valid", "Trusted") and not problems else "tampered",
        where=where,
        signer="this machine" if state == "Trusted" else "self-made" if name == LEAF_NAME else "named",
        signed_by=name,
        generator=_generator(active),
        source_types=tuple(kinds),
        actions=tuple(_plain(action.get("action")) for action in actions),
        earlier=max(len(manifests) - 1, 0),
        problems=problems,
        consent=_consent(active),
    )


def _actions(active: dict[str, Any]) -> list[dict[str, Any]]:
    """All actions of a manifest.  Assertions hold whatever their maker liked: only what fits is taken."""
    found: list[dict[str, Any]] = []
    for assertion in active.get("assertions") or ():
        data = assertion.get("data")
        if str(assertion.get("label")).startswith("c2pa.actions") and isinstance(data, dict):
            actions = data.get("actions")
            found += (
                [entry for entry in actions if isinstance(entry, dict)] if isinstance(actions, list) else []
            )
    return found


def _consent(active: dict[str, Any]) -> str:
    """Only what has the form of a digest is taken for one."""
    for assertion in active.get("assertions") or ():
        data = assertion.get("data")
        if str(assertion.get("label")).startswith(CONSENT_LABEL) and isinstance(data, dict):
            digest = str(data.get("hash")).lower()
            return digest if re.fullmatch(r"[0-9a-f]{64}", digest) else ""
    return ""


def _generator(active: dict[str, Any]) -> str:
    info = (active.get("claim_generator_info") or [{}])[0]
    named = " ".join(_plain(info.get(part)) for part in ("name", "version") if info.get(part))
    return named or _plain(active.get("claim_generator"))


def _plain(text: Any) -> str:
    """Text of a stranger's file for a terminal: nothing that moves the cursor, and not too long."""
    shown = "" if text is None else str(text)[:_LONGEST]
    return "".join(char if char.isprintable() else "?" for char in shown)
