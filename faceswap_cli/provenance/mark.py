"""The machine-readable mark of every output: the IPTC *digital source type*.

Videos carry it as plain container metadata (:func:`container_metadata`), pictures as an XMP
packet (:func:`xmp_packet`); :func:`read_mark` finds either.  The vocabulary is IPTC NewsCodes
``digitalsourcetype``; the XMP property is ``Iptc4xmpExt:DigitalSourceType`` of the IPTC Photo
Metadata Standard.  Neither holds a path, a name or a part of the source pictures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from faceswap_cli import __version__
from faceswap_cli.errors import InputError
from faceswap_cli.events import Event, Listener

VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"
SOURCE_TYPE = VOCABULARY + "compositeWithTrainedAlgorithmicMedia"
_PROGRAM = "faceswap-cli "
SOFTWARE = f"{_PROGRAM}{__version__}"

CONTAINER_KEY = "Iptc4xmpExt:DigitalSourceType"
"""Containers that take any key (MP4 and MOV with mdta keys, Matroska, WebM) keep it by this name."""
CONTAINER_SOFTWARE_KEY = "xmp:CreatorTool"
COMMENT_TEXT = "Modified with AI (face swap). DigitalSourceType: " + SOURCE_TYPE

_XMP_NAMESPACE = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_RDF_NAMESPACE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XMP_START, _XMP_END = b"<x:xmpmeta", b"</x:xmpmeta>"
_SCAN_BYTES = 1 << 20
_URI = re.compile(re.escape(VOCABULARY) + r"[A-Za-z]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Mark:
    """What a file says about its own making."""

    source_type: str
    """The full address of the IPTC term."""
    software: str
    """Empty when the file does not say."""
    where: str
    """``container`` or ``xmp``"""

    @property
    def term(self) -> str:
        """The last part of the address, e.g. ``compositeWithTrainedAlgorithmicMedia``."""
        return self.source_type.rsplit("/", 1)[-1]

    @property
    def synthetic(self) -> bool:
        """True when the term says that a trained model made it, or a part of it."""
        return self.term.lower() in ("compositewithtrainedalgorithmicmedia", "trainedalgorithmicmedia")


def container_metadata(existing: Mapping[str, str] | None = None) -> dict[str, str]:
    """Entries to add to a video container that already has ``existing`` ones.

    The namespaced key is lost by containers with a fixed set of keys (AVI, MPEG-TS), so the
    comment says it as well; a comment that is there stays in front of ours.
    """
    comment = next((text for key, text in (existing or {}).items() if key.lower() == "comment"), "")
    if SOURCE_TYPE not in comment:
        comment = f"{comment.rstrip()} {COMMENT_TEXT}".strip()
    return {CONTAINER_KEY: SOURCE_TYPE, CONTAINER_SOFTWARE_KEY: SOFTWARE, "comment": comment}


def mark_in_metadata(metadata: Mapping[str, str]) -> Mark | None:
    """The mark in the metadata of a container, whatever it did to the case of the keys."""
    lower = {key.lower(): text for key, text in metadata.items()}
    software = lower.get(CONTAINER_SOFTWARE_KEY.lower(), "")
    for key in (CONTAINER_KEY.lower(), "digitalsourcetype", "comment", "description"):
        if (found := _URI.search(lower.get(key, ""))) is not None:
            return Mark(found.group(), software, "container")
    return None


def xmp_packet(existing: bytes | None = None) -> bytes:
    """An XMP packet that carries the mark; properties of ``existing`` are kept.

    An older digital source type (a camera's, say) is replaced: it described the input.
    """
    description = (
        f'<rdf:Description xmlns:rdf="{_RDF_NAMESPACE}" rdf:about="" xmlns:Iptc4xmpExt="{_XMP_NAMESPACE}" '
        f'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="{SOFTWARE}" '
        f'Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}"/>'
    )
    body = _without_properties(existing) if existing else ""
    if "</rdf:RDF>" in body:
        head, _, tail = body.rpartition("</rdf:RDF>")
        text = f"{head}{description}\n</rdf:RDF>{tail}"
    else:
        text = (
            '<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
            f'<rdf:RDF xmlns:rdf="{_RDF_NAMESPACE}">\n{description}\n</rdf:RDF>\n</x:xmpmeta>'
        )
    begin = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    return f'{begin}\n{text}\n<?xpacket end="w"?>'.encode()


def sheet_packet() -> bytes:
    """An XMP packet for a sheet of untouched pictures: names the program, and claims no AI."""
    marked = f' Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}"'
    return xmp_packet().replace(marked.encode(), b"")


def mark_in_xmp(packet: bytes) -> Mark | None:
    """The mark in an XMP packet, written as an attribute or as an element."""
    text = packet.decode("utf-8", errors="replace")
    found = re.search(r"DigitalSourceType\s*(?:=\s*[\"']|>)\s*(" + _URI.pattern + ")", text, re.IGNORECASE)
    if found is None:
        return None
    return Mark(found.group(1), _tool(text), "xmp")


def _tool(xmp: str) -> str:
    found = re.search(r"CreatorTool\s*(?:=\s*[\"']|>)\s*([^\"'<]*)", xmp)
    return found.group(1).strip() if found else ""


def find_xmp(path: Path) -> bytes | None:
    """The first XMP packet of a file.

    JPEG, PNG, WebP and TIFF store it as it is, so it is found by its own start and end and no
    decoder is needed; a compressed PNG text chunk is not seen.
    """
    try:
        with path.open("rb") as file:
            kept = b""
            while chunk := file.read(_SCAN_BYTES):
                kept += chunk
                start = kept.find(_XMP_START)
                if start < 0:
                    kept = kept[-len(_XMP_START) :]
                    continue
                end = kept.find(_XMP_END, start)
                if end >= 0:
                    return kept[start : end + len(_XMP_END)]
                kept = kept[start:]
                if len(kept) > 16 * _SCAN_BYTES:
                    return None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error})") from error
    return None


def read_mark(path: Path, metadata: Mapping[str, str] | None = None) -> Mark | None:
    """The mark of a picture or, with the ``metadata`` that ``probe`` read, of a video."""
    if metadata is not None and (mark := mark_in_metadata(metadata)) is not None:
        return mark
    packet = find_xmp(path)
    return mark_in_xmp(packet) if packet is not None else None


def tell_if_marked(target: Path, metadata: Mapping[str, str] | None, listen: Listener) -> None:
    """A warning where ``target`` says of itself that it was made with AI."""
    mark = read_mark(target, metadata)
    if mark is not None and mark.synthetic:
        text = f"{target.name} is already marked as made with AI: its faces may be swapped ones"
        listen(Event("warning", {"message": f"{text}; 'faceswap inspect' shows the mark, which is kept"}))


def made_here(path: Path, metadata: Mapping[str, str] | None = None) -> bool:
    """Whether this program wrote the file: a result, or a sheet of pictures (:func:`sheet_packet`).

    ``metadata``: of a video, as ``probe`` read it.
    """
    if metadata is not None:
        lower = {key.lower(): text for key, text in metadata.items()}
        tool = lower.get(CONTAINER_SOFTWARE_KEY.lower(), "")
        return tool.startswith(_PROGRAM) or COMMENT_TEXT in lower.get("comment", "")
    packet = find_xmp(path)
    tool = "" if packet is None else _tool(packet.decode("utf-8", errors="replace"))
    return tool.startswith(_PROGRAM)


def _without_properties(packet: bytes) -> str:
    """The ``x:xmpmeta`` element of ``packet`` without the two properties that we write."""
    text = packet.decode("utf-8", errors="replace")
    start, end = text.find(_XMP_START.decode()), text.find(_XMP_END.decode())
    if start < 0 or end < 0:
        return ""
    text = text[start : end + len(_XMP_END)]
    for name in (r"\w+:DigitalSourceType", r"xmp:CreatorTool"):
        text = re.sub(rf"\s{name}\s*=\s*(\"[^\"]*\"|'[^']*')", "", text)
        text = re.sub(rf"<({name})\b[^>]*(?:/>|>.*?</\1>)", "", text, flags=re.DOTALL)
    return text
