"""A server on the loopback that misbehaves as reported."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Page:
    """What lies at a path, and how it is served.

    Attributes
    ----------
    content:
        The bytes.
    cuts:
        Bytes after which each successive answer breaks off; answers after the last one are whole.
    ranges:
        Answer Range requests with 206; else always with 200 and everything.
    etag:
        None to name no version.
    statuses:
        Sent in place of the first answers.
    redirect:
        Where to send the client.
    changes_to:
        The content, from the second answer on.
    declared:
        A Content-Length to lie with.
    wrong_range:
        Answer a Range request with bytes from the start, saying so.
    silent:
        Where an answer is cut, say nothing more instead of closing the connection.
    """

    content: bytes = b""
    cuts: list[int] = field(default_factory=list)
    ranges: bool = True
    etag: bool = True
    statuses: list[int] = field(default_factory=list)
    redirect: str = ""
    changes_to: bytes | None = None
    declared: int | None = None
    wrong_range: bool = False
    silent: bool = False
    requests: list[dict[str, str]] = field(default_factory=list)


class FlakyServer:
    """Pages by path."""

    def __init__(self, port: int) -> None:
        self.pages: dict[str, Page] = {}
        self.url = f"http://127.0.0.1:{port}"

    def add(self, path: str, content: bytes = b"", **how: Any) -> str:
        """Put a page there; gives its url."""
        self.pages[path] = Page(content, **how)
        return self.url + path


@contextmanager
def flaky_server() -> Iterator[FlakyServer]:
    """Serve in a thread."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            page = server.pages.get(self.path)
            if page is None:
                self.answer(404, {"Content-Length": "0"}, b"")
                return
            page.requests.append(dict(self.headers))
            if page.statuses:
                self.answer(page.statuses.pop(0), {"Content-Length": "0"}, b"")
            elif page.redirect:
                self.answer(302, {"Location": page.redirect, "Content-Length": "0"}, b"")
            else:
                self.send_page(page)

        def send_page(self, page: Page) -> None:
            if page.changes_to is not None and len(page.requests) > 1:
                page.content = page.changes_to
            content = page.content
            headers = {}
            etag = f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
            if page.etag:
                headers["ETag"] = etag
            start, status = 0, 200
            wanted = self.headers.get("Range", "")
            if page.ranges and wanted and self.headers.get("If-Range", etag) == etag:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if start >= len(content):
                    self.answer(416, {"Content-Range": f"bytes */{len(content)}", "Content-Length": "0"}, b"")
                    return
                start = 0 if page.wrong_range else start
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
                status = 206
            body = content[start:]
            headers["Content-Length"] = str(page.declared or len(body))
            cut = page.cuts.pop(0) if page.cuts else None
            self.answer(status, headers, body[:cut])
            if cut is not None:
                if page.silent:
                    self.wfile.flush()
                    over.wait()
                self.close_connection = True

        def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server = FlakyServer(http.server_port)
        http.daemon_threads = True
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            over.set()
            http.shutdown()
            thread.join()
