"""Runs a notebook from top to bottom: python notebook_runner.py IN OUT. States on stderr which cell has begun."""

from __future__ import annotations

import sys
from queue import Empty
from typing import Any

import nbclient
import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.asynchronous import AsyncKernelClient
from jupyter_client.channels import AsyncZMQSocketChannel
from traitlets import Type

LOOK_AGAIN_S = 0.5


class ShellChannel(AsyncZMQSocketChannel):
    """The channel of requests and replies, looked at again and again while a reply is awaited.

    Notes
    -----
    nbclient sends on this socket whenever an output widget shows something, and the send takes the socket's wake-up
    with it (zmq signals a message once). A reply that arrives in that moment lies in the socket, unnoticed:
    the client waits for ever beside an idle kernel. On a busy machine that befell one run in twenty.
    """

    async def get_msg(self, timeout: float | None = None) -> dict[str, Any]:
        """The next message; without a timeout, however long it takes."""
        while timeout is None:
            try:
                return await super().get_msg(LOOK_AGAIN_S)
            except Empty:
                continue
        return await super().get_msg(timeout)


class Client(AsyncKernelClient):
    shell_channel_class = Type(ShellChannel)


class Manager(AsyncKernelManager):
    client_factory = Type(Client)


def tell(cell: nbformat.NotebookNode, cell_index: int) -> None:
    """Say where the run has come to."""
    print(f"cell {cell_index}: {cell.source.partition(chr(10))[0]}", file=sys.stderr, flush=True)


def main(source: str, target: str) -> None:
    """Run a notebook and write it with its outputs; the first error of a cell ends it."""
    notebook = nbformat.read(source, 4)
    nbclient.NotebookClient(
        notebook,
        kernel_name="python3",
        kernel_manager_class=Manager,
        timeout=None,  # whoever starts this has a limit for the whole
        startup_timeout=60,
        iopub_timeout=20,  # then what has been shown so far is all
        on_cell_execute=tell,
    ).execute()
    nbformat.write(notebook, target)


if __name__ == "__main__":
    main(*sys.argv[1:])
