"""Logging: one line a record, as JSON or for a person."""

import logging
import time
from typing import Literal

import orjson

MAX_MESSAGE_CHARS = 8000


class JsonFormatter(logging.Formatter):
    """One JSON object a line. Control characters are escaped by JSON itself, U+2028 and U+2029 by us."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage()[:MAX_MESSAGE_CHARS],
        }
        if record.exc_info is not None and record.exc_info[0] is not None:
            # The message of an exception may quote a caller; its class may not.
            line["exception"] = record.exc_info[0].__name__
        text = orjson.dumps(line).decode()
        return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def configure_logging(level: str, form: Literal["json", "console"]) -> None:
    """Send everything to standard error in one form."""
    handler = logging.StreamHandler()
    if form == "json":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
