"""Constant scripts for Redis, and how they are run."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from redis.exceptions import NoScriptError, RedisError

from middleware.quota import LimiterUnavailable


class Script:
    """The files of that name, one after the other, and the name Redis knows them by."""

    def __init__(self, *names: str) -> None:
        self.text = "\n".join(Path(__file__).with_name(name).read_text("utf-8") for name in names)
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, redis: Any, args: Sequence[str | int]) -> Any:
        """One round trip, two when Redis has forgotten the script. Raises `LimiterUnavailable`."""
        try:
            try:
                # Not `register_script`: its wrappers cost as much as the call.
                return await redis.execute_command("EVALSHA", self.sha, *args)
            except NoScriptError:
                return await redis.execute_command("EVAL", self.text, *args)
        except (RedisError, OSError, TimeoutError) as error:
            raise LimiterUnavailable from error
