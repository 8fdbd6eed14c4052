"""Noticing that the client has left while something is awaited on its behalf."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import Receive


class ClientLeft(Exception):
    """The client closed the connection before it had its answer."""


@asynccontextmanager
async def while_client_stays(receive: Receive) -> AsyncIterator[None]:
    """
    Run the block; cancel it and raise `ClientLeft` as soon as the server reports `http.disconnect`.

    Leave the block before the last byte is sent: afterwards servers report a disconnect for every request.
    """
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("while_client_stays needs a task")
    left = False

    async def watch() -> None:
        nonlocal left
        while (await receive())["type"] != "http.disconnect":
            continue
        left = True
        task.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if left and task.uncancel() == 0:
            raise ClientLeft from None
        raise
    finally:
        watcher.cancel()
