"""Downloading one file: resumed where it was cut, checked before it counts, never more than was asked for."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urljoin, urlsplit

from premodel.errors import DownloadError, ModelError, OptionError

SCHEMES = ("http", "https")
MAX_REDIRECTS = 10
MAX_STALLED = 4
"""Attempts in a row that bring nothing new before a download is given up."""
DEFAULT_MAX_BYTES = 2 << 30
TIMEOUT_S = (10.0, 30.0)
"""To connect, and to wait for the next byte."""
CHUNK_BYTES = 1 << 14
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})


class Unreachable(DownloadError):  # noqa: N818
    """No connection could be made at all."""


class Interrupted(Exception):  # noqa: N818
    """The whole pull was asked to stop; the part that came is kept."""


class _Cut(Exception):  # noqa: N818
    """The attempt ended early; another may go on."""


@dataclass
class Hosts:
    """What is known of the servers of one pull, shared by its downloads.

    Attributes
    ----------
    reached:
        Hosts that answered once.
    unreachable:
        Hosts that could not be reached at all, with the reason: nobody waits for them twice.
    """

    reached: set[str] = field(default_factory=set)
    unreachable: dict[str, str] = field(default_factory=dict)


class Part:
    """The unfinished file beside its goal: `<goal>.part`, and a note of the version that it belongs to."""

    def __init__(self, goal: Path) -> None:
        self.file = goal.with_name(goal.name + ".part")
        self._note = goal.with_name(goal.name + ".part.json")

    def size(self, url: str) -> int:
        """Bytes that can be gone on from; 0 if there are none, or they came from another url."""
        try:
            said = self._said()
            same = said.get("url_sha256") == _sha256(url) or said.get("url") == url  # as earlier versions noted it
            return self.file.stat().st_size if same else 0
        except OSError:
            return 0

    @property
    def validator(self) -> str | None:
        """What If-Range may name: a strong ETag, else the date of the last change."""
        etag, changed = self._said().get("etag"), self._said().get("last_modified")
        if isinstance(etag, str) and not etag.startswith("W/"):
            return etag
        return changed if isinstance(changed, str) else None

    @property
    def etag(self) -> Any:
        """The ETag of the version that the part belongs to."""
        return self._said().get("etag")

    def begin(self, url: str, headers: Any) -> None:
        """Start again from nothing."""
        self.remove()
        said = {"url_sha256": _sha256(url), "etag": headers.get("ETag"), "last_modified": headers.get("Last-Modified")}
        self._note.write_text(json.dumps(said))

    def finish(self, output: Path) -> None:
        """Move the complete file to `output`."""
        self.file.replace(output)
        self._note.unlink(missing_ok=True)

    def remove(self) -> None:
        """Forget what came."""
        self.file.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def _said(self) -> dict[str, Any]:
        try:
            said = json.loads(self._note.read_text())
        except (OSError, ValueError):
            return {}
        return said if isinstance(said, dict) else {}


def _sha256(url: str) -> str:
    """What tells one URL from another, without the secrets in it."""
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()


class ResumingDownloader:
    """A download that goes on where the last attempt, or the last run, was cut.

    The part that came lies beside the goal. It is gone on from with a Range request, guarded by If-Range where the
    server named a version, and thrown away when the server refuses ranges, has another version by now, or sends
    something else than was asked for. The complete file is checked before it is handed over: a resumed one that is
    wrong is fetched once more from the beginning, a whole one that is wrong is removed.

    Parameters
    ----------
    goal:
        Where the file will lie in the end.
    check:
        Raises ModelError if the file at a path is not the one wanted.
    max_bytes:
        Bytes that a file may have.
    hosts:
        Shared by all downloads of a pull.
    stop:
        Set from outside to end it; the part is kept.
    advance:
        Called with the bytes at hand, whenever some came.
    pause_s:
        Before the second attempt; doubled with every attempt that brings nothing.
    """

    def __init__(
        self,
        goal: Path,
        check: Callable[[Path], None],
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        hosts: Hosts | None = None,
        stop: Event | None = None,
        advance: Callable[[int], None] | None = None,
        pause_s: float = 0.5,
    ) -> None:
        self.resumed_from = 0
        self._part = Part(goal)
        self._check = check
        self._max_bytes = max_bytes
        self._hosts = hosts or Hosts()
        self._stop = stop or Event()
        self._advance = advance or (lambda _: None)
        self._pause_s = pause_s

    def __call__(self, url: str, output_file: str | Path) -> None:
        """Download `url` to `output_file`.

        Raises
        ------
        DownloadError
            The server cannot be reached, refuses, or keeps cutting the connection. The part is kept.
        ModelError
            What came is not what was wanted.
        OptionError
            The url, or a redirect, is not http or https, or the file is larger than allowed.
        """
        host = urlsplit(url).netloc
        if host in self._hosts.unreachable:
            raise Unreachable("server cannot be reached", where=url, given=self._hosts.unreachable[host])
        self.resumed_from = self._part.size(url)
        if self._complete(url):
            try:
                self._check(self._part.file)
            except ModelError:  # the part may be of another version: once more, from the beginning
                self._part.remove()
                self._complete(url)
                self._check_whole()
        else:
            self._check_whole()
        self._part.finish(Path(output_file))

    def _check_whole(self) -> None:
        try:
            self._check(self._part.file)
        except ModelError:
            self._part.remove()
            raise

    def _complete(self, url: str) -> bool:
        """Attempt until every byte is there; returns whether the last attempt went on from a part."""
        best, stalled = self._part.size(url), 0
        while True:
            try:
                return self._attempt(url) > 0
            except _Cut as cut:
                at_hand = self._part.size(url)
                stalled = 0 if at_hand > best else stalled + 1
                best = max(best, at_hand)
                if stalled >= MAX_STALLED:
                    raise DownloadError(
                        f"download was cut {stalled} times without getting further ({cut})",
                        where=url,
                        do=f"{at_hand} bytes are kept; the same command goes on from there",
                    ) from cut
                if self._stop.wait(self._pause_s * (2**stalled - 1)):
                    raise Interrupted from cut

    def _attempt(self, url: str) -> int:
        """One request; the offset from which the file was completed, or _Cut."""
        import requests

        offset = self._part.size(url)
        headers = {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if self._part.validator is not None:
                headers["If-Range"] = self._part.validator
        with requests.Session() as session, self._get(session, url, headers) as response:
            status = response.status_code
            if status == 416 and offset:
                if _range(response)[1] == offset:
                    return offset
                self._part.remove()
                raise _Cut("the server has no such range")
            if status == 206:
                if _range(response)[0] != offset or self._is_another(response):
                    self._part.remove()
                    raise _Cut("the server sent another range or version than was asked for")
            elif status == 200:
                offset = self.resumed_from = 0
                self._part.begin(url, response.headers)
            elif status in TRANSIENT:
                raise _Cut(f"{status} {response.reason}")
            else:
                raise DownloadError("server refused", where=url, given=f"{status} {response.reason}")
            self._receive(response, url, offset)
        return offset

    def _is_another(self, response: Any) -> bool:
        etag = response.headers.get("ETag")
        return bool(_encoded(response) or (etag and self._part.etag and etag != self._part.etag))

    def _get(self, session: Any, url: str, headers: dict[str, str]) -> Any:
        """The response at the end of the redirects."""
        import requests

        first, host = url, urlsplit(url).netloc
        for _ in range(MAX_REDIRECTS):
            check_url(url, first)
            try:
                response = session.get(url, headers=headers, stream=True, timeout=TIMEOUT_S, allow_redirects=False)
            except requests.ConnectionError as error:
                if not _unreachable(error) or host in self._hosts.reached:
                    raise _Cut(_reason(error)) from error
                self._hosts.unreachable[host] = _reason(error)
                raise Unreachable("server cannot be reached", where=url, given=_reason(error)) from error
            except requests.Timeout as error:
                raise _Cut(_reason(error)) from error
            except (requests.RequestException, ValueError) as error:
                raise DownloadError("request failed", where=url, given=_reason(error)) from error
            self._hosts.reached.add(host)
            if not response.is_redirect:
                return response
            target = urljoin(url, response.headers["Location"])
            response.close()
            if urlsplit(url).scheme == "https" and urlsplit(target).scheme == "http":
                raise OptionError("redirect from https to http refused", where=first, given=target, allowed="https")
            url, host = target, urlsplit(target).netloc
        raise DownloadError("too many redirects", where=first, allowed=f"up to {MAX_REDIRECTS}")

    def _receive(self, response: Any, url: str, offset: int) -> None:
        """Append the body to the part; _Cut if it ends early."""
        import requests

        length = response.headers.get("Content-Length", "")
        total = offset + int(length) if length.isdigit() and not _encoded(response) else None
        self._check_size(url, total or 0)
        size = offset
        try:
            # Unbuffered, so that whatever came is on its way to the disk when the process is killed.
            with self._part.file.open("ab", buffering=0) as stream:
                for chunk in response.iter_content(CHUNK_BYTES):
                    if self._stop.is_set():
                        raise Interrupted
                    size += len(chunk)
                    self._check_size(url, size)
                    stream.write(chunk)
                    self._advance(size)
        except requests.RequestException as error:
            if _encoded(response):
                self._part.remove()  # decoded bytes have no place in the server's ranges
            raise _Cut(_reason(error)) from error
        if total is not None and size != total:
            raise _Cut(f"{size} of {total} bytes came")

    def _check_size(self, url: str, size: int) -> None:
        if size > self._max_bytes:
            self._part.remove()
            raise OptionError(
                "file is too large", where=url, given=f"{size} bytes or more", allowed=f"up to {self._max_bytes} bytes"
            )


def check_url(url: str, first: str | None = None) -> None:
    """Raise OptionError unless a url is http or https and names a server; `first` is the one that led here."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in SCHEMES and bool(parts.hostname)
    except ValueError:
        fits = False
    if not fits:
        what = "url refused" if first in (None, url) else "redirect refused"
        raise OptionError(what, where=first, given=url, allowed="http:// and https:// urls")


def _encoded(response: Any) -> bool:
    return str(response.headers.get("Content-Encoding", "identity")).lower() != "identity"


def _range(response: Any) -> tuple[int | None, int | None]:
    """First byte and total size that Content-Range names, each None where it does not."""
    found = re.fullmatch(
        r"bytes\s+(?:(\d+)-\d+|\*)/(\d+|\*)", response.headers.get("Content-Range", "").strip(), re.IGNORECASE
    )
    if found is None:
        return None, None
    first, total = found.groups()
    return (int(first) if first else None), (int(total) if total.isdigit() else None)


def _unreachable(error: Any) -> bool:
    """No connection was made at all: no network, no such host, nobody listening."""
    import requests
    from urllib3.exceptions import NewConnectionError

    if isinstance(error, requests.exceptions.ConnectTimeout | requests.exceptions.ProxyError):
        return True
    inner = error.args[0] if error.args else None
    return isinstance(getattr(inner, "reason", None), NewConnectionError)


def _reason(error: BaseException) -> str:
    """The innermost cause, in a few words."""
    inner: Any = error
    for _ in range(8):
        deeper = getattr(inner, "reason", None)
        if not isinstance(deeper, BaseException):
            deeper = next((part for part in inner.args if isinstance(part, BaseException)), None)
        if deeper is None:
            break
        inner = deeper
    text = re.sub(r"^(<[^>]*>|HTTPS?Connection\([^)]*\)): ", "", str(inner))
    return text or type(inner).__name__
