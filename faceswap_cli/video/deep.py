"""More than 8 bits of color in PNG, TIFF and HEIC files, which Pillow would cut to 8."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

from faceswap_cli.records import U8, Samples


def read_deep(path: Path) -> Samples | None:
    """(H, W, 3 or 4) uint16 R'G'B'(A) as stored, before any EXIF orientation; None when it is not 16 bit."""
    import cv2

    data = np.fromfile(path, dtype=np.uint8)
    pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 3:
        return None
    order = [2, 1, 0, 3][: pixels.shape[2]]
    return np.ascontiguousarray(pixels[:, :, order])


def read_deep_heic(path: Path, depth: int) -> Samples:
    """(H, W, 3 or 4) uint16 R'G'B'(A), turned as the file says, of a HEIC picture of ``depth`` bits."""
    import pillow_heif

    samples = np.asarray(pillow_heif.open_heif(path, convert_hdr_to_8bit=False))
    # They are in the upper bits: the highest ones repeated below make white 65535.
    return np.asarray(samples | (samples >> depth), np.uint16)


def with_alpha(deep: Samples, alpha: U8 | None) -> Samples:
    """(H, W, 3) and an 8-bit alpha -> (H, W, 3 or 4) uint16."""
    return deep if alpha is None else np.dstack([deep, alpha.astype(np.uint16) * 257])


def encode_png(pixels: Samples, icc: bytes | None, exif: bytes | None, xmp: bytes | None) -> bytes:
    """(H, W, 3 or 4) uint16 -> a PNG file (PNG specification, 3rd edition, section 11)."""
    height, width, channels = pixels.shape
    kind = 2 if channels == 3 else 6
    rows = pixels.astype(">u2").view(np.uint8).reshape(height, -1).astype(np.uint8)
    # Filter 1 (difference to the pixel at the left) on every row.
    step = 2 * channels
    differences = rows.copy()
    differences[:, step:] -= rows[:, :-step]
    filtered = np.concatenate([np.ones((height, 1), np.uint8), differences], axis=1)
    chunks = [_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))]
    if icc:
        chunks.append(_chunk(b"iCCP", b"icc\0\0" + zlib.compress(icc)))
    if exif:
        chunks.append(_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")))
    if xmp:
        chunks.append(_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp))
    chunks += [_chunk(b"IDAT", zlib.compress(filtered.tobytes(), 6)), _chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def encode_tiff(pixels: Samples, icc: bytes | None, xmp: bytes | None) -> bytes:
    """(H, W, 3 or 4) uint16 -> an uncompressed TIFF file of one strip."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    height, width, channels = pixels.shape
    body = pixels.astype("<u2").tobytes()
    tags = ImageFileDirectory_v2(prefix=b"II")
    tags[256], tags[257], tags[277] = width, height, channels
    tags[258], tags[259], tags[262] = (16,) * channels, 1, 2
    tags[278], tags[279], tags[284] = height, len(body), 1
    if channels == 4:
        tags[338] = 2  # straight alpha
    if xmp:
        tags[700] = xmp
    if icc:
        tags.tagtype[34675] = 7
        tags[34675] = icc
    tags[273] = 0  # the samples follow at once; Pillow adds the length of the directory
    return b"II*\0" + struct.pack("<I", 8) + tags.tobytes(8) + body
