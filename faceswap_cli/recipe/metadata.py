"""Where the recipe lies in a result: an entry of the container's metadata, or a property of a picture's XMP.

Both are there in every format that can be written, and both are covered by the signature of the C2PA
manifest where the file holds one: a changed recipe is a changed file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import quoteattr, unescape

from faceswap_cli.errors import InputError
from faceswap_cli.provenance.mark import find_xmp
from faceswap_cli.recipe.record import LONGEST_TEXT, PICTURE, Recipe, parsed

CONTAINER_KEY = "faceswap-cli:SwapRecipe"
_NAMESPACE = "urn:faceswap-cli:1/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_PROPERTY = re.compile(
    r"<rdf:Description\b[^>]*\sfaceswap:SwapRecipe=\"[^\"]*\"\s*/>\n?"
    r"|\s[\w-]+:SwapRecipe\s*=\s*(?:\"[^\"]*\"|'[^']*')|<([\w-]+:SwapRecipe)\b[^>]*>[^<]*</\1>"
)
_VALUE = re.compile(r":SwapRecipe\s*(?:=\s*\"([^\"]*)\"|=\s*'([^']*)'|>([^<]*)<)")
_ENTITIES = {"&quot;": '"', "&apos;": "'", "&#34;": '"', "&#39;": "'"}


def container_entry(recipe: Recipe, existing: Mapping[str, str]) -> dict[str, str]:
    """To be added to the metadata of a container that has ``existing`` entries: an older one is replaced."""
    text = recipe.text()
    if len(text) > LONGEST_TEXT:
        return {}
    # Matroska writes names in capitals: the target may be a result itself.
    older = (name for name in existing if name.lower() == CONTAINER_KEY.lower())
    return {next(older, CONTAINER_KEY): text}


def xmp_with(packet: bytes, recipe: Recipe) -> bytes:
    """An XMP packet that carries ``recipe`` as well, instead of an older one."""
    text = _PROPERTY.sub("", packet.decode("utf-8", errors="replace"))
    head, end, tail = text.rpartition("</rdf:RDF>")
    told = _attribute(recipe.text())
    if not end or len(told) > LONGEST_TEXT:
        return text.encode()
    entry = (
        f'<rdf:Description xmlns:rdf="{_RDF}" rdf:about="" xmlns:faceswap="{_NAMESPACE}" '
        f"faceswap:SwapRecipe={told}/>"
    )
    return f"{head}{entry}\n{end}{tail}".encode()


def _attribute(text: str) -> str:
    """``text`` in double quotes, whatever it holds."""
    quoted = quoteattr(text, {'"': "&quot;"})
    return quoted if quoted.startswith('"') else f'"{quoted[1:-1]}"'


def find_recipe(path: Path, metadata: Mapping[str, str] | None = None) -> Recipe | None:
    """The recipe in ``path``; None without one.  ``metadata``: of a video, as ``probe`` read it.

    :class:`InputError` when there is one that cannot be read.
    """
    text = _in_metadata(metadata) if metadata is not None else _in_xmp(path)
    return None if text is None else parsed(text, path.name)


def _in_metadata(metadata: Mapping[str, str]) -> str | None:
    return next((text for name, text in metadata.items() if name.lower() == CONTAINER_KEY.lower()), None)


def _in_xmp(path: Path) -> str | None:
    packet = find_xmp(path)
    found = None if packet is None else _VALUE.search(packet.decode("utf-8", errors="replace"))
    return None if found is None else unescape(next(t for t in found.groups() if t is not None), _ENTITIES)


def read_recipe(path: Path) -> Recipe:
    """The recipe of a result; :class:`InputError` when it has none."""
    from faceswap_cli.video.picture import animation_frames, is_picture
    from faceswap_cli.video.probe import probe

    picture = is_picture(path)
    recipe = find_recipe(path, None if picture else probe(path).metadata)
    if recipe is None:
        raise InputError(
            f"{path.name} holds no recipe; it was not made by this program (0.1 or later), or its metadata "
            "was removed since: give the original result"
        )
    still = picture and animation_frames(path) <= 1
    if still != (recipe.kind == PICTURE):
        raise InputError(f"the recipe in {path.name} is that of a {recipe.kind}; give the original result")
    return recipe
