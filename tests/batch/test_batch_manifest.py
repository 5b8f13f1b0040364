"""Manifests: CSV and JSON Lines, and a line number in every complaint."""

from __future__ import annotations

from pathlib import Path

import pytest

from faceswap_cli.batch.manifest import Entry, read_manifest, row_options
from faceswap_cli.config_files import Settings, resolve
from faceswap_cli.errors import InputError, UsageError


def write(folder: Path, text: str, name: str = "jobs.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return resolve({"face": "left"}, use_files=False, environ={}, folder=tmp_path)


def test_csv(tmp_path: Path) -> None:
    text = "\ufeffsource,target,output,min-face,end\r\na.jpg,one.mp4,,,\r\n\r\n"
    text += 'b1.jpg | b2.jpg,"two, 2.mp4",o.mp4,40,20f\r\n'
    first, second = read_manifest(write(tmp_path, text))
    assert first == Entry("jobs.csv line 2", ("a.jpg",), "one.mp4", None, {})
    assert second.where == "jobs.csv line 4"
    assert (second.sources, second.target, second.output) == (("b1.jpg", "b2.jpg"), "two, 2.mp4", "o.mp4")
    assert second.options == {"min_face": "40", "end": "20f"}


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_csv_of_other_programs(tmp_path: Path, delimiter: str) -> None:
    text = f"target{delimiter}source\nx, y.mp4{delimiter}a.jpg\n"
    (entry,) = read_manifest(write(tmp_path, text))
    assert (entry.target, entry.sources) == ("x, y.mp4", ("a.jpg",))


def test_lines_are_counted_through_quoted_line_breaks(tmp_path: Path) -> None:
    text = 'source,target\n"a\nb.jpg",one.mp4\nc.jpg,\n'
    with pytest.raises(UsageError, match=r"^jobs\.csv line 4: target is missing"):
        read_manifest(write(tmp_path, text))


def test_json_lines(tmp_path: Path) -> None:
    text = (
        '{"source": "a.jpg", "target": "one.mp4", "face": "all"}\n\n'
        '{"source": ["b1.jpg", "b2.jpg"], "target": "t.mp4", "output": null, '
        '"options": {"paste.feather": 0.1, "label": true}}\n'
    )
    first, second = read_manifest(write(tmp_path, text, "jobs.jsonl"))
    assert first.options == {"face": "all"}
    assert second == Entry(
        "jobs.jsonl line 3", ("b1.jpg", "b2.jpg"), "t.mp4", None, {"paste.feather": 0.1, "label": True}
    )
    assert len(read_manifest(write(tmp_path, text, "jobs"))) == 2  # told by what is inside


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sorce,target\na,b\n", ("line 1", "'sorce'", "known: source, target, output, method")),
        ("source,target,target\na,b,c\n", ("line 1", "'target' is given twice")),
        ("source,output\na,b\n", ("line 1", "'target'")),
        ("source,target,min-face,min_face\na,b,1,2\n", ("line 2", "min_face is given twice")),
        ("source,target\na,b,c\n", ("line 2", "3 cells for 2 columns")),
        ('source,target\na,b\n"x,y\n', ("line 3", "not valid CSV")),
        ("source,target,log_file\na,b,c\n", ("line 1", "'log_file'")),
        ("source,target\na\0b,c\n", ("line 2",)),
        ("source,target\na, \n", ("line 2", "target is missing")),
        ("source,target\n", ("contains no job",)),
        ("", ("contains no job",)),
    ],
)
def test_bad_csv(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        read_manifest(write(tmp_path, text))
    for word in ("jobs.csv", *words):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", ("not a JSON object",)),
        ("[1]", ("one object a line",)),
        ('{"target": 3}', ("target must be a file name",)),
        ('{"target": "a", "source": 3}', ("source must be",)),
        ('{"target": "a", "source": [""]}', ("source must be",)),
        ('{"target": "a", "source": ["b\\u0000"]}', ("source must be",)),
        ('{"target": "a", "sorce": "x"}', ("'sorce'", "known: source")),
        ('{"target": "a", "options": {"quality": 1}}', ("'quality'", "known:")),
        ('{"target": "a", "options": [1]}', ("options must be an object",)),
        ('{"target": "a", "options": {"output": "x"}}', ("output belongs beside options",)),
        ('{"target": "a", "face": "all", "options": {"face": "left"}}', ("face is given twice",)),
        ('{"target": "a", "target": "b"}', ("'target' is given twice",)),
        ("[" * 100000, ("not a JSON object",)),
    ],
)
def test_bad_json(tmp_path: Path, line: str, words: tuple[str, ...]) -> None:
    good = '{"source": "a.jpg", "target": "b.mp4"}\n'
    with pytest.raises(UsageError) as caught:
        read_manifest(write(tmp_path, good + line + "\n", "jobs.jsonl"))
    for word in ("jobs.jsonl line 2", *words):
        assert word in str(caught.value)


def test_files_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    path.write_bytes(b"source,target\na,caf\xe9.mp4\n")
    with pytest.raises(UsageError, match="line 2 is not UTF-8"):
        read_manifest(path)
    with pytest.raises(InputError, match=r"gone\.csv"):
        read_manifest(tmp_path / "gone.csv")


def test_options_of_a_row_win_over_those_of_the_command(tmp_path: Path, settings: Settings) -> None:
    values = {"face": "2", "label": "yes", "threads": "3", "paste.feather": "0.1", "ref": "him.jpg"}
    options = row_options(settings, Entry("x line 2", (), "t", None, values), tmp_path)
    assert (options.track.face, options.mark.label, options.paste.feather) == ("2", True, 0.1)
    assert (options.job.workers, options.detect.workers) == (3, 3)
    assert options.track.reference == tmp_path / "him.jpg"
    plain = row_options(settings, Entry("x line 3", (), "t", None), tmp_path)
    assert (plain.track.face, plain.mark.label) == ("left", False)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"crf": "good"}, "encode.crf must be a number"),
        ({"smooth": 7}, "0 to 1"),
        ({"face": "nobody"}, "face"),
    ],
)
def test_bad_values_name_their_line(
    tmp_path: Path, settings: Settings, values: dict[str, object], word: str
) -> None:
    with pytest.raises(UsageError) as caught:
        row_options(settings, Entry("jobs.csv line 7", (), "t", None, values), tmp_path)
    assert word in str(caught.value)
    assert str(caught.value).count("jobs.csv line 7") >= 1
