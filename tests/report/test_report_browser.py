"""The page in a real browser: it opens, the divider moves, the charts answer, nothing complains."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from faceswap_cli.report.write import build
from tests.report.made import made_job

browser = pytest.importorskip("tests.report.browser", reason="the browser is driven through POSIX pipes")


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Browser]:
    with browser.browsing(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    path = folder / "report.html"
    path.write_text(build(made_job(folder)), encoding="utf-8")
    return path


@pytest.fixture
def page(tab: browser.Browser, file: Path) -> Iterator[browser.Browser]:
    """The page, freshly opened; at the end its console is empty and it has asked nobody for anything."""
    tab.console.clear()
    tab.requests.clear()
    tab.open(file)
    yield tab
    assert tab.console == []
    assert [url for url in tab.requests if not url.startswith("data:")] == [file.resolve().as_uri()]


def cut(page: browser.Browser) -> float:
    """Where the divider stands, in per cent, as the picture itself is cut."""
    found = page.run("getComputedStyle(document.getElementById('after')).clipPath")
    return float(found.split()[-1].rstrip("%)"))


def test_it_opens_with_pictures_and_lines(page: browser.Browser) -> None:
    assert page.run("document.title") == "Swap report: clip.mp4"
    assert page.run("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert page.run("[...document.querySelectorAll('.area path.line')].every(p => p.getTotalLength() > 500)")
    assert page.run("document.querySelectorAll('.area path.line').length") == 8
    assert cut(page) == 50


def test_the_mouse_moves_the_divider(page: browser.Browser) -> None:
    x, y, width, height = page.box("#pair")
    page.mouse("mousePressed", x + width * 0.5, y + height / 2, held=True)
    for share in (0.6, 0.7, 0.8):
        page.mouse("mouseMoved", x + width * share, y + height / 2, held=True)
    page.mouse("mouseReleased", x + width * 0.8, y + height / 2)
    assert cut(page) == pytest.approx(80, abs=0.5)
    page.mouse("mouseMoved", x + width * 0.2, y + height / 2)
    assert cut(page) == pytest.approx(80, abs=0.5), "it stays when the button is up"


def test_keys_move_the_divider(page: browser.Browser) -> None:
    page.run("document.getElementById('divider').focus()")
    page.key("ArrowRight")
    page.key("ArrowRight")
    assert cut(page) == 52
    page.key("Home")
    assert cut(page) == 0
    assert "100 %" in page.run("document.getElementById('divider').getAttribute('aria-valuetext')")


def test_a_finger_moves_the_divider(tab: browser.Browser, file: Path) -> None:
    tab.console.clear()
    tab.open(file, width=320, height=640, phone=True)
    x, y, width, height = tab.box("#pair")
    tab.touch("touchStart", (x + width * 0.5, y + height / 2))
    for share in (0.45, 0.35, 0.25):
        tab.touch("touchMove", (x + width * share, y + height / 2))
    tab.touch("touchEnd")
    assert cut(tab) == pytest.approx(25, abs=1)
    assert tab.console == []


def test_a_hard_frame_is_shown_above(page: browser.Browser) -> None:
    before = page.run("document.getElementById('before').src")
    page.click(".strip li:nth-child(3) .moment")
    assert page.run("document.getElementById('before').src") != before
    assert page.run("document.querySelectorAll('[aria-pressed=true]').length") == 1
    why = page.run("document.querySelector('.strip li:nth-child(3) .why').textContent")
    assert why in page.run("document.getElementById('caption').textContent")
    page.run("document.querySelector('input[value=face]').click()")
    face = page.run("document.querySelector('.strip li:nth-child(3) .a').src")
    assert page.run("document.getElementById('after').src") == face
    _, _, width, height = page.box("#pair")
    assert width == pytest.approx(height, abs=1)


def test_charts_name_their_values(page: browser.Browser) -> None:
    x, y, width, height = page.box("[data-chart=identity]")
    page.mouse("mouseMoved", x + width / 2, y + height / 2)
    said = page.run("document.querySelector('[data-value=identity]').textContent")
    assert said.startswith("0:00.6 Person 1 0.38")
    assert "Person 2 0.47" in said
    assert page.run("document.querySelector('[data-value=coverage]').textContent").endswith("Person 2 100%")
    page.run("document.querySelector('[data-chart=jitter]').focus()")
    page.key("Home")
    assert page.run("document.activeElement.getAttribute('aria-valuetext')").startswith("0:00.0 Person 1")
    page.key("End")
    assert page.run("document.activeElement.getAttribute('aria-valuenow')") == "1.200"


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_sticks_out(tab: browser.Browser, file: Path, width: int) -> None:
    tab.open(file, width=width, height=700, phone=width < 700)
    assert tab.run("document.documentElement.scrollWidth") <= width
    small = tab.run(
        "[...document.querySelectorAll('button, summary, .views label, input[type=range]')]"
        ".filter(e => e.id !== 'divider' && e.getBoundingClientRect().height < 24).length"
    )
    assert small == 0, "targets for a finger are at least 24 pixels high"


CONTRAST = """
(() => {
  const parse = (c) => c.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
  const paper = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] > 0.5) return c;
    }
    return [255, 255, 255];
  };
  let worst = 99;
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.getClientRects().length || e.closest('script, style, .skip, .off')) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(paper(e))];
    worst = Math.min(worst, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
  }
  return worst;
})()
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(page: browser.Browser, scheme: str) -> None:
    page.media(scheme=scheme)
    dark = page.run("getComputedStyle(document.body).backgroundColor") == "rgb(19, 20, 24)"
    assert dark == (scheme == "dark")
    assert page.run(CONTRAST) >= 4.5
    page.media()


def test_it_can_be_printed(page: browser.Browser) -> None:
    sheet = page.pdf()
    assert sheet.startswith(b"%PDF")
    assert (
        2 <= sheet.count(b"/Type /Page\n") + sheet.count(b"/Type /Page/") + sheet.count(b"/Type /Page ") <= 8
    )


def test_it_stands_without_scripts(tab: browser.Browser, file: Path) -> None:
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.open(file)
        _, _, width, height = tab.box("#pair")
        assert width > 300
        assert height > 200
        assert cut(tab) == 50
    finally:
        tab.call("Emulation.setScriptExecutionDisabled", value=False)
