"""The example scripts do what they say."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import av
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FAKE = """#!/bin/sh
# video PHOTO CLIP -o OUT --skip-existing --progress plain: ends with the code in the clip's name
echo "$3" >> "{log}"
code=$(basename "$3" | sed 's/[^0-9]*\\([0-9]*\\).*/\\1/')
[ "$code" = 0 ] && : > "$5"
exit "$code"
"""
SHELL = shutil.which("sh")


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """The first 6 frames of the example, with their sound."""
    path = tmp_path / "short.mp4"
    with av.open(str(EXAMPLES / "target.mp4")) as source, av.open(str(path), "w") as copy:
        video = copy.add_stream("libx264", rate=25, options={"crf": "18", "preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 384, 512, "yuv420p"
        for index, frame in enumerate(source.decode(video=0)):
            if index == 6:
                break
            copy.mux(video.encode(frame.reformat(format="yuv420p")))
        copy.mux(video.encode(None))
    return path


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, [str(EXAMPLES.parent), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )


def test_pipeline_and_gate(short: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    swapped = run(sys.executable, EXAMPLES / "pipeline.py", EXAMPLES / "source.jpg", short, out)
    assert swapped.returncode == 0, swapped.stderr
    assert f"{out}: 6 faces in 6/6 frames" in swapped.stdout
    assert "render: 100 %" in swapped.stderr
    with av.open(str(out)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 6
    passed = run(sys.executable, EXAMPLES / "quality_gate.py", EXAMPLES / "source.jpg", short, out)
    assert passed.returncode == 0, passed.stdout + passed.stderr
    # The clip itself, given as the result, shows somebody else: the gate must shut.
    shut = run(sys.executable, EXAMPLES / "quality_gate.py", EXAMPLES / "source.jpg", short, short)
    assert shut.returncode == 10, shut.stdout + shut.stderr


def test_pipeline_reports_bad_input(tmp_path: Path) -> None:
    missing = tmp_path / "none.mp4"
    ended = run(
        sys.executable, EXAMPLES / "pipeline.py", EXAMPLES / "source.jpg", missing, tmp_path / "o.mp4"
    )
    assert ended.returncode == 4
    assert "none.mp4" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


def batch(folder: Path, names: list[str]) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run batch.sh over empty clips called ``names`` with a program that ends with the code in the name."""
    clips, log, fake = folder / "my clips", folder / "log", folder / "fake program"
    clips.mkdir()
    for name in names:
        (clips / name).touch()
    fake.write_text(FAKE.format(log=log), encoding="utf-8")
    fake.chmod(0o755)
    ended = run(EXAMPLES / "batch.sh", "photo.jpg", clips, folder / "out", FACESWAP=str(fake))
    seen = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return ended, [Path(line).name for line in seen]


@pytest.mark.skipif(SHELL is None, reason="needs a POSIX shell")
def test_batch_counts_failures_and_goes_on(tmp_path: Path) -> None:
    ended, seen = batch(tmp_path, ["a 0.mp4", "b3.mp4", "c4.mp4", "d0.mp4"])
    assert seen == ["a 0.mp4", "b3.mp4", "c4.mp4", "d0.mp4"]
    assert ended.returncode == 8
    assert ended.stderr.splitlines()[-1] == "2 done, 1 without a face, 1 failed"


@pytest.mark.skipif(SHELL is None, reason="needs a POSIX shell")
def test_batch_without_failures_ends_well(tmp_path: Path) -> None:
    ended, _ = batch(tmp_path, ["a0.mp4", "b3.mkv"])
    assert ended.returncode == 0


@pytest.mark.skipif(SHELL is None, reason="needs a POSIX shell")
@pytest.mark.parametrize("code", [2, 6, 7, 9, 130, 143])
def test_batch_stops_where_going_on_is_useless(tmp_path: Path, code: int) -> None:
    ended, seen = batch(tmp_path, [f"a{code}.mp4", "b0.mp4"])
    assert (ended.returncode, seen) == (code, [f"a{code}.mp4"])


@pytest.mark.skipif(SHELL is None, reason="needs a POSIX shell")
def test_batch_with_the_real_program(short: Path, tmp_path: Path) -> None:
    """Two clips, one of them broken; the second run finds the first clip done."""
    clips = tmp_path / "clips"
    clips.mkdir()
    shutil.copy(short, clips / "good.mp4")
    (clips / "bad.mp4").write_bytes(b"not a clip")
    program = tmp_path / "faceswap"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m faceswap_cli "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    settings = {
        "FACESWAP": str(program),
        "FACESWAP_ACCEPT_TERMS": "1",
        "XDG_DATA_HOME": str(tmp_path / "home"),
        "HOME": str(tmp_path / "home"),
    }
    for _ in range(2):
        ended = run(EXAMPLES / "batch.sh", EXAMPLES / "source.jpg", clips, tmp_path / "out", **settings)
        assert ended.returncode == 8, ended.stderr
        assert ended.stderr.splitlines()[-1] == "1 done, 0 without a face, 1 failed"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.mp4"]


@pytest.mark.skipif(SHELL is None, reason="needs a POSIX shell")
def test_folder_with_the_real_program(short: Path, tmp_path: Path) -> None:
    """A clip, a picture, a broken clip, and a picture without a face."""
    from PIL import Image

    inside, out = tmp_path / "my folder", tmp_path / "out"
    inside.mkdir()
    shutil.copy(short, inside / "good.mp4")
    Image.open(EXAMPLES / "source.jpg").save(inside / "portrait.jpg", quality=90)
    (inside / "bad.mp4").write_bytes(b"not a clip")
    Image.new("RGB", (64, 64), (90, 120, 150)).save(inside / "sky.png")
    program = tmp_path / "faceswap"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m faceswap_cli "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    settings = {
        "FACESWAP": str(program),
        "PYTHON": sys.executable,
        "FACESWAP_ACCEPT_TERMS": "1",
        "XDG_DATA_HOME": str(tmp_path / "home"),
        "HOME": str(tmp_path / "home"),
    }
    ended = run(EXAMPLES / "folder.sh", EXAMPLES / "source.jpg", inside, out, "--preset", "fast", **settings)
    assert ended.returncode == 8, ended.stderr
    assert "once more, for smaller faces" in ended.stderr
    left = [line.split("\t") for line in ended.stdout.splitlines()]
    assert [Path(name).name for name, _ in left] == ["bad.mp4", "sky.png"]
    assert "no face of 12 px or more" in left[1][1]
    assert sorted(p.name for p in out.glob("*.*") if p.is_file()) == [
        "good_swapped.mp4",
        "portrait_swapped.jpg",
    ]
