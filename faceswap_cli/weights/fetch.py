"""Download one registry entry: mirrors in turn, partial files resumed, size and digest verified.

The server is not trusted: it may drop the line, cut the file short, send more than was announced, ignore or
mislabel a range, redirect, or send something else altogether.  Only a file with the registry's digest is
ever given its name.
"""

from __future__ import annotations

import http.client
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from faceswap_cli import __version__
from faceswap_cli.errors import PolicyError, WeightsError
from faceswap_cli.weights.registry import WeightsRow
from faceswap_cli.weights.store import file_sha256, make_room

_BLOCK = 1 << 18
_TIMEOUT_S = 30.0
_TRIES = 4
"""Per mirror; a try that brought new bytes does not count."""
Progress = Callable[[int, int], None]


class _Refused(Exception):
    """This mirror is of no use; the next one is tried."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = " ".join(reason.split())


class _NoDowngrade(urllib.request.HTTPRedirectHandler):
    """Follows redirects within http and https, never from https back to http."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        scheme = urllib.parse.urlsplit(newurl).scheme
        if scheme not in ("http", "https") or (req.type == "https" and scheme == "http"):
            raise _Refused(f"redirects to {scheme or 'nowhere'}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def check_licence(row: WeightsRow, allowed: str) -> None:
    """Refuse a file whose license is narrower than what the user allows."""
    if row.licence.use == "noncommercial" and allowed != "noncommercial":
        raise PolicyError(
            f"{row.name} may not be used commercially ({row.licence.name}, {row.licence.url}); "
            "say --allow-license noncommercial if your use is not commercial"
        )


def pull(row: WeightsRow, folder: Path, progress: Progress = lambda done, total: None) -> Path:
    """Download ``row`` into ``folder`` and return the verified file."""
    if not row.addresses:
        raise WeightsError(
            f"no address with a published digest is known for {row.name}; get {row.file} from {row.origin} "
            f"and run: faceswap weights import {row.file}"
        )
    target, part = folder / row.file, folder / f".{row.file}.{row.sha256[:12]}.part"
    make_room(folder, row.size)
    if target.is_file() and target.stat().st_size == row.size and file_sha256(target) == row.sha256:
        return target
    refusals: list[str] = []
    for address in row.addresses:
        try:
            _from_mirror(address, row, part, progress)
        except _Refused as refused:
            refusals.append(f"{_host(address)}: {refused.reason}")
            continue
        part.replace(target)
        return target
    raise WeightsError(
        f"{row.name} could not be fetched; {'; '.join(refusals)}; try again or import it by hand"
    )


def _host(address: str) -> str:
    return urllib.parse.urlsplit(address).netloc or address


def _from_mirror(address: str, row: WeightsRow, part: Path, progress: Progress) -> None:
    """Fill ``part`` from one mirror until it is whole and right, or refuse."""
    if urllib.parse.urlsplit(address).scheme not in ("http", "https"):
        raise _Refused("not an http or https address")
    tries, reason = 0, "nothing came"
    while tries < _TRIES:
        have = part.stat().st_size if part.is_file() else 0
        if have >= row.size:
            if have == row.size and file_sha256(part) == row.sha256:
                return
            part.unlink()
            if have > row.size or tries:
                raise _Refused("what it sent is not the announced file (size or sha256 differs)")
            tries += 1  # A stale part from elsewhere may be to blame: once more from the start.
            continue
        try:
            _continue(address, row, part, have, progress)
        except (OSError, http.client.HTTPException) as error:
            reason = _why(error)
        now = part.stat().st_size if part.is_file() else 0
        if now <= have:
            tries += 1
            time.sleep(0.05 * 4**tries if tries < _TRIES else 0)
    raise _Refused(reason)


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    text = str(reason) or type(reason).__name__
    return " ".join(text.split())


def _continue(address: str, row: WeightsRow, part: Path, have: int, progress: Progress) -> None:
    """One request for the rest of the file, appended to ``part``."""
    headers = {"User-Agent": f"faceswap-cli/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    opener = urllib.request.build_opener(_NoDowngrade)
    try:
        with opener.open(urllib.request.Request(address, headers=headers), timeout=_TIMEOUT_S) as answer:
            start = _start_of(answer, have, row.size)
            _append(answer, part, start, row.size, progress)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416:
                part.unlink(missing_ok=True)
                raise OSError("the server does not have this range") from error
            if error.code < 500 and error.code not in (408, 429):
                raise _Refused(f"answers {error.code} {error.reason}") from error
            raise OSError(f"answers {error.code} {error.reason}") from error


def _start_of(answer: Any, have: int, size: int) -> int:
    """Where the bytes of ``answer`` belong; refuses what is announced as another file."""
    announced = answer.headers.get("Content-Length", "")
    if answer.status == 206:
        found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", answer.headers.get("Content-Range", "").strip())
        if found is None or int(found[1]) != have or found[3] not in ("*", str(size)):
            raise _Refused("sends another range than was asked for")
        return have
    if answer.status != 200:
        raise _Refused(f"answers {answer.status}")
    if announced.isdigit() and int(announced) != size:
        raise _Refused(f"offers {announced} bytes, {size} expected")
    return 0


def _append(answer: Any, part: Path, start: int, size: int, progress: Progress) -> None:
    """Write the body at ``start``; more bytes than the file may have are never stored."""
    with part.open("r+b" if part.exists() else "wb") as out:
        out.truncate(start)
        out.seek(start)
        done = start
        while block := answer.read(_BLOCK):
            done += len(block)
            if done > size:
                out.truncate(0)
                raise _Refused("sends more bytes than the file has")
            out.write(block)
            progress(done, size)
