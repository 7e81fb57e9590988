"""`premodel agent` within a test's process, and the manifest of the workstation that goes with a board's.

`from agents import agent, board_manifest` in any test.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from premodel.serving.agent import make_agent
from premodel.serving.board import Board
from premodel.serving.limits import Limits
from premodel.serving.server import open_socket, url_of
from premodel.zoo.manifest import read_zoo


@contextmanager
def serving_app(app: ASGIApp, port: int = 0, **config: Any) -> Generator[str]:
    """An app served by a thread of this process; gives its URL."""
    with open_socket("127.0.0.1", port) as listener:
        tls = "ssl_certfile" in config
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, log_level="critical", lifespan="on", **config))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield url_of(listener, tls=tls)  # it listens already: connections wait until it serves
        finally:
            server.should_exit = True
            thread.join(60)


@contextmanager
def agent(
    zoo: Path,
    token: str | None = None,
    port: int = 0,
    trust_python: bool = False,
    embedding: bool = False,
    **config: Any,
) -> Generator[str]:
    """The URL of an agent that offers a zoo."""
    limits, offered = Limits(), read_zoo(zoo, require_files=True, trust_python=trust_python)
    app = make_agent(Board(offered, limits, embedding=embedding), limits, token)
    with serving_app(app, port, **config) as url:
        yield url


def board_manifest(zoo: Path, url: str, name: str = "board.toml", **settings: Any) -> Path:
    """The manifest in which a zoo's models are on a server at `url`, beside the zoo's own."""
    text = zoo.read_text()
    runtime = re.findall(r'runtime = "(\w+)"', text)[0]
    said = {"remote_runtime": runtime, **settings}
    table = ", ".join(f"{key} = {json.dumps(value)}" for key, value in said.items() if value is not None)
    text = text.replace(f'runtime = "{runtime}"', f'runtime = "oip"\nurl = "{url}"\nsettings = {{ {table} }}')
    path = zoo.with_name(name)
    path.write_text(text)
    return path
