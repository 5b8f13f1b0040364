"""How ``inspect`` reports marks: plain metadata, signed manifest, invisible mark, and what they mean."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from faceswap_cli.inspection import PictureReport, VideoReport
    from faceswap_cli.provenance.mark import Mark
    from faceswap_cli.provenance.verify import Statement
    from faceswap_cli.provenance.watermark import Detection

Line = tuple[str, str]
_SIDECAR = ".c2pa"


def without_sidecar(notes: Iterable[str]) -> list[str]:
    """Notes on a result that went to stdout: it cannot have a file beside it."""
    lost = "stdout carries no C2PA manifest, the other marks are in; write to a file to have it as well"
    return [lost if note.endswith(_SIDECAR) else note for note in notes]


def marks_data(found: PictureReport | VideoReport) -> dict[str, Any]:
    """For ``--json``: None where the mark is missing, or was not looked for (``invisible``)."""
    return {
        "mark": _mark_data(found.mark),
        "c2pa": _statement_data(found.statement),
        "invisible": _detection_data(found.watermark),
        "synthetic": found.synthetic,
    }


def marks_lines(found: PictureReport | VideoReport) -> list[Line]:
    """(name, text) of each line for people; the last one says what it comes to."""
    lines = [("metadata mark", _mark_text(found.mark)), ("C2PA", _statement_text(found.statement))]
    if found.statement is not None and found.statement.consent:
        lines.append(("consent", f"file with SHA-256 {found.statement.consent} names who agreed"))
    return [*lines, ("invisible", _detection_text(found.watermark)), ("provenance", _verdict(found))]


def _mark_data(mark: Mark | None) -> dict[str, Any] | None:
    if mark is None:
        return None
    found = {"source_type": mark.source_type, "software": mark.software, "where": mark.where}
    return {**found, "synthetic": mark.synthetic}


def _mark_text(mark: Mark | None) -> str:
    if mark is None:
        return "none"
    return f"{mark.term}{f' by {mark.software}' if mark.software else ''} ({mark.where})"


def _statement_data(statement: Statement | None) -> dict[str, Any] | None:
    if statement is None:
        return None
    return {
        "state": statement.state,
        "where": statement.where,
        "signer": statement.signer,
        "signed_by": statement.signed_by,
        "generator": statement.generator,
        "source_types": statement.source_types,
        "actions": statement.actions,
        "earlier_manifests": statement.earlier,
        "problems": statement.problems,
        "consent_sha256": statement.consent or None,
        "synthetic": statement.synthetic,
    }


def _statement_text(statement: Statement | None) -> str:
    if statement is None:
        return "none"
    if statement.state == "unreadable":
        return f"unreadable ({statement.where})"
    if statement.state == "tampered":
        what = "file or manifest changed after signing"
        return f"TAMPERED: {what} ({', '.join(statement.problems) or statement.where})"
    signer = {
        "this machine": "signed on this machine",
        "self-made": "signed with a self-made certificate of another machine: anyone can make one",
    }.get(statement.signer, f"signed by {statement.signed_by} (checked against no list of trusted signers)")
    actions = " and ".join(action.removeprefix("c2pa.") for action in statement.actions)
    earlier = f", {statement.earlier} earlier manifests kept" if statement.earlier else ""
    made = f"says that {statement.generator or 'an unknown program'} {actions} the file" if actions else ""
    return "; ".join(filter(None, (f"valid, {signer}", made))) + f" ({statement.where}){earlier}"


def _detection_data(seen: Detection | None) -> dict[str, Any] | None:
    if seen is None:
        return None
    return {
        "found": seen.found,
        "score": seen.score,
        "false_alarm": seen.false_alarm,
        "faces": seen.faces,
        "person": seen.person if seen.found else None,
    }


def _detection_text(seen: Detection | None) -> str:
    if seen is None:
        return "not looked for"
    if not seen.faces:
        return "no face to look at"
    if not seen.found:
        faces = "1 face" if seen.faces == 1 else f"{seen.faces} faces"
        return f"not found in {faces} (score {seen.score:.1f}; above 7 is a mark)"
    chance = f"1 in {1 / seen.false_alarm:.0e}" if seen.false_alarm > 1e-30 else "nil"
    score = f"score {seen.score:.1f}; above 7 is a mark, by chance: {chance}"
    return f"found in person {seen.person + 1} most clearly ({score})"


def _verdict(found: PictureReport | VideoReport) -> str:
    if found.synthetic:
        return "made with AI, in whole or in part"
    if found.mark is None and found.statement is None:
        return "unmarked: nothing is known of how it was made (a mark can have been removed)"
    return "marked, but not as made with AI"
