"""The input guard of the moment: its actions may change with the configuration."""

from collections.abc import Mapping, Sequence

from gateway.live import LiveConfig
from middleware.guard.guard import Report, Verdict


class LiveGuard:
    """Stands where a `Guard` stands; a request in flight keeps the verdict it has."""

    def __init__(self, live: LiveConfig) -> None:
        self._live = live

    def scan(self, text: str) -> Report:
        return self._live.current.guard.scan(text)

    def inspect(self, texts: Sequence[str]) -> Verdict:
        return self._live.current.guard.inspect(texts)

    def facts(self) -> Mapping[str, str]:
        """The actions, for `/health`."""
        return self._live.current.actions._asdict()
