"""Ask classifiers in order until one gives a verdict, and remember verdicts for a while."""

import asyncio
import hashlib
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from providers.classifiers.base import Assessment, Classifier
from providers.client import Client
from providers.errors import ProviderError

log = logging.getLogger(__name__)

CACHE_S = 300.0
CACHE_ENTRIES = 10_000


class ClassifierChain:
    """
    `timeout_s` bounds each classifier. Verdicts are kept in this process for `CACHE_S` seconds under a digest keyed
    with a secret of the process, so that neither texts nor guessable hashes of them are held.
    """

    def __init__(
        self,
        client: Client,
        classifiers: Sequence[Classifier],
        *,
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not classifiers:
            raise ValueError("at least one classifier is needed")
        self._client = client
        self._classifiers = tuple(classifiers)
        self._timeout_s = timeout_s
        self._clock = clock
        self._digest_key = secrets.token_bytes(32)
        self._verdicts: OrderedDict[bytes, tuple[float, Assessment]] = OrderedDict()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(classifier.name for classifier in self._classifiers)

    async def classify(self, texts: Sequence[str]) -> Assessment | None:
        """The verdict on the texts together; None when no classifier gave one."""
        text = "\n\n".join(texts)
        digest = hashlib.blake2b(text.encode(), key=self._digest_key, digest_size=16).digest()
        known = self._verdicts.get(digest)
        if known is not None and known[0] > self._clock():
            return known[1]
        for classifier in self._classifiers:
            try:
                async with asyncio.timeout(self._timeout_s):
                    reply = await self._client.send(classifier.encode(text))
                assessment = classifier.decode(reply)
            except (ProviderError, TimeoutError) as error:
                reason = error.reason if isinstance(error, ProviderError) else "timeout"
                log.warning("safety classifier gave no verdict: classifier=%s reason=%s", classifier.name, reason)
                continue
            self._remember(digest, assessment)
            return assessment
        return None

    def _remember(self, digest: bytes, assessment: Assessment) -> None:
        self._verdicts[digest] = (self._clock() + CACHE_S, assessment)
        self._verdicts.move_to_end(digest)
        if len(self._verdicts) > CACHE_ENTRIES:
            self._verdicts.popitem(last=False)
