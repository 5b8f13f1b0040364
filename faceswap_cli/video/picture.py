"""Still pictures in and out: upright, with alpha, depth, color profile and metadata kept.

With :mod:`faceswap_cli.video.animated` the only module that imports Pillow.
"""

from __future__ import annotations

import os
import struct
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from faceswap_cli.errors import InputError, OutputError, UsageError
from faceswap_cli.limits import picture_pixels, size_problem
from faceswap_cli.records import U8, Samples
from faceswap_cli.video.deep import encode_png, encode_tiff, read_deep, read_deep_heic, with_alpha
from faceswap_cli.video.files import check_file

_SWITCH = threading.Lock()
_ORIENTATION = 0x0112
_DEFLATE_RATIO = 1032
"""Bytes that one byte of a PNG can become at most"""
_BAND = 1 << 20
"""Samples converted at a time, so that what is in between takes no memory to speak of"""
_ANIMATED = ("GIF", "WEBP", "PNG", "AVIF")
_GRAY_MODES = ("L", "LA", "La", "1")
_HEIC = tuple(b"ftyp" + brand for brand in (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"heim", b"heis"))
_ODD_DAMAGE = (TypeError, AttributeError, LookupError, ArithmeticError, struct.error)
"""What Pillow raises for some damaged tags, besides the errors it names"""
_FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".avif": "AVIF",
}


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One still picture, upright."""

    rgb: U8 = field(repr=False)
    """(H, W, 3)"""
    alpha: U8 | None = field(repr=False, default=None)
    """(H, W), or None when the picture is opaque"""
    deep: Samples | None = field(repr=False, default=None)
    """(H, W, 3) uint16 when the file holds more than 8 bits; ``rgb`` is the same, rounded to 8"""
    icc: bytes | None = field(repr=False, default=None)
    exif: bytes | None = field(repr=False, default=None)
    """Without the orientation, which has been applied"""
    xmp: bytes | None = field(repr=False, default=None)
    format: str = "PNG"
    """Of the file, as Pillow names it"""
    gray: bool = False
    """Stored without color: written so again while its three channels are equal"""


def is_picture(path: Path) -> bool:
    """Whether the content of ``path`` is a still picture, whatever its name.

    A GIF counts as a picture (its first frame is read), and so does HEIC that cannot be read here.
    """
    from PIL import Image

    _know_heic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                return image.format is not None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return _is_heic(path)


def animation_frames(path: Path) -> int:
    """Number of pictures in ``path``: above 1 for animated GIF, WebP and PNG."""
    try:
        with opened(Path(path), 0) as image:
            return int(getattr(image, "n_frames", 1)) if image.format in _ANIMATED else 1
    except InputError:
        return 1


def read_picture(path: Path, max_pixels: int = 0) -> Picture:
    """Decode ``path``; what cannot be read is an :class:`InputError` of one line.

    More than ``max_pixels`` are refused before any is decoded (0: the usual limit).
    """
    path = Path(path)
    with opened(path, max_pixels) as image:
        return _read(image, path)


def read_numbers(path: Path, max_pixels: int = 0) -> Samples:
    """The numbers of a picture as the file holds them: (H, W) of gray or palette, (H, W, C) of colors.

    Errors as those of :func:`read_picture`.
    """
    path = Path(path)
    with opened(path, max_pixels) as image, odd_damage(path):
        return np.asarray(image)


@contextmanager
def opened(path: Path, max_pixels: int) -> Iterator[Any]:
    """``path`` opened, found to be within the limits, not decoded yet."""
    from PIL import Image, UnidentifiedImageError

    check_file(path, "picture")
    try:
        # Our own limit, checked before any pixel is decoded, takes the place of Pillow's warning.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = _opened(path)
            with image:
                _check_size(image, path, picture_pixels(max_pixels))
                _check_content(image, path)
                yield image
    except UnidentifiedImageError as error:
        raise InputError(f"{path} {_unreadable(path)}") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{path} is too large ({error}); make it smaller first") from error
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise InputError(f"{path} is damaged or cut off ({error}); copy or download it again") from error


def _unreadable(path: Path) -> str:
    """Why a picture is not known, and what to do."""
    if _is_heic(path) and _know_heic():
        return "is a HEIC picture that cannot be read; copy or download it again, or save it as JPEG"
    if _is_heic(path):
        return "is a HEIC picture; pip install 'faceswap-cli[heic]', or save it as JPEG"
    return "is not a picture this program can read; try JPEG, PNG, WebP or TIFF"


def _opened(path: Path) -> Any:
    """Pillow refuses 179 million pixels of its own accord, by a switch for all of the process."""
    from PIL import Image

    _know_heic()
    with _SWITCH:
        usual, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(path)
        finally:
            Image.MAX_IMAGE_PIXELS = usual


def _is_heic(path: Path) -> bool:
    with suppress(OSError), path.open("rb") as handle:
        return handle.read(12)[4:] in _HEIC
    return False


@lru_cache(maxsize=1)
def _know_heic() -> bool:
    """Whether HEIC can be read: where the optional package for it is installed."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def _check_size(image: Any, path: Path, limit: int) -> None:
    width, height = image.size
    if problem := size_problem(width, height, limit):
        raise InputError(f"{path} {problem}")


def _check_content(image: Any, path: Path) -> None:
    """Most of the picture must be in the file: memory for the rest would only be filled with black."""
    width, height = image.size
    if image.format == "TIFF":
        parts = [tile[1] for tile in image.tile]
        held = sum((right - left) * (lower - upper) for left, upper, right, lower in parts)
    elif image.format == "PNG" and image.tile:
        raw, _, depth = str(image.tile[0][3]).partition(";")
        bits = len(raw) * (int(depth.rstrip("BN") or 8) if depth else 1 if raw == "1" else 8)
        held = path.stat().st_size * _DEFLATE_RATIO * 8 // max(bits, 1)
    else:
        return
    if held < width * height:
        raise InputError(
            f"{path} is damaged or cut off (it claims {width}x{height} pixels and cannot hold them); "
            "copy or download it again"
        )


@contextmanager
def odd_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except _ODD_DAMAGE as error:
        raise InputError(f"{path} is damaged ({error}); copy or download it again") from error


def _is_deep_color(image: Any) -> bool:
    """Whether the file holds 16 bits per channel that Pillow is about to cut to 8."""
    tiles = [str(tile[3]) for tile in image.tile]
    return (
        image.format in ("PNG", "TIFF") and image.mode in ("RGB", "RGBA") and any(";16" in t for t in tiles)
    )


def _read(image: Any, path: Path) -> Picture:
    is_deep = _is_deep_color(image)  # asked first: reading the EXIF data may decode the picture
    icc = image.info.get("icc_profile")
    with odd_damage(path):
        exif = image.getexif()
        orientation = exif.pop(_ORIENTATION, 1)
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    stored, mode = image.format or "PNG", image.mode
    heic_depth = int(image.info.get("bit_depth") or 8) if image.format == "HEIF" else 8
    deep = read_deep(path) if is_deep else read_deep_heic(path, heic_depth) if heic_depth > 8 else None
    with odd_damage(path):
        image.load()
    if deep is not None:
        alpha = _upper_byte(deep[:, :, 3]) if deep.shape[2] == 4 else None
        deep = np.ascontiguousarray(deep[:, :, :3])
        rgb = _upper_byte(deep)
    elif mode.startswith("I;16") or mode in ("I", "F"):
        deep = _deep_gray(np.asarray(image), mode)
        rgb, alpha = _upper_byte(deep), None
    else:
        rgb, alpha = _rgb_and_alpha(image)
        if mode == "CMYK":
            icc = None  # the profile describes CMYK; the samples no longer are
    deep_rgb = None if deep is None else _upright(deep, orientation)
    return Picture(
        rgb=_upright(rgb, orientation),
        alpha=None if alpha is None else _upright(alpha, orientation),
        deep=deep_rgb,
        icc=icc,
        exif=_exif_bytes(exif),
        xmp=xmp.encode() if isinstance(xmp, str) else xmp,
        format=stored,
        gray=mode in _GRAY_MODES,
    )


def _exif_bytes(exif: Any) -> bytes | None:
    """None where there is none, or where it is too damaged to be written again."""
    try:
        return exif.tobytes() if len(exif) else None
    except (*_ODD_DAMAGE, ValueError, OSError):
        return None


def _deep_gray(samples: Samples, mode: str) -> Samples:
    """16-bit, 32-bit integer and float gray -> (H, W, 3) uint16."""
    scale = 1.0
    if mode == "F":
        top = float(np.nanmax(samples)) if samples.size else 1.0
        scale = 65535.0 if top <= 1.0 else 1.0

    def to_16_bit(part: Any) -> Any:
        known = np.nan_to_num(part) * scale if mode == "F" else part
        return np.clip(known, 0, 65535)

    gray = _in_bands(samples, to_16_bit, np.uint16)
    return np.repeat(gray[:, :, None], 3, axis=2)


def _upper_byte(deep: Samples) -> U8:
    made: U8 = _in_bands(deep, lambda part: (part.astype(np.uint32) * 255 + 32767) // 65535, np.uint8)
    return made


def _in_bands(samples: Any, convert: Callable[[Any], Any], kind: Any) -> Any:
    """``convert`` over all samples, a band at a time, as ``kind``."""
    flat = samples.reshape(-1)
    made = np.empty(flat.shape, kind)
    for start in range(0, flat.size, _BAND):
        made[start : start + _BAND] = convert(flat[start : start + _BAND])
    return made.reshape(samples.shape)


def _rgb_and_alpha(image: Any) -> tuple[U8, U8 | None]:
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        pixels = np.asarray(image.convert("RGBA"))
        alpha = pixels[:, :, 3]
        opaque = bool((alpha == 255).all())
        return pixels[:, :, :3].copy(), None if opaque else alpha.copy()
    return np.array(image.convert("RGB")), None


def _upright(samples: Samples, orientation: int) -> Samples:
    """Apply an EXIF orientation (1 to 8) to (H, W) or (H, W, C)."""
    if orientation in (5, 6, 7, 8):
        samples = np.swapaxes(samples, 0, 1)
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    return np.ascontiguousarray(samples)


def write_picture(
    path: Path,
    picture: Picture,
    *,
    quality: int = 95,
    xmp: bytes | None = None,
    seal: Callable[[Path], object] = lambda part: None,
) -> None:
    """Write ``picture`` in the format that the extension names.

    ``xmp`` takes the place of the picture's own.  16 bit is kept in PNG and TIFF, alpha where the
    format has it (JPEG and BMP: over white).  The file appears only when complete and on disk; ``seal``
    is given it just before.
    """
    form = _FORMATS.get(path.suffix.lower())
    if form is None:
        raise UsageError(f"{path.name}: unknown picture extension; use one of {' '.join(sorted(_FORMATS))}")
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        with open(part, "wb") as handle:
            _encode(handle, picture, form, quality, xmp if xmp is not None else picture.xmp)
            handle.flush()
            os.fsync(handle.fileno())
        seal(part)
        os.replace(part, path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"{path} cannot be written ({reason}); check free space and permissions") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _encode(handle: Any, picture: Picture, form: str, quality: int, xmp: bytes | None) -> None:
    from PIL import Image

    rgb, alpha = picture.rgb, picture.alpha
    if picture.deep is not None and form in ("PNG", "TIFF"):
        pixels = with_alpha(picture.deep, alpha)
        data = (
            encode_png(pixels, picture.icc, picture.exif, xmp)
            if form == "PNG"
            else encode_tiff(pixels, picture.icc, xmp)
        )
        handle.write(data)
        return
    plain = picture.gray and form in ("PNG", "JPEG", "TIFF") and bool((rgb == rgb[..., :1]).all())
    if alpha is not None and form in ("PNG", "WEBP", "TIFF", "AVIF"):
        image = Image.fromarray(np.dstack([rgb[..., 0], alpha] if plain else [rgb, alpha]))
    elif alpha is not None:
        share = alpha[:, :, None].astype(np.float32) / 255
        image = Image.fromarray(np.round(rgb * share + 255 * (1 - share)).astype(np.uint8))
    else:
        image = Image.fromarray(np.ascontiguousarray(rgb[..., 0]) if plain else rgb)
    options: dict[str, Any] = {"icc_profile": picture.icc} if picture.icc else {}
    if picture.exif and form != "BMP":
        options["exif"] = picture.exif
    own: dict[str, dict[str, Any]] = {
        "JPEG": {"quality": quality, "subsampling": 0, "optimize": True},
        "WEBP": {"quality": quality, "method": 4},
        "AVIF": {"quality": min(quality, 92), "subsampling": "4:4:4"},
        "TIFF": {"compression": "tiff_lzw"},
    }
    options |= own.get(form, {})
    if xmp:
        _add_xmp(options, form, xmp)
    try:
        image.save(handle, form, **options)
    except OSError:
        raise
    except Exception:
        if options.pop("exif", None) is None:
            raise
        # Damaged metadata of the input, which cannot be written again, must not cost the result.
        handle.seek(0)
        handle.truncate()
        image.save(handle, form, **options)


def _add_xmp(options: dict[str, Any], form: str, xmp: bytes) -> None:
    if form in ("JPEG", "WEBP", "AVIF"):
        options["xmp"] = xmp
    elif form == "PNG":
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
        options["pnginfo"] = info
    elif form == "TIFF":
        from PIL.TiffImagePlugin import ImageFileDirectory_v2

        tags = ImageFileDirectory_v2()
        tags[700] = xmp
        options["tiffinfo"] = tags
