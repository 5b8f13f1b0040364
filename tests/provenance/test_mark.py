"""The machine-readable mark: what is written is what is read, and nothing else of the file is lost."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from faceswap_cli.errors import InputError
from faceswap_cli.provenance.mark import (
    CONTAINER_KEY,
    SOURCE_TYPE,
    VOCABULARY,
    Mark,
    container_metadata,
    find_xmp,
    mark_in_metadata,
    mark_in_xmp,
    read_mark,
    xmp_packet,
)

CAMERA_XMP = (
    b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    b'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    b'xmlns:dc="http://purl.org/dc/elements/1.1/" '
    b'dc:format="image/jpeg" Iptc4xmpExt:DigitalSourceType='
    b'"http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"/></rdf:RDF></x:xmpmeta>'
    b'<?xpacket end="w"?>'
)


def test_the_term_is_the_one_of_the_contract() -> None:
    assert SOURCE_TYPE == (
        "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
    )


def test_container_round_trip_even_when_keys_change_case() -> None:
    written = container_metadata()
    mark = mark_in_metadata({key.upper(): text for key, text in written.items()})
    assert mark == Mark(SOURCE_TYPE, written["xmp:CreatorTool"], "container")
    assert mark.synthetic


def test_container_that_keeps_only_the_comment_still_has_the_mark() -> None:
    mark = mark_in_metadata({"comment": container_metadata()["comment"]})
    assert mark is not None
    assert mark.source_type == SOURCE_TYPE


def test_an_existing_comment_stays_and_ours_is_added_once() -> None:
    first = container_metadata({"COMMENT": "shot in Lisbon", "title": "x"})
    assert first["comment"].startswith("shot in Lisbon")
    assert SOURCE_TYPE in first["comment"]
    assert container_metadata(first)["comment"] == first["comment"]


def test_unmarked_metadata_has_no_mark() -> None:
    assert mark_in_metadata({"comment": "holiday", "encoder": "Lavf"}) is None


def test_a_camera_mark_is_read_but_is_not_synthetic() -> None:
    mark = mark_in_metadata({CONTAINER_KEY: VOCABULARY + "digitalCapture"})
    assert mark is not None
    assert mark.term == "digitalCapture"
    assert not mark.synthetic


def test_xmp_keeps_other_properties_and_replaces_the_source_type() -> None:
    packet = xmp_packet(CAMERA_XMP)
    assert b'dc:format="image/jpeg"' in packet
    assert b"digitalCapture" not in packet
    assert packet.count(b"<rdf:RDF") == packet.count(b"</rdf:RDF>") == 1
    mark = mark_in_xmp(packet)
    assert mark is not None
    assert mark.source_type == SOURCE_TYPE


def test_xmp_is_well_formed() -> None:
    from xml.etree import ElementTree

    for packet in (xmp_packet(), xmp_packet(CAMERA_XMP), xmp_packet(b"rubbish")):
        root = ElementTree.fromstring(packet.decode().split("?>", 1)[1].rsplit("<?", 1)[0])
        assert root.tag == "{adobe:ns:meta/}xmpmeta"


def test_an_element_form_is_read() -> None:
    packet = CAMERA_XMP.replace(
        b' Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"/>',
        b"><Iptc4xmpExt:DigitalSourceType>" + SOURCE_TYPE.encode() + b"</Iptc4xmpExt:DigitalSourceType>"
        b"</rdf:Description>",
    )
    mark = mark_in_xmp(packet)
    assert mark is not None
    assert mark.source_type == SOURCE_TYPE


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_mark_is_found_in_picture_files(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"picture.{kind.lower()}"
    path.write_bytes(_picture_with_xmp(kind, xmp_packet()))
    mark = read_mark(path)
    assert mark is not None
    assert (mark.source_type, mark.where) == (SOURCE_TYPE, "xmp")


def _picture_with_xmp(kind: str, packet: bytes) -> bytes:
    from PIL.PngImagePlugin import PngInfo

    file = io.BytesIO()
    picture = Image.new("RGB", (32, 24), (120, 80, 40))
    if kind == "PNG":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet.decode())
        picture.save(file, kind, pnginfo=info)
    elif kind == "TIFF":
        picture.save(file, kind, tiffinfo={700: packet})
    else:
        picture.save(file, kind, xmp=packet)
    return file.getvalue()


def test_a_packet_across_read_blocks_is_found(tmp_path: Path) -> None:
    path = tmp_path / "late.bin"
    path.write_bytes(b"\x00" * ((1 << 20) - 5) + xmp_packet() + b"\x00" * 99)
    assert find_xmp(path) is not None
    mark = read_mark(path)
    assert mark is not None
    assert mark.source_type == SOURCE_TYPE


def test_unmarked_file_and_missing_file(tmp_path: Path) -> None:
    plain = tmp_path / "plain.bin"
    plain.write_bytes(b"nothing here <x:xmpmeta but no end")
    assert read_mark(plain) is None
    with pytest.raises(InputError, match=r"gone\.jpg"):
        read_mark(tmp_path / "gone.jpg")


def test_the_mark_says_nothing_of_paths_or_people() -> None:
    text = " ".join(container_metadata().values()) + xmp_packet().decode()
    assert "/home" not in text
    assert ".jpg" not in text
