"""Whole, small files of every kind that the program reads: what is damaged by the fuzz tests.

Everything is made here or bundled with the program; a seed is bytes and a name, so that the same
seed and the same number give the same damaged file.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from tests.clips import make_clip
from tests.jobs.example import EXAMPLES, small_example

TEXTS = (
    *("manifest", "config", "cast", "consent", "rules", "record", "pem", "card", "train"),
    *("recipe", "kept"),
)
"""Kinds that are lines of text"""


@dataclass(frozen=True, slots=True)
class Seed:
    """One whole file."""

    kind: str
    name: str
    data: bytes = field(repr=False)

    @property
    def text(self) -> bool:
        return self.kind in TEXTS


CLIPS: dict[str, dict[str, Any]] = {
    "h264.mp4": {"audio": 1, "options": {"x264-params": "keyint=5:bframes=2"}},
    "h264.mov": {"vfr": True, "rotation": 90, "metadata": {"title": "../../../etc/x", "comment": "\x1b[2J"}},
    "h264.mkv": {"audio": 2, "subtitles": True, "chapters": True, "attachment": True},
    "hdr.mkv": {"codec": "libx265", "pix_fmt": "yuv420p10le", "color": (9, 16, 9, 1)},
    "hevc.mp4": {"codec": "libx265", "sar": Fraction(4, 3)},
    "vp9.webm": {"codec": "libvpx-vp9", "audio": 1, "options": {"deadline": "realtime", "cpu-used": "8"}},
    "av1.mp4": {"codec": "libsvtav1", "options": {"preset": "12"}},
    "mpeg1.mpg": {"codec": "mpeg1video"},
    "mpeg2.ts": {"codec": "mpeg2video", "audio": 1},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "mpeg4.avi": {"codec": "mpeg4", "audio": 1},
    "prores.mov": {"codec": "prores_ks", "pix_fmt": "yuv422p10le"},
    "ffv1.nut": {"codec": "ffv1", "pix_fmt": "yuv444p"},
    "png.mov": {"codec": "png", "pix_fmt": "rgb24"},
    "moving.gif": {"codec": "gif", "pix_fmt": "rgb8", "time_base": Fraction(1, 100)},
    "flash.flv": {"codec": "flv", "time_base": Fraction(1, 1000)},
}


def clips(folder: Path) -> Iterator[Seed]:
    for name, given in CLIPS.items():
        make_clip(folder / name, **given)
        yield Seed("clip", name, (folder / name).read_bytes())


def face_clips(folder: Path) -> Iterator[Seed]:
    """With a face in it: for whole commands."""
    for name, given in (("face.mp4", {"audio": 1}), ("face.mkv", {}), ("face.mov", {"rotation": 90})):
        small_example(folder / name, 10, **given)
        yield Seed("face_clip", name, (folder / name).read_bytes())


def pictures(folder: Path) -> Iterator[Seed]:
    from PIL import Image

    rng = np.random.default_rng(3)
    rgb = Image.fromarray(rng.integers(0, 255, (40, 56, 3), np.uint8))
    turned = Image.Exif()
    turned[0x0112], turned[0x010E] = 6, "../../etc"
    color = {"exif": turned, "xmp": b"<x:xmpmeta><a/></x:xmpmeta>"}
    saved: tuple[tuple[str, Any, dict[str, Any]], ...] = (
        ("plain.jpg", rgb, {"quality": 80, **color}),
        ("progressive.jpg", rgb, {"progressive": True}),
        ("cmyk.jpg", rgb.convert("CMYK"), {}),
        ("plain.png", rgb, {"exif": turned}),
        ("alpha.png", rgb.convert("RGBA"), {}),
        ("palette.png", rgb.convert("P"), {"transparency": 3}),
        ("gray16.png", Image.fromarray(rng.integers(0, 65535, (40, 56), np.uint16)), {}),
        ("plain.webp", rgb, color),
        ("alpha.webp", rgb.convert("RGBA"), {"lossless": True}),
        ("lzw.tif", rgb, {"compression": "tiff_lzw"}),
        ("jpeg.tif", rgb, {"compression": "jpeg"}),
        ("cmyk.tif", rgb.convert("CMYK"), {}),
        ("float.tif", Image.fromarray(rng.random((40, 56), np.float32)), {}),
        ("plain.gif", rgb.convert("P"), {}),
        ("plain.bmp", rgb, {}),
    )
    for name, image, given in saved:
        image.save(folder / name, **given)
        yield Seed("picture", name, (folder / name).read_bytes())
    from faceswap_cli.video.deep import encode_png, encode_tiff

    deep = rng.integers(0, 65535, (40, 56, 4), np.uint16)
    yield Seed("picture", "deep.png", encode_png(deep[:, :, :3], b"icc" * 40, None, b"<x:xmpmeta/>"))
    yield Seed("picture", "deep.tif", encode_tiff(deep, None, b"<x:xmpmeta/>"))


def face_pictures(folder: Path) -> Iterator[Seed]:
    from PIL import Image

    with Image.open(EXAMPLES / "source.jpg") as image:
        small = image.convert("RGB")
        small.thumbnail((360, 360))
    for name in ("face.jpg", "face.png", "face.webp"):
        small.save(folder / name, **({"quality": 75} if name.endswith("jpg") else {}))
        yield Seed("face_picture", name, (folder / name).read_bytes())


def weights(folder: Path) -> Iterator[Seed]:
    import torch
    from safetensors.torch import save

    rng = torch.Generator().manual_seed(1)
    tensors = {
        f"{part}.{k}": torch.randn(4, 3, generator=rng) for part in ("encoder", "g_ema") for k in ("a", "b")
    }
    yield Seed("weights", "plain.safetensors", save(tensors, {"format": "pt"}))
    nested = {"state_dict": tensors, "latent_avg": torch.randn(18, 8, generator=rng), "opts": {"a": 1}}
    for name, zipped in (("zip.pt", True), ("old.pt", False)):
        target = io.BytesIO()
        torch.save(nested, target, _use_new_zipfile_serialization=zipped)
        yield Seed("weights", name, target.getvalue())


def classifiers(folder: Path) -> Iterator[Seed]:
    from tests.policy.models import write_model

    yield Seed("classifier", "colors.onnx", write_model(folder / "colors.onnx").read_bytes())
    open_sizes = write_model(folder / "open.onnx", (1, "h", "w", 3), axes=(1, 2))
    yield Seed("classifier", "open.onnx", open_sizes.read_bytes())


def analyses(folder: Path) -> Iterator[Seed]:
    from faceswap_cli.jobs.store import save_analysis
    from tests.swap.test_engine import make_analysis

    save_analysis(folder / "analysis.npz", make_analysis())
    yield Seed("analysis", "analysis.npz", (folder / "analysis.npz").read_bytes())


def records(folder: Path) -> Iterator[Seed]:
    """Small JSON files that a run leaves for the next one."""
    from faceswap_cli.records import LedgerRow, Segment

    row = LedgerRow(0, 0.0, 1, 1, True, "", (1.0, 2.0, 3.0, 4.0), 0.0, 0.0, 0.0, 0.4, 0.0, 12.0)
    segment = {
        "segment": asdict(Segment(3, 0, 100, 8, 12, True)),
        "frames": 12,
        "swapped_faces": 12,
        "ledger": [asdict(row)],
        "seconds": {},
        "sha256": hashlib.sha256(SEGMENT_FILE).hexdigest(),
    }
    found = {
        "segment_000003.json": segment,
        "job.json": {"key": {"schema": "2", "input": "00"}},
        "analysis.json": {"key": {"schema": "2"}, "sha256": "00" * 32},
        "lock": {"key": "ab", "size": 12, "mtime_ns": 17},
        "batch.json": {"schema": 1, "key": "k", "before": None, "after": [12, 17], "told": {"a": 1}},
        "terms.json": {"schema": 1, "terms": 1, "accepted": "2026-01-01T00:00:00"},
    }
    for name, content in found.items():
        yield Seed("record", name, resealed_record(json.dumps(content).encode()))
        if name in ("segment_000003.json", "job.json"):
            yield Seed("kept", name, resealed_record(json.dumps(content).encode()))


SEGMENT_FILE = b"damaged"
"""What lies beside a record of a segment"""


def resealed_record(data: bytes) -> bytes:
    """A record of the journal with the digest of what it holds now; other texts as they are."""
    from faceswap_cli.jobs import files

    try:
        content = json.loads(data)
        content.pop(files._DIGEST, None)
        content[files._DIGEST] = files._digest_of(content)
        return json.dumps(content).encode()
    except (ValueError, TypeError, AttributeError, RecursionError):
        return data


def recipes(folder: Path) -> Iterator[Seed]:
    from faceswap_cli.recipe.record import VIDEO, Recipe, libraries, shaping_keys

    values = {name: key.default for name, key in shaping_keys().items()}
    made = Recipe(
        kind=VIDEO, program="0.1.0", target="ab" * 32,
        sources=(("cd" * 32,), ("ef" * 32,)), cast={0: 1, 2: 0},
        weights="12" * 32, models="34" * 32, parsing="", device="cpu", options=values, libraries=libraries(),
    )  # fmt: skip
    yield Seed("recipe", "recipe.json", made.text().encode())


def found_faces(folder: Path) -> Iterator[Seed]:
    from faceswap_cli.recipe.raw import save_raw
    from faceswap_cli.records import MESH_POINTS
    from faceswap_cli.tracking.analyse import Gathered
    from faceswap_cli.tracking.shots import Signature
    from faceswap_cli.tracking.tracks import Piece

    rng = np.random.default_rng(8)
    frames = np.arange(12, dtype=np.int64)

    def some(*shape: int) -> Any:
        return rng.random(shape).astype(np.float32)

    looks = tuple(Signature(rng.integers(0, 180, (14, 24, 3), np.uint8)) for _ in frames)
    piece = Piece(frames, 40 * some(len(frames), MESH_POINTS, 3), some(len(frames)), some(128), 0.5)
    save_raw(folder / "found.npz", {"schema": "2"}, Gathered(512 * frames, looks, (piece,)))
    yield Seed("found", "found.npz", (folder / "found.npz").read_bytes())


def manifests(folder: Path) -> Iterator[Seed]:
    table = "source,target,output,face,end,smooth\na.jpg,one.mp4,,left,,0.5\nb.jpg|c.jpg,two.mp4,o.mp4,,20,\n"
    yield Seed("manifest", "jobs.csv", table.encode())
    yield Seed("manifest", "jobs.tsv", table.replace(",", "\t").encode("utf-8-sig"))
    lines = (
        {"source": "a.jpg", "target": "one.mp4", "options": {"end": 20, "face": "all"}},
        {"source": ["b.jpg", "c.jpg"], "target": "two.mp4", "output": "o.mp4", "crf": 20, "segment": 2.5},
    )
    yield Seed("manifest", "jobs.jsonl", "\n".join(map(json.dumps, lines)).encode())


def configs(folder: Path) -> Iterator[Seed]:
    from faceswap_cli.config_files import known_keys

    def written(value: Any) -> str:
        return json.dumps(value) if not isinstance(value, Path) else json.dumps(str(value))

    keys = [key for key in known_keys().values() if key.default is not None]
    plain = [f"{key.name} = {written(key.default)}" for key in keys]
    yield Seed("config", "faceswap.toml", "\n".join(plain).encode())
    yield Seed(
        "config", "small.toml", b'method = "mesh"\n[detect]\nmin_face_px = 32\n[job]\nsegment_s = 2.5\n'
    )


def casts(folder: Path) -> Iterator[Seed]:
    faces = np.random.default_rng(5).random((2, 128)).astype("<f2")
    lines = [base64.b64encode(face.tobytes()).decode() for face in faces]
    body = 'schema = 1\n[people.A]\nsource = "a.jpg"\n[people.B]\nkeep = true\n'
    for name in ("A", "B"):
        body += f'[recognise.{name}]\ndoubt = "small"\nfaces = {json.dumps(lines)}\n'
    yield Seed("cast", "cast.toml", body.encode())


def consents(folder: Path) -> Iterator[Seed]:
    table = '[[source]]\nname = "A"\nagreed = 2026-01-01\nuntil = 2090-01-01\n'
    table += '[target]\nname = "B"\nagreed = "2026-01-01"\n'
    yield Seed("consent", "consent.toml", table.encode())
    people = {
        "source": {"name": "A", "agreed": "2026-01-01"},
        "target": [{"name": "B", "agreed": "2026-01-01"}],
    }
    yield Seed("consent", "consent.json", json.dumps(people).encode())
    yield Seed(
        "consent",
        "consent.txt",
        b"source: A, agreed 2026-01-01\ntarget: B, agreed on 2026-01-01 until 2090-01-01\n",
    )


def rules(folder: Path) -> Iterator[Seed]:
    from tests.policy.models import MORE_RULES

    more = 'size = [8, 8]\ncolor = "bgr"\nrange = [0.0, 1.0]\nfit = "pad"\n'
    more += "mean = [0.4, 0.4, 0.4]\nstd = [0.2, 0.2, 0.2]\n"
    yield Seed("rules", "colors.toml", (MORE_RULES + more).encode())


def trainings(folder: Path) -> Iterator[Seed]:
    yield Seed("train", "cpu.toml", (EXAMPLES / "training" / "cpu.toml").read_bytes())


def faceids(folder: Path) -> Iterator[Seed]:
    from faceswap_cli.identity.enrolled import Enrolled, Share
    from faceswap_cli.identity.faceid import Faceid, write_faceid
    from faceswap_cli.records import MESH_POINTS, SourcePhoto

    rng = np.random.default_rng(6)

    def some(*shape: int) -> Any:
        return rng.random(shape).astype(np.float32)

    def bytes_of(*shape: int) -> Any:
        return rng.integers(0, 255, shape, np.uint8)

    mesh = (MESH_POINTS, 3)
    plain = {name: some(*mesh) for name in ("points", "light", "neutral")} | {"seen": some(MESH_POINTS)}
    person = Enrolled(name="A", texture=bytes_of(64, 64, 3), surroundings=bytes_of(8, 8, 3), **plain)
    share = Share(file="a.jpg", weight=1.0, quality=0.5, yaw=0.0, width_px=100.0, distance=0.1)
    photo = SourcePhoto(Path("a.jpg"), bytes_of(20, 20, 3), some(*mesh), some(128), 0.5)
    write_faceid(folder / "a.faceid", Faceid(person, some(128), some(1, 128), (share,), (photo,)))
    yield Seed("faceid", "a.faceid", (folder / "a.faceid").read_bytes())


def signed(folder: Path) -> Iterator[Seed]:
    """Files with manifests, as somebody else may have made them."""
    from PIL import Image

    from faceswap_cli.provenance.signing import sealer

    make_clip(folder / "in.mp4", frames=4)
    Image.fromarray(np.full((32, 32, 3), 90, np.uint8)).save(folder / "in.png")
    Image.open(folder / "in.png").save(folder / "in.jpg")
    Image.open(folder / "in.png").save(folder / "in.webp")
    make_clip(folder / "in.mkv", frames=4)
    for suffix in (".mp4", ".png", ".jpg", ".webp", ".mkv"):
        given, part = folder / f"in{suffix}", folder / f"signed{suffix}"
        shutil.copy(given, part)
        sealer(part, given, None, None, "ab" * 32)(part)
        kind = "c2pa" if suffix != ".mkv" else "sidecar"
        made = part if suffix != ".mkv" else part.with_name(part.name + ".c2pa")
        yield Seed(kind, made.name, made.read_bytes())


def pems(folder: Path) -> Iterator[Seed]:
    from faceswap_cli.provenance.keys import _make

    made = _make()
    yield Seed("pem", "signer.pem", made.key + made.chain)


def cards(folder: Path) -> Iterator[Seed]:
    """The table of known weights, and the card of an installed file."""
    from faceswap_cli.weights.registry import read_registry

    row = next(iter(read_registry().values()))
    card = {
        "name": row.name, "checkpoint": row.checkpoint, "title": row.title, "sha256": "00" * 32, "size": 12,
        "licence": "x", "licence_use": "x", "licence_url": "x", "origin": "x", "source_file": "x",
        "source_sha256": "00" * 32, "notes": ["a"], "checked_mtime_ns": 0,
    }  # fmt: skip
    yield Seed("card", f"{row.name}.json", json.dumps(card).encode())


MAKERS: dict[str, Callable[[Path], Iterator[Seed]]] = {
    "clip": clips,
    "picture": pictures,
    "weights": weights,
    "classifier": classifiers,
    "analysis": analyses,
    "record": records,
    "recipe": recipes,
    "found": found_faces,
    "manifest": manifests,
    "config": configs,
    "cast": casts,
    "consent": consents,
    "rules": rules,
    "faceid": faceids,
    "train": trainings,
    "c2pa": signed,
    "pem": pems,
    "card": cards,
    "face_clip": face_clips,
    "face_picture": face_pictures,
}
"""Kind -> seeds; ``signed`` makes those of the kind ``sidecar`` as well, ``records`` those of ``kept``."""
LIBRARY_KINDS = tuple(kind for kind in MAKERS if not kind.startswith("face_"))


def seeds(folder: Path, kinds: tuple[str, ...] = tuple(MAKERS)) -> list[Seed]:
    """All seeds of ``kinds``, made in ``folder``."""
    found: list[Seed] = []
    for kind in kinds:
        place = folder / kind
        place.mkdir(parents=True)
        found += MAKERS[kind](place)
    return found
