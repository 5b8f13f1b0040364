"""Downloading from servers that drop the line, cut files short, redirect, and lie."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from faceswap_cli.errors import OutputError, PolicyError, UsageError, WeightsError
from faceswap_cli.weights import fetch, store
from faceswap_cli.weights.registry import Licence, WeightsRow, read_registry, row_of

CONTENT = bytes(range(256)) * 4000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Server:
    """What clients asked for, and the address."""

    address: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """(path, Range header)"""
    drops_left: int = 0

    def url(self, path: str) -> str:
        return self.address + path


class Handler(BaseHTTPRequestHandler):
    server_state: Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.server_state.asked.append((self.path, self.headers.get("Range", "")))
        behavior: Callable[[], None] = getattr(self, "serve_" + self.path.strip("/"), self.serve_missing)
        behavior()

    def wanted_start(self) -> int:
        wanted = self.headers.get("Range", "")
        return int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def ranged(self, body: bytes, send: int | None = None) -> None:
        """The rest of ``body`` from the wanted start, at most ``send`` bytes of it before the line drops."""
        start = self.wanted_start()
        rest = body[start:]
        headers = {"Content-Length": str(len(rest))}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        self.answer(206 if start else 200, headers, rest if send is None else rest[:send])

    def serve_missing(self) -> None:
        self.answer(404, {"Content-Length": "2"}, b"no")

    def serve_good(self) -> None:
        self.ranged(CONTENT)

    def serve_dropping(self) -> None:
        state = self.server_state
        state.drops_left -= 1
        self.ranged(CONTENT, None if state.drops_left < 0 else 150_000)

    def serve_dead(self) -> None:
        self.ranged(CONTENT, 0)

    def serve_norange(self) -> None:
        state = self.server_state
        state.drops_left -= 1
        sent = CONTENT if state.drops_left < 0 else CONTENT[:300_000]
        self.answer(200, {"Content-Length": str(len(CONTENT))}, sent)

    def serve_truncated(self) -> None:
        self.answer(200, {"Content-Length": "1000"}, CONTENT[:1000])

    def serve_unannounced(self) -> None:
        self.answer(200, {}, CONTENT[:5000] if self.server_state.drops_left > 0 else CONTENT)
        self.server_state.drops_left -= 1

    def serve_endless(self) -> None:
        self.answer(200, {}, CONTENT + b"more and more" * 1000)

    def serve_lying(self) -> None:
        self.ranged(CONTENT[:-1] + b"!")

    def serve_liarrange(self) -> None:
        if self.wanted_start():
            size = len(CONTENT)
            self.answer(206, {"Content-Range": f"bytes 0-{size - 1}/{size}"}, CONTENT)
        else:
            self.ranged(CONTENT, 100_000)

    def serve_moved(self) -> None:
        self.answer(302, {"Location": "/good", "Content-Length": "0"}, b"")

    def serve_round(self) -> None:
        self.answer(302, {"Location": "/round", "Content-Length": "0"}, b"")

    def serve_tofile(self) -> None:
        self.answer(302, {"Location": "file:///etc/hostname", "Content-Length": "0"}, b"")

    def serve_busy(self) -> None:
        self.answer(503, {"Content-Length": "0"}, b"")

    def serve_page(self) -> None:
        self.answer(200, {"Content-Type": "text/html", "Content-Length": "20"}, b"<html>sign in</html>")

    def serve_unsatisfiable(self) -> None:
        if self.wanted_start():
            self.answer(416, {"Content-Length": "0"}, b"")
        else:
            self.ranged(CONTENT)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()
    handler = type("Bound", (Handler,), {"server_state": state})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        state.address = f"http://127.0.0.1:{http.server_address[1]}/"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        http.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch.time, "sleep", lambda seconds: None)
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def row(*addresses: str, use: str = "commercial") -> WeightsRow:
    licence = Licence("MIT", use, "https://example.org/licence")
    return WeightsRow(
        "thing", "fslsd_celebahq_1024", "thing.pt", "A thing", "https://example.org", addresses, DIGEST,
        len(CONTENT), licence,
    )  # fmt: skip


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("path", ["good", "moved"])
def test_a_good_server(server: Server, tmp_path: Path, path: str) -> None:
    seen: list[tuple[int, int]] = []
    got = fetch.pull(row(server.url(path)), tmp_path, lambda done, total: seen.append((done, total)))
    assert got.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert leftovers(tmp_path) == ["thing.pt"]


def test_a_line_that_drops_is_resumed(server: Server, tmp_path: Path) -> None:
    server.drops_left = 6
    assert fetch.pull(row(server.url("dropping")), tmp_path).read_bytes() == CONTENT
    starts = [wanted for _, wanted in server.asked]
    assert starts[0] == ""
    assert starts[1] == "bytes=150000-"
    assert len(starts) == 7


def test_a_partial_file_of_an_earlier_run_is_continued(server: Server, tmp_path: Path) -> None:
    (tmp_path / f".thing.pt.{DIGEST[:12]}.part").write_bytes(CONTENT[:777_000])
    assert fetch.pull(row(server.url("good")), tmp_path).read_bytes() == CONTENT
    assert server.asked == [("/good", "bytes=777000-")]


@pytest.mark.parametrize("path", ["good", "norange", "unsatisfiable"])
def test_a_spoilt_partial_file_does_no_harm(server: Server, tmp_path: Path, path: str) -> None:
    (tmp_path / f".thing.pt.{DIGEST[:12]}.part").write_bytes(b"x" * 500_000)
    assert fetch.pull(row(server.url(path)), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("extra", [0, 10])
def test_a_partial_file_that_is_too_long_or_wrong_starts_afresh(
    server: Server, tmp_path: Path, extra: int
) -> None:
    (tmp_path / f".thing.pt.{DIGEST[:12]}.part").write_bytes(b"x" * (len(CONTENT) + extra))
    good = server.url("good")
    assert fetch.pull(row(good, good), tmp_path).read_bytes() == CONTENT


def test_a_server_without_ranges_starts_over(server: Server, tmp_path: Path) -> None:
    server.drops_left = 2
    assert fetch.pull(row(server.url("norange")), tmp_path).read_bytes() == CONTENT


def test_a_length_that_was_not_announced(server: Server, tmp_path: Path) -> None:
    server.drops_left = 1
    assert fetch.pull(row(server.url("unannounced")), tmp_path).read_bytes() == CONTENT


HOSTILE = {
    "missing": "answers 404",
    "truncated": "offers 1000 bytes",
    "endless": "more bytes than the file has",
    "lying": "not the announced file",
    "liarrange": "another range",
    "round": "redirect",
    "tofile": "file:///etc/hostname",
    "busy": "answers 503",
    "page": "offers 20 bytes",
    "dead": "thing",
}


@pytest.mark.parametrize("path", HOSTILE)
def test_the_next_mirror_is_taken(server: Server, tmp_path: Path, path: str) -> None:
    got = fetch.pull(row(server.url(path), server.url("good")), tmp_path)
    assert got.read_bytes() == CONTENT
    assert leftovers(tmp_path) == ["thing.pt"]


@pytest.mark.parametrize(("path", "reason"), HOSTILE.items())
def test_a_hostile_server_alone_is_an_error(server: Server, tmp_path: Path, path: str, reason: str) -> None:
    with pytest.raises(WeightsError, match=reason) as caught:
        fetch.pull(row(server.url(path)), tmp_path)
    assert caught.value.exit_code == 6
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "thing.pt").exists()
    assert len(server.asked) <= 12


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"127\.0\.0\.1:9: .*refused"):
        fetch.pull(row("http://127.0.0.1:9/x"), tmp_path)


@pytest.mark.parametrize("address", ["file:///etc/hostname", "ftp://example.org/x", "nonsense"])
def test_other_schemes_are_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(WeightsError, match="not an http or https address"):
        fetch.pull(row(address), tmp_path)


def test_no_address_says_where_to_go(tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"get thing\.pt from https://example\.org and run: faceswap weights"
    ):
        fetch.pull(row(), tmp_path)


def test_a_finished_download_is_not_repeated(server: Server, tmp_path: Path) -> None:
    (tmp_path / "thing.pt").write_bytes(CONTENT)
    assert fetch.pull(row(server.url("good")), tmp_path) == tmp_path / "thing.pt"
    assert server.asked == []


def test_a_full_disk_is_found_before_the_start(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 9, 100))  # type: ignore[attr-defined]
    with pytest.raises(OutputError, match="MiB free"):
        fetch.pull(row(server.url("good")), tmp_path)
    assert server.asked == []


def test_a_narrow_licence_must_be_allowed() -> None:
    with pytest.raises(PolicyError, match="--allow-license noncommercial"):
        fetch.check_licence(row(use="noncommercial"), "commercial")
    fetch.check_licence(row(use="noncommercial"), "noncommercial")
    fetch.check_licence(row(), "commercial")


def test_the_built_in_registry() -> None:
    rows = read_registry()
    assert set(rows) == {"psp-ffhq", "stylegan2-ffhq", "fslsd-1024"}
    assert all(entry.licence.use == "noncommercial" for entry in rows.values())
    with pytest.raises(UsageError, match="known are psp-ffhq"):
        row_of("pixie")


ENTRY = """{"name": "%s", "checkpoint": "fslsd_celebahq_1024", "file": "f.pt", "title": "t", "origin": "o",
 "addresses": %s, "sha256": "%s", "size": %s, "licence": {"name": "n", "class": "%s", "url": "u"}}"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read"),
        ("[]", "no list named weights"),
        ('{"weights": [3]}', "every entry is an object"),
        ('{"weights": [%s]}' % (ENTRY % ("A B", "[]", "", 0, "commercial")), "lower-case"),
        ('{"weights": [%s]}' % (ENTRY % ("../x", "[]", "", 0, "commercial")), "lower-case"),
        (
            '{{"weights": [{}]}}'.format((ENTRY % ("a", "[]", "", 0, "commercial")).replace("f.pt", "../f")),
            "plain file",
        ),
        ('{"weights": [%s]}' % (ENTRY % ("a", '["http://x"]', "12", 5, "commercial")), "64 hex digits"),
        ('{"weights": [%s]}' % (ENTRY % ("a", '["http://x"]', "a" * 64, 0, "commercial")), "size and sha256"),
        ('{"weights": [%s]}' % (ENTRY % ("a", "[]", "", '"big"', "commercial")), "number of bytes"),
        ('{"weights": [%s]}' % (ENTRY % ("a", '"http://x"', "", 5, "commercial")), "list of texts"),
        ('{"weights": [%s]}' % (ENTRY % ("a", "[]", "", 5, "public")), "license class"),
    ],
)
def test_a_spoilt_registry_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(UsageError, match=words):
        read_registry(tmp_path / "r.json")


def test_own_entries_are_added(tmp_path: Path) -> None:
    text = ENTRY % ("mine", '["http://x/y"]', DIGEST.upper(), 7, "commercial")
    (tmp_path / "r.json").write_text(f'{{"weights": [{text}]}}')
    found = row_of("mine", tmp_path / "r.json")
    assert (found.sha256, found.size, found.addresses) == (DIGEST, 7, ("http://x/y",))


def test_digest_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(CONTENT)
    assert store.file_sha256(tmp_path / "x") == DIGEST
