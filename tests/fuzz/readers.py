"""What the program does with a file of each kind, step by step: every step may only end in its own errors.

A step takes the file and an empty folder that it may write to.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from contextlib import closing, redirect_stderr, redirect_stdout
from itertools import islice
from pathlib import Path

import numpy as np

from faceswap_cli.config import EncodeOptions, JobOptions, SmoothOptions
from faceswap_cli.config_files import Setting, Settings, known_keys, resolve
from faceswap_cli.errors import FaceswapError
from tests.fuzz.corpus import SEGMENT_FILE
from tests.jobs.example import EXAMPLES

Step = Callable[[Path, Path], None]
FRAMES = 64


def _probe(path: Path, out: Path) -> None:
    from faceswap_cli.video.probe import probe

    clip = probe(path)
    assert clip.width > 0
    assert clip.frames > 0
    assert np.isfinite(clip.duration_s)
    assert np.isfinite(clip.display_from_frame).all()
    assert min(clip.display_size) > 0
    assert clip.average_rate > 0


def _decode(path: Path, out: Path) -> None:
    """All frames, then some from the middle: they must be the same."""
    from faceswap_cli.video.probe import probe
    from faceswap_cli.video.reader import Damage, read_frames

    clip, damage = probe(path), Damage()
    with closing(read_frames(clip, damage=damage, threads=1)) as frames:
        times = [frame.pts for frame in islice(frames, FRAMES)]
    assert times == sorted(set(times))
    known = np.array(times, np.int64)
    if 4 < len(times) < FRAMES:
        first, end = times[len(times) // 2], times[-1]
        with closing(read_frames(clip, first_pts=first, end_pts=end, threads=1, known=known)) as frames:
            again = [frame.pts for frame in frames]
        assert again == [pts for pts in times if first <= pts < end], f"{again} of {times}"


def _packets(path: Path, out: Path) -> None:
    from faceswap_cli.video.copying import find_cuts
    from faceswap_cli.video.probe import probe
    from faceswap_cli.video.sizes import packet_sizes

    clip = probe(path)
    packet_sizes(clip)
    find_cuts(clip, EncodeOptions())


def _plan(path: Path, out: Path) -> None:
    """Segments for whatever times the file claims."""
    from faceswap_cli.config import RangeOptions
    from faceswap_cli.jobs.plan import plan
    from faceswap_cli.records import Analysis, Shot
    from faceswap_cli.video.probe import probe
    from faceswap_cli.video.ranges import pts_range
    from faceswap_cli.video.reader import read_frames

    clip = probe(path)
    with closing(read_frames(clip, threads=1)) as frames:
        pts = np.array([frame.pts for frame in islice(frames, FRAMES)], np.int64)
    if len(pts):
        shot = Shot(int(pts[0]), int(pts[-1]) + 1)
        plan(clip, Analysis(pts, (shot,), (), ()), {}, JobOptions(), SmoothOptions())
    pts_range(clip, RangeOptions(start="0.1", end="7f"))


def _through(path: Path, out: Path) -> None:
    """Every frame as it is, and all other streams, into a new file."""
    from faceswap_cli.video.assemble import assemble
    from faceswap_cli.video.probe import probe
    from faceswap_cli.video.reader import read_frames
    from faceswap_cli.video.writer import write_segment

    clip = probe(path)
    encode = EncodeOptions(crf=40, preset="ultrafast" if clip.codec in ("h264", "hevc") else None)
    with closing(read_frames(clip, threads=1)) as frames:
        first = next(frames, None)
        if first is None:
            return
        rest = islice(frames, 12)
        write_segment(out / "segment", clip, (f for part in ([first], rest) for f in part), encode)
    ending = (
        ".mov" if clip.codec == "prores" else ".mkv" if path.suffix not in (".mp4", ".mov") else path.suffix
    )
    assemble(out / f"whole{ending}", clip, [out / "segment"])


def _marks(path: Path, out: Path) -> None:
    from faceswap_cli.provenance.mark import find_xmp, read_mark, xmp_packet
    from faceswap_cli.provenance.verify import read_statement

    read_mark(path)
    xmp_packet(find_xmp(path))
    read_statement(path)


def _as_parent(path: Path, out: Path) -> None:
    """A file with a stranger's manifest is signed over: it becomes an ingredient."""
    from faceswap_cli.provenance.signing import sealer

    part = out / path.name
    shutil.copy(path, part)
    sealer(part, path, None, None, "")(part)


def _sidecar(path: Path, out: Path) -> None:
    from faceswap_cli.provenance.verify import read_statement, sidecar_statement

    beside = path.with_name("clip.mkv")
    beside.write_bytes(b"\x1aE\xdf\xa3 no clip")
    path.rename(path.with_name("clip.mkv.c2pa"))
    read_statement(beside)
    sidecar_statement(beside)


def _picture(path: Path, out: Path) -> None:
    from faceswap_cli.video.picture import is_picture, read_picture, write_picture

    is_picture(path)
    picture = read_picture(path)
    height, width = picture.rgb.shape[:2]
    assert picture.rgb.shape == (height, width, 3)
    assert picture.rgb.dtype == np.uint8
    if height * width < 100_000:
        for ending in (".jpg", ".png", ".webp", ".tif"):
            write_picture(out / f"again{ending}", picture)


def _label_map(path: Path, out: Path) -> None:
    from faceswap_cli.swap.methods.fslsd import read_parsing

    read_parsing(path, "celebamask")


def _weights(path: Path, out: Path) -> None:
    from faceswap_cli.weights.formats import read_container, recognise

    recognise(read_container(path), path.name)


def _classifier(path: Path, out: Path) -> None:
    from faceswap_cli.policy.classifier import load_classifier
    from tests.policy.models import RULES

    path.with_suffix(".toml").write_text(RULES, encoding="utf-8")
    load_classifier(path, path.with_suffix(".toml"))


def _analysis(path: Path, out: Path) -> None:
    from faceswap_cli.jobs.store import load_analysis

    load_analysis(path)


def _job_folder(path: Path, out: Path) -> None:
    """The file lies in the job folder where the program expects its own: the job must run all the same."""
    from faceswap_cli.batch.records import Records
    from faceswap_cli.cli import terms
    from faceswap_cli.jobs.journal import open_journal
    from faceswap_cli.jobs.seal import folder_of, is_own_result
    from faceswap_cli.records import Segment

    output = out / "result.mp4"
    folder = folder_of(output)
    folder.mkdir()
    for name in ("segment_000003.mp4", "analysis.npz"):
        (folder / name).write_bytes(SEGMENT_FILE)
    shutil.copy(path, folder / path.name)
    output.write_bytes(b"x" * 12)
    is_own_result(output)
    output.unlink()
    with open_journal(output, JobOptions()) as journal:
        journal.analysis({"schema": "2"})
        journal.begin({"schema": "2", "input": "00"})
        shutil.copy(path, folder / path.name)
        journal.done([Segment(3, 0, 100, 8, 12, True)])
    batch = Records(out)
    batch.begin(output, "k")
    shutil.copy(path, batch._path(output))
    batch.done(output, "k")
    kept = terms.record_path()
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, kept)
    terms.accepted()
    kept.unlink()


def _kept(path: Path, out: Path) -> None:
    """The file lies in the folder of a kept job, from which another one takes what it can."""
    from faceswap_cli.jobs.journal import open_journal
    from faceswap_cli.jobs.seal import folder_of
    from faceswap_cli.recipe.inputs import Known
    from faceswap_cli.recipe.kept import Kept, kept_job
    from faceswap_cli.recipe.record import parsed
    from faceswap_cli.records import LedgerRow, Plan, Segment
    from tests.fuzz.corpus import recipes

    recipe = parsed(next(recipes(out)).data.decode(), "a")
    folder = folder_of(out / "result.mp4")
    folder.mkdir()
    (folder / "segment_000003.mp4").write_bytes(SEGMENT_FILE)
    shutil.copy(path, folder / path.name)
    segments = (Segment(3, 0, 100, 8, 12, True),)
    with open_journal(out / "other.mp4", JobOptions()) as journal:
        journal.begin({"schema": "2"})
        if not (folder / "job.json").exists():
            shutil.copy(journal.folder / "job.json", folder)
        kept = Kept(folder, Known(path, (), None), recipe)
        kept.lend(journal, Plan(segments, {}), None, {"schema": "2"})  # type: ignore[arg-type]  # all touched
        for result in journal.done(segments).values():
            assert all(isinstance(row, LedgerRow) and row.time_s >= -1e15 for row in result.ledger)
    (folder / "recipe.json").write_bytes(path.read_bytes())
    kept_job(out / "result.mp4")


def _recipe(path: Path, out: Path) -> None:
    """A recipe in the metadata of a stranger's file."""
    from faceswap_cli.config import SwapOptions
    from faceswap_cli.jobs.keys import option_key
    from faceswap_cli.recipe.record import parsed, with_options

    recipe = parsed(path.read_bytes().decode("utf-8", "replace"), path.name)
    option_key(with_options(SwapOptions(), recipe.options))
    recipe.changed_options()
    assert recipe.text().isascii()
    assert recipe.text().isprintable()


def _found(path: Path, out: Path) -> None:
    from fractions import Fraction

    from faceswap_cli.config import TrackOptions
    from faceswap_cli.recipe.raw import load_raw
    from faceswap_cli.records import Clip, ColorTags
    from faceswap_cli.tracking.analyse import build_analysis

    gathered, _ = load_raw(path)
    clip = Clip(
        Path("a.mp4"), "mov", "h264", 64, 48, "yuv420p", "yuv420p", 8, Fraction(1, 12800), 0,
        Fraction(25), 12, 0.48, 0, Fraction(1), ColorTags(), (), 0,
    )  # fmt: skip
    build_analysis(gathered, clip, TrackOptions(), SmoothOptions())


def _manifest(path: Path, out: Path) -> None:
    from faceswap_cli.batch.manifest import read_manifest, row_options

    base = Settings({name: Setting(key.default, "default") for name, key in known_keys().items()})
    entries = read_manifest(path)
    for entry in entries:
        options = row_options(base, entry, path.parent)
        _usable(options)


def _config(path: Path, out: Path) -> None:
    settings = resolve({}, config=path, use_files=True, environ={}, folder=path.parent)
    _usable(settings.swap_options())
    settings.show_options()


def _usable(options: object) -> None:
    """Options that were accepted must not break the arithmetic that they go into."""
    from fractions import Fraction

    from faceswap_cli.config import SwapOptions
    from faceswap_cli.jobs.keys import option_key
    from faceswap_cli.jobs.plan import plan
    from faceswap_cli.records import Analysis, Clip, ColorTags, Shot
    from faceswap_cli.video.ranges import pts_range

    assert isinstance(options, SwapOptions)
    clip = Clip(
        Path("a.mp4"), "mov", "h264", 64, 48, "yuv420p", "yuv420p", 8, Fraction(1, 12800), 0,
        Fraction(25), 50, 2.0, 0, Fraction(1), ColorTags(), (), 0,
    )  # fmt: skip
    pts = np.arange(50, dtype=np.int64) * 512
    plan(clip, Analysis(pts, (Shot(0, 25600),), (), ()), {}, options.job, options.smooth)
    pts_range(clip, options.range)
    option_key(options)


def _cast(path: Path, out: Path) -> None:
    from faceswap_cli.cast.file import read_cast

    (path.parent / "a.jpg").write_bytes(b"\xff\xd8\xff")
    read_cast(path)


def _consent(path: Path, out: Path) -> None:
    from faceswap_cli.policy.consent import read_consent

    read_consent(path)


def _rules(path: Path, out: Path) -> None:
    from faceswap_cli.policy.rules import read_rules

    read_rules(path)


def _train(path: Path, out: Path) -> None:
    from faceswap_cli.training.options import read_options

    read_options(path)


def _faceid(path: Path, out: Path) -> None:
    from faceswap_cli.config import PasteOptions
    from faceswap_cli.identity.faceid import source_of
    from faceswap_cli.swap.methods.mesh import build_mesh

    source = source_of([path])
    build_mesh(JobOptions(), PasteOptions()).prepare(source)


def _pem(path: Path, out: Path) -> None:
    from faceswap_cli.provenance.keys import _read_own, brought_credentials

    _either(lambda: brought_credentials(path, path))
    _read_own(path)


def _card(path: Path, out: Path) -> None:
    from faceswap_cli.weights import store

    folder = store.installed_folder()
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, folder / path.name)
    (folder / path.name).with_suffix(".safetensors").write_bytes(b"0" * 12)
    _either(lambda: store.verify(path.stem))
    store.installed()


def _either(step: Callable[[], object]) -> None:
    try:
        step()
    except FaceswapError:
        return


def _command(*arguments: object) -> None:
    """A whole command: a documented exit code, and one printable line for what went wrong."""
    from faceswap_cli.cli import main

    told, results = io.StringIO(), io.StringIO()
    with redirect_stderr(told), redirect_stdout(results):
        code = main([str(argument) for argument in arguments])
    text = told.getvalue()
    assert code not in (1, None), f"exit {code}: {text[-400:]}"
    assert "Traceback" not in text, text[-400:]
    errors = [line for line in text.splitlines() if line.startswith("faceswap: error:")]
    assert len(errors) == (code != 0), f"exit {code}: {text[-400:]}"
    assert all(line.isprintable() for line in text.splitlines()), repr(text[-400:])


_SOURCE = EXAMPLES / "source.jpg"
_QUICK = ("--method", "mesh", "--jobs", "1", "--no-config")


def _video_command(path: Path, out: Path) -> None:
    _command("inspect", path, "--quick", "--json", "--no-config")
    ending = ".mkv" if path.suffix != ".mp4" else ".mp4"
    _command("video", _SOURCE, path, "-o", out / f"out{ending}", "--preset", "ultrafast", *_QUICK)


def _image_command(path: Path, out: Path) -> None:
    _command("image", _SOURCE, path, "-o", out / "out.png", *_QUICK)


def _source_command(path: Path, out: Path) -> None:
    _command("image", path, _SOURCE, "-o", out / "out.png", *_QUICK)


def _manifest_command(path: Path, out: Path) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        shutil.copy(_SOURCE, path.parent / name)
    (path.parent / "one.mp4").write_bytes(b"\0" * 99)
    _command("batch", "--manifest", path, "-o", out, "--no-config")


def _config_command(path: Path, out: Path) -> None:
    _command("config", "--config", path)


def _weights_command(path: Path, out: Path) -> None:
    _command("weights", "import", path)


def _cast_command(path: Path, out: Path) -> None:
    shutil.copy(_SOURCE, path.parent / "a.jpg")
    _command("video", "--cast", path, path, "-o", out / "out.mp4", *_QUICK)


def _consent_command(path: Path, out: Path) -> None:
    _command("image", _SOURCE, _SOURCE, "-o", out / "out.png", "--consent", path, *_QUICK)


COMMANDS: dict[str, tuple[Step, ...]] = {
    "face_clip": (_video_command,),
    "face_picture": (_image_command, _source_command),
    "manifest": (_manifest_command,),
    "config": (_config_command,),
    "weights": (_weights_command,),
    "cast": (_cast_command,),
    "consent": (_consent_command,),
    "faceid": (_source_command,),
    "c2pa": (lambda path, out: _command("inspect", path, "--quick", "--json", "--no-config"),),
}
"""Kind -> what is done with it by whole commands (``benchmarks/fuzz.py --commands``)"""
READERS: dict[str, tuple[Step, ...]] = {
    "clip": (_probe, _decode, _packets, _plan, _marks),
    "picture": (_picture, _label_map, _marks),
    "weights": (_weights,),
    "classifier": (_classifier,),
    "analysis": (_analysis,),
    "record": (_job_folder,),
    "kept": (_kept,),
    "recipe": (_recipe,),
    "found": (_found,),
    "manifest": (_manifest,),
    "config": (_config,),
    "cast": (_cast,),
    "consent": (_consent,),
    "rules": (_rules,),
    "faceid": (_faceid,),
    "train": (_train,),
    "c2pa": (_marks, _as_parent),
    "sidecar": (_sidecar,),
    "pem": (_pem,),
    "card": (_card,),
}
SLOW_STEPS: dict[str, tuple[Step, ...]] = {"clip": (_through,)}
"""Taken for one input in so many (``harness.SLOW_EVERY``)"""
