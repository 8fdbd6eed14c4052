"""Ask classifiers in order until one gives a verdict, and remember verdicts for a while."""

import asyncio
import hashlib
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from providers.classifiers.base import Assessment, Classifier
from providers.classifiers.local import INLINE_CHARS, LocalClassifier
from providers.client import Client
from providers.errors import MalformedReply, ProviderError, RejectedRequest

log = logging.getLogger(__name__)

CACHE_S = 300.0
CACHE_ENTRIES = 10_000
FAILURES = 3
"""So many calls in a row without a verdict, and a classifier is left out for `PAUSE_S` seconds; then one call tries."""
PAUSE_S = 10.0
_OF_THE_TEXT = (MalformedReply, RejectedRequest)
"""
Failures that a text may cause: too long, or such that the model writes prose or does not finish. They count as nothing,
or whoever sends such a text three times would turn the classifier off for everybody.
"""

Leave = Literal["call", "probe"]
Observe = Callable[[str, Assessment | Literal["failed", "skipped"]], None]
"""Is told, by a classifier's name, of its verdict, or that it gave none, or was not asked as its breaker is open."""


@dataclass(slots=True)
class _Breaker:
    """Of one classifier, in this process: its silence must cost a request no time more than a few times."""

    failures: int = 0
    closed_again_at: float = 0.0

    def asks(self, now: float) -> Leave | None:
        """May it be asked? After a pause one call may, the probe, and others wait for what comes of it."""
        if self.failures < FAILURES:
            return "call"
        if now < self.closed_again_at:
            return None
        self.closed_again_at = now + PAUSE_S
        return "probe"

    def told(self, leave: Leave, now: float, *, failed: bool | None) -> None:
        """`failed` None: what came says nothing about the classifier, and a probe leaves its place to the next call."""
        if failed is None:
            if leave == "probe":
                self.closed_again_at = now
            return
        self.failures = self.failures + 1 if failed else 0
        self.closed_again_at = now + PAUSE_S


class ClassifierChain:
    """
    `timeout_s` bounds each classifier. Verdicts are kept in this process for `CACHE_S` seconds under a digest keyed
    with a secret of the process, so that neither texts nor guessable hashes of them are held. `observe` is not told of
    one that is remembered: nobody gave it then.
    """

    def __init__(
        self,
        client: Client,
        classifiers: Sequence[Classifier | LocalClassifier],
        *,
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
        observe: Observe = lambda name, outcome: None,
    ) -> None:
        if not classifiers:
            raise ValueError("at least one classifier is needed")
        self._client = client
        self._classifiers = tuple(classifiers)
        self._timeout_s = timeout_s
        self._clock = clock
        self._observe = observe
        self._digest_key = secrets.token_bytes(32)
        self._breakers = {classifier.name: _Breaker() for classifier in self._classifiers}
        self._verdicts: OrderedDict[bytes, tuple[float, Assessment]] = OrderedDict()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(classifier.name for classifier in self._classifiers)

    @property
    def states(self) -> Mapping[str, Literal["closed", "open"]]:
        """Of each classifier's breaker: `open` while it is left out."""
        now = self._clock()
        return {
            name: "open" if breaker.failures >= FAILURES and now < breaker.closed_again_at else "closed"
            for name, breaker in self._breakers.items()
        }

    async def classify(self, texts: Sequence[str]) -> Assessment | None:
        """The verdict on the texts together; None when no classifier gave one."""
        text = "\n\n".join(texts)
        digest = hashlib.blake2b(text.encode(), key=self._digest_key, digest_size=16).digest()
        known = self._verdicts.get(digest)
        if known is not None and known[0] > self._clock():
            return known[1]
        for classifier in self._classifiers:
            breaker = self._breakers[classifier.name]
            leave = breaker.asks(self._clock())
            if leave is None:
                self._observe(classifier.name, "skipped")
                continue
            failed: bool | None = None  # also when the caller leaves
            try:
                async with asyncio.timeout(self._timeout_s):
                    assessment = await self._ask(classifier, text)
                failed = False
            except (ProviderError, TimeoutError) as error:
                reason = error.reason if isinstance(error, ProviderError) else "timeout"
                log.warning("safety classifier gave no verdict: classifier=%s reason=%s", classifier.name, reason)
                self._observe(classifier.name, "failed")
                # The local one has no wire that could fail: what makes it late is a text of many megabytes.
                if not isinstance(classifier, LocalClassifier) and not isinstance(error, _OF_THE_TEXT):
                    failed = True
                continue
            finally:
                breaker.told(leave, self._clock(), failed=failed)
            self._observe(classifier.name, assessment)
            if not isinstance(classifier, LocalClassifier):  # the floor's word must not outlast an outage above it
                self._remember(digest, assessment)
            return assessment
        return None

    async def _ask(self, classifier: Classifier | LocalClassifier, text: str) -> Assessment:
        if not isinstance(classifier, LocalClassifier):
            return classifier.decode(await self._client.send(classifier.encode(text)))
        if len(text) <= INLINE_CHARS:
            return classifier.assess(text)
        return await asyncio.to_thread(classifier.assess, text)

    def _remember(self, digest: bytes, assessment: Assessment) -> None:
        self._verdicts[digest] = (self._clock() + CACHE_S, assessment)
        self._verdicts.move_to_end(digest)
        if len(self._verdicts) > CACHE_ENTRIES:
            self._verdicts.popitem(last=False)
