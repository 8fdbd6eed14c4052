"""The configuration that can change while the gateway runs: read whole, swapped whole or not at all."""

import asyncio
import logging
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, Self, TypeVar

from gateway.config_file import FileConfig, Unsupported, read_config
from gateway.key_records import DEFAULT_POLICY, NewTenant
from gateway.output_guard import OutputGuard
from gateway.policies import Policy
from gateway.safety import local_classifier
from gateway.services import configured_services
from gateway.settings import Settings, SettingsError
from middleware.guard.guard import Action, Guard
from middleware.safety import SafetyTerms, unsafe_categories
from providers.classifiers.local import LocalClassifier
from providers.pricing import Prices
from providers.routing import Latencies, Router

log = logging.getLogger(__name__)

A = TypeVar("A", bound=str)
_Look = tuple[int, int, int] | None


class GuardActions(NamedTuple):
    """What is done about each kind: what the policy says, else the policy `default`, else the variables."""

    injection: Action
    pii: Action
    secrets: Action
    sql: Action
    unread: Action


@dataclass(frozen=True, slots=True)
class PolicyTerms:
    """All that a policy consists of: what equal terms make is made once."""

    actions: GuardActions
    output: Action
    safety: SafetyTerms
    monitor: bool = False
    allow: tuple[str, ...] = ()
    patterns: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class LivePolicy:
    """A policy, and the guards that carry it out."""

    terms: PolicyTerms
    guard: Guard
    output: OutputGuard
    safety: SafetyTerms

    @classmethod
    def of(cls, terms: PolicyTerms, classifier: LocalClassifier | None) -> Self:
        """`classifier`: who judges answers, if their safety is judged at all."""
        actions, output, safety = terms.actions._asdict(), terms.output, terms.safety
        if terms.monitor:
            output, safety = _watching(output), safety._replace(action=_watching(safety.action))
        judge = None
        if classifier is not None and safety.action != "off":
            judge = partial(_unsafe, classifier, safety.threshold)
        return cls(
            terms,
            Guard(**actions, monitor=terms.monitor, allow=terms.allow, patterns=terms.patterns),
            OutputGuard(output, allow=terms.allow, judge=judge),
            safety,
        )


def _watching(action: A) -> A | Literal["flag", "off"]:
    return "off" if action == "off" else "flag"


def _unsafe(classifier: LocalClassifier, threshold: float, text: str) -> Sequence[str]:
    return unsafe_categories(classifier.assess(text), threshold)


@dataclass(frozen=True, slots=True)
class Routing:
    """
    One state of the configuration. A request takes it once and keeps it to its end.

    `generation` counts up from 1.
    """

    router: Router
    prices: Prices
    policies: Mapping[str, LivePolicy]
    """By name, `default` always among them."""
    unsupported: Unsupported
    generation: int
    tenants: Mapping[str, NewTenant] = field(default_factory=dict)
    """Those of the file, by id."""


class LiveConfig:
    """
    Holds the configuration made of settings, environment and, if there is one, the file at `path`.

    Raises `SettingsError` with every problem. `latencies` outlive reloads; a service's keys then begin with the first
    again, which nobody notices.
    """

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        path: Path | None = None,
        *,
        latencies: Latencies | None = None,
    ) -> None:
        self._settings = settings
        self._environment = environment
        self._path = None if path is None else path.absolute()
        self._latencies = latencies
        self._classifier = local_classifier(settings)
        self._lock = threading.Lock()
        self._seen: _Look = None
        self.current: Routing = self._build(None)
        self.last_loaded = time.time()
        """Unix time of the load that made `current`."""
        self.last_error: tuple[str, ...] = ()
        """Problems of the newest load, if it was refused."""

    def reload(self) -> Routing:
        """
        Read the file again and swap in what it says.

        Raises `SettingsError` with every problem, after logging each, and leaves `current` as it is. Reads a file and
        may take some ms: not for the event loop, where `asyncio.to_thread` serves.
        """
        with self._lock:
            try:
                routing = self._build(self.current)
            except SettingsError as error:
                self.last_error = tuple(error.problems)
                for problem in error.problems:
                    log.error("configuration refused, the old one stays: %s", problem)
                raise
            self.current = routing
            self.last_error = ()
            self.last_loaded = time.time()
            log.info("configuration loaded, generation %d", routing.generation)
            return routing

    @asynccontextmanager
    async def watch(self, *, interval_s: float = 1.0) -> AsyncIterator[None]:
        """
        Reload on SIGHUP and when the file has changed; nothing without a file.

        The signal is heard in the main thread only. A changed file is read when two looks in a row, `interval_s` apart,
        agree: it may be half written.
        """
        if self._path is None:
            yield
            return
        asked = asyncio.Event()
        task = asyncio.create_task(self._follow(self._path, asked, interval_s))
        with _on_hangup(asked.set):
            try:
                yield
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _follow(self, path: Path, asked: asyncio.Event, interval_s: float) -> None:
        before = self._seen
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(asked.wait(), interval_s)
            if asked.is_set():
                asked.clear()
                await self._reload_or_stay()
                continue
            look = await asyncio.to_thread(_look, path)
            if look != self._seen and look == before:
                await self._reload_or_stay()
            before = look

    async def _reload_or_stay(self) -> None:
        try:
            await asyncio.to_thread(self.reload)
        except SettingsError:
            pass  # told, and kept in `last_error`
        except Exception:
            # Whatever it is, the next change must still be seen.
            log.exception("the configuration could not be loaded, the old one stays")

    def _build(self, before: Routing | None) -> Routing:
        config = self._config()
        prices = Prices(config.prices)
        router = Router(
            config.services,
            aliases=config.aliases,
            strategy=config.strategy,
            sticky=config.sticky,
            latencies=self._latencies,
            prices=prices,
        )
        made = {} if before is None else {policy.terms: policy for policy in before.policies.values()}
        policies = {
            name: made.get(terms) or LivePolicy.of(terms, self._classifier)
            for name, terms in self._terms(config.policies).items()
        }
        generation = 1 if before is None else before.generation + 1
        return Routing(router, prices, policies, config.unsupported, generation, config.tenants)

    def _config(self) -> FileConfig:
        if self._path is None:
            return FileConfig(tuple(configured_services(self._settings, self._environment)))
        # Before it is read: what is written meanwhile is seen as a change.
        self._seen = _look(self._path)
        return read_config(
            self._path, self._environment, lambda: configured_services(self._settings, self._environment)
        )

    def _terms(self, policies: Mapping[str, Policy]) -> Mapping[str, PolicyTerms]:
        settings, default = self._settings, policies[DEFAULT_POLICY]
        injection = settings.injection_action if settings.enable_prompt_injection_check else "off"
        return {
            name: PolicyTerms(
                GuardActions(
                    injection=policy.injection or default.injection or injection,
                    pii=policy.pii or default.pii or settings.pii_action,
                    secrets=policy.secrets or default.secrets or settings.secrets_action,
                    sql=policy.sql or default.sql or settings.sql_action,
                    unread=policy.unread or default.unread or "flag",
                ),
                policy.output or default.output or settings.output_action,
                SafetyTerms(
                    policy.safety or default.safety or "block",
                    policy.toxicity_threshold or default.toxicity_threshold or settings.toxicity_threshold,
                ),
                policy.monitor,
                policy.allow,
                policy.patterns,
            )
            for name, policy in policies.items()
        }


def _look(path: Path) -> _Look:
    """What changes with the file: links are followed, as a mounted ConfigMap swaps one. None: it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


@contextmanager
def _on_hangup(call: Callable[[], None]) -> Iterator[None]:
    """Call it in the loop for each SIGHUP, and give the signal back afterwards."""
    if not hasattr(signal, "SIGHUP") or threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGHUP)
    loop.add_signal_handler(signal.SIGHUP, call)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        if before is not None:  # None: not installed by Python, which cannot give it back
            signal.signal(signal.SIGHUP, before)
