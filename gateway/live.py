"""The configuration that can change while the gateway runs: read whole, swapped whole or not at all."""

import asyncio
import logging
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from gateway.config_file import FileConfig, Unsupported, read_config
from gateway.key_records import DEFAULT_POLICY, NewTenant
from gateway.policies import Policy
from gateway.services import configured_services
from gateway.settings import Settings, SettingsError
from middleware.guard.guard import Action, Guard
from providers.pricing import Prices
from providers.routing import Latencies, Router

log = logging.getLogger(__name__)

_Look = tuple[int, int, int] | None


class GuardActions(NamedTuple):
    """What is done about each kind: what the policy says, else the policy `default`, else the variables."""

    injection: Action
    pii: Action
    secrets: Action
    sql: Action


@dataclass(frozen=True, slots=True)
class GuardTerms:
    """All that a policy's guard is made of: guards of equal terms are one."""

    actions: GuardActions
    monitor: bool = False
    allow: tuple[str, ...] = ()
    patterns: tuple[tuple[str, str], ...] = ()

    def guard(self) -> Guard:
        return Guard(**self.actions._asdict(), monitor=self.monitor, allow=self.allow, patterns=self.patterns)


@dataclass(frozen=True, slots=True)
class Routing:
    """
    One state of the configuration. A request takes it once and keeps it to its end.

    `guards` are those of `terms`, by the names of the policies. `generation` counts up from 1.
    """

    router: Router
    prices: Prices
    guards: Mapping[str, Guard]
    terms: Mapping[str, GuardTerms]
    unsupported: Unsupported
    generation: int
    tenants: Mapping[str, NewTenant] = field(default_factory=dict)
    """Those of the file, by id."""

    @property
    def guard(self) -> Guard:
        """Of the policy `default`."""
        return self.guards[DEFAULT_POLICY]

    @property
    def actions(self) -> GuardActions:
        """Of the policy `default`."""
        return self.terms[DEFAULT_POLICY].actions


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
        terms = self._terms(config.policies)
        made = {} if before is None else {before.terms[name]: guard for name, guard in before.guards.items()}
        guards = {name: made.get(of_policy) or of_policy.guard() for name, of_policy in terms.items()}
        generation = 1 if before is None else before.generation + 1
        return Routing(router, prices, guards, terms, config.unsupported, generation, config.tenants)

    def _config(self) -> FileConfig:
        if self._path is None:
            return FileConfig(tuple(configured_services(self._settings, self._environment)))
        # Before it is read: what is written meanwhile is seen as a change.
        self._seen = _look(self._path)
        return read_config(
            self._path, self._environment, lambda: configured_services(self._settings, self._environment)
        )

    def _terms(self, policies: Mapping[str, Policy]) -> Mapping[str, GuardTerms]:
        settings, default = self._settings, policies[DEFAULT_POLICY]
        injection = settings.injection_action if settings.enable_prompt_injection_check else "off"
        return {
            name: GuardTerms(
                GuardActions(
                    injection=policy.injection or default.injection or injection,
                    pii=policy.pii or default.pii or settings.pii_action,
                    secrets=policy.secrets or default.secrets or settings.secrets_action,
                    sql=policy.sql or default.sql or settings.sql_action,
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
