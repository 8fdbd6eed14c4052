"""The net under every layer: a bug becomes one clean 500 and one log line."""

import logging
import traceback

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from middleware.record import RECORD
from middleware.refusal import Refusal

log = logging.getLogger(__name__)


class CrashMiddleware:
    """
    Answer 500 to an exception nobody handled.

    The log names the exception's class and where it was raised. Its message is left out, as it may quote what the
    caller sent. If the answer had begun, the exception goes on to the server, which closes the connection: an answer
    cut short must not look whole.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        started = False

        async def send_noting_start(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, send_noting_start)
        except Exception as error:
            record = RECORD.get(scope)
            frames = traceback.extract_tb(error.__traceback__)
            where = " < ".join(f"{frame.filename}:{frame.lineno}" for frame in reversed(frames[-6:]))
            log.error("request %s crashed: %s at %s", record.request_id if record else "-", type(error).__name__, where)
            if started:
                raise
            await Refusal(500, "internal_error", "internal error")(scope, receive, send)
