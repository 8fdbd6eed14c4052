"""Noticing that the client has left while something is awaited on its behalf."""

import asyncio
from types import TracebackType

from starlette.types import Receive


class ClientLeft(Exception):
    """The client closed the connection before it had its answer."""


class while_client_stays:
    """
    Run the block; cancel it and raise `ClientLeft` as soon as the server reports `http.disconnect`.

    Leave the block before the last byte is sent: afterwards servers report a disconnect for every request. A class and
    not a generator, which would cost a tenth of what the layers cost together.
    """

    __slots__ = ("_left", "_receive", "_task", "_watcher")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._left = False

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("while_client_stays needs a task")
        self._task = task
        self._watcher = asyncio.create_task(self._watch())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watcher.cancel()
        if self._left and isinstance(error, asyncio.CancelledError) and self._task.uncancel() == 0:
            raise ClientLeft from None

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            continue
        self._left = True
        self._task.cancel()
