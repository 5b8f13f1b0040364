"""The page as text: well formed, closed to the outside, and safe against what files are called."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import html.parser
import re
from pathlib import Path

import pytest

from faceswap_cli.errors import OutputError
from faceswap_cli.metrics.evaluate import PersonFigures
from faceswap_cli.provenance.mark import CONTAINER_KEY, SOURCE_TYPE
from faceswap_cli.records import LedgerRow
from faceswap_cli.report import write_report
from faceswap_cli.report.write import build
from tests.cli.fakes import picture
from tests.report.made import ledger, made_job

EVIL = "<script>alert(1)</script>\"'&{{7*7}}"
VOID = {"meta", "link", "img", "input", "path", "br"}


class Parsed(html.parser.HTMLParser):
    """Elements with their attributes; fails where tags do not close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, tag
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("script", "style"):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def ids(self) -> list[str]:
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    return build(made_job(tmp_path_factory.mktemp("page")))


@pytest.fixture(scope="module")
def page(text: str) -> Parsed:
    return Parsed(text)


def test_everything_is_there(page: Parsed) -> None:
    for words in (
        "clip.mp4",
        "me.jpg",
        "0.64",  # likeness
        "+0.06",
        "nearer to the source",
        "Identity distance (training network)",
        "identity (training network)",
        "Jitter",
        "Coverage",
        "Occlusion",
        "Person 2",
        "a note of the muxer",
        "smooth.strength",
        "face_landmarker.task",
        "DIFFERENT",
        "Good: all 4 figures with a limit keep it",
    ):
        assert words in page.text, words
    lines = [a for a in page.all("path") if a.get("class", "").startswith("line p") and len(a["d"]) > 100]
    assert len(lines) == 4 * 2
    assert len([a for a in page.all("path") if a.get("class") == "cut"]) >= 4


def test_it_says_that_ai_was_at_work(page: Parsed) -> None:
    assert {"name": CONTAINER_KEY, "content": SOURCE_TYPE} in page.all("meta")
    assert "changed with AI" in page.text
    assert "compositeWithTrainedAlgorithmicMedia" in page.text


def test_nothing_comes_from_elsewhere(text: str, page: Parsed) -> None:
    addresses = re.findall(r"https?://[^\s\"'<]+", text)
    assert set(addresses) <= {SOURCE_TYPE}
    for tag, attributes in page.elements:
        for name in ("src", "href"):
            value = attributes.get(name, "data:")
            assert value.startswith(("data:", "#")), (tag, value[:60])
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag


def test_only_our_own_script_and_style_may_run(text: str, page: Parsed) -> None:
    (policy,) = [a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag, start in (("style", "<style>"), ("script", "<script>")):
        body = text.partition(start)[2].partition(f"</{tag}>")[0]
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_it_can_be_used_without_seeing(page: Parsed) -> None:
    assert len(set(page.ids)) == len(page.ids)
    for _, attributes in page.elements:
        for reference in attributes.get("aria-labelledby", "").split():
            assert reference in page.ids
    shown = [a for a in page.all("img") if a.get("width")]
    assert shown
    assert all(a["alt"] for a in shown)
    sliders = [a for a in page.all("div") if a.get("role") == "slider"]
    assert len(sliders) == 4
    assert all(a["tabindex"] == "0" and a["aria-label"] and a["aria-valuetext"] for a in sliders)
    (divider,) = [a for a in page.all("input") if a["type"] == "range"]
    assert divider["aria-label"]
    assert ("html", {"lang": "en"}) in page.elements


def test_names_are_text_and_nothing_else(tmp_path: Path) -> None:
    job = made_job(tmp_path, measured=False)
    name = EVIL.replace("/", "") + ".mp4"
    target = job.target.rename(tmp_path / name)
    rows = tuple(dataclasses.replace(one, reason=EVIL, swapped=one.pts > 600) for one in job.report.ledger)
    report = dataclasses.replace(job.report, notes=(EVIL,), ledger=rows, seconds={EVIL: 1.0})
    options = dataclasses.replace(job.options, method=EVIL)
    evil = dataclasses.replace(
        job, target=target, report=report, options=options, sources=(Path(name),), method=EVIL, device=EVIL
    )
    text = build(evil)
    page = Parsed(text)
    assert len(page.all("script")) == 2
    assert "<script>alert" not in text
    assert "{{7*7}}" in page.text
    assert name in page.text
    assert not [a for _, a in page.elements if any(key.startswith("on") for key in a)]


def test_a_name_that_is_no_text_is_shown_as_far_as_it_is(tmp_path: Path) -> None:
    job = made_job(tmp_path, measured=False)
    target = job.target.rename(tmp_path / "clip\udcff.mp4")
    page = Parsed(build(dataclasses.replace(job, target=target)))
    assert "clip?.mp4" in page.text


def test_no_folder_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "private-folder"
    folder.mkdir()
    job = made_job(folder, sources=(folder / "me.jpg",), measured=False)
    track = dataclasses.replace(job.options.track, reference=folder / "other.jpg")
    text = build(dataclasses.replace(job, options=dataclasses.replace(job.options, track=track)))
    assert "private-folder" not in text
    assert "other.jpg" in text


def _long(people: int, frames: int) -> tuple[LedgerRow, ...]:
    return tuple(ledger(frames, people))


def test_the_page_of_a_long_film_stays_small(tmp_path: Path) -> None:
    job = made_job(tmp_path, measured=False)
    report = dataclasses.replace(job.report, ledger=_long(6, 8000), shots=())
    text = build(dataclasses.replace(job, report=report))
    # Pictures are bounded on their own (test_report_frames); eight pairs of the largest fit as well.
    drawn = len(re.sub(r"data:image[^\"]+", "", text))
    assert drawn < 600_000
    assert drawn + 8 * 2 * (84_000 + 34_000) * 4 / 3 < 3.3e6


def test_a_picture_has_a_page_without_time(tmp_path: Path) -> None:
    target, output = picture(tmp_path / "a.png"), picture(tmp_path / "b.png")
    made = made_job(tmp_path, people=2, measured=False)
    rows = tuple(dataclasses.replace(one, pts=0, time_s=0.0) for one in made.report.ledger[:2])
    report = dataclasses.replace(made.report, output=output, ledger=rows, frames=1, shots=())
    page = Parsed(build(dataclasses.replace(made, command="image", target=target, report=report)))
    assert "Faces in the picture" in page.text
    assert "Over time" not in page.text
    assert not [a for a in page.all("div") if a.get("role") == "slider"]
    assert [a["class"] for a in page.all("button")] == ["moment"] * len(page.all("button"))


def test_several_sources_have_a_column_each(tmp_path: Path) -> None:
    job = made_job(tmp_path)
    assert job.evaluation is not None
    each = (
        PersonFigures(0, "anna.jpg", 30, {"likeness": 0.71}),
        PersonFigures(1, "<ben>.jpg", 30, {"likeness": 0.52, "jitter": 1.0}),
    )
    page = Parsed(
        build(dataclasses.replace(job, evaluation=dataclasses.replace(job.evaluation, people=each)))
    )
    for words in ("Person 1: anna.jpg", "Person 2: <ben>.jpg", "0.71", "0.52", "own source"):
        assert words in page.text
    assert "own source" not in Parsed(build(job)).text


def test_nothing_swapped_still_makes_a_page(tmp_path: Path) -> None:
    page = Parsed(build(made_job(tmp_path, left_out=range(30), measured=False)))
    assert "covered (30)" in page.text
    assert not page.all("figure")


def test_it_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    job = made_job(tmp_path)
    (tmp_path / "taken").mkdir()
    with pytest.raises(OutputError, match="taken cannot be written"):
        write_report(tmp_path / "taken", job)
    write_report(tmp_path / "r.html", job)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["clip.mp4", "out.mp4", "r.html", "taken"]


def test_words_that_are_no_text_do_not_stop_the_page(tmp_path: Path) -> None:
    job = made_job(tmp_path, notes=("sound of clip\udcff.mp4 is missing",))
    write_report(tmp_path / "r.html", job)
    assert "clip?.mp4 is missing" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_what_cannot_be_compared_still_makes_a_page(tmp_path: Path) -> None:
    """The clips show no faces, so the evaluation has nothing to say."""
    job = made_job(tmp_path, measured=False, sources=())
    write_report(tmp_path / "r.html", job)
    page = Parsed((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert "could not be compared" in page.text
    assert "no face in clip.mp4" in page.text
