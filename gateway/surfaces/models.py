"""
`GET /v1/models` and `/v1/models/{id}`: what may be asked for, from all services.

Sources: OpenAI's OpenAPI document, schemas `ListModelsResponse` and `Model`; Claude API reference, Models, for callers
that send `anthropic-version`.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.types import Receive, Scope, Send

from gateway.exchange import NO_SUCH_MODEL
from gateway.json_response import json_response
from gateway.live import LiveConfig, Routing
from gateway.permitted import Permit
from middleware.scope import PRINCIPAL, Principal
from providers.base import ListedModel, ListsModels
from providers.client import Client
from providers.errors import ProviderError
from providers.registry import Service

log = logging.getLogger(__name__)

FRESH_S = 300.0
"""How long a service's own list is good for; then it is fetched again, while the old one still answers."""
RETRY_S = 30.0
"""After this a list that could not be fetched is tried again."""
PATIENCE_S = 5.0
"""For the lists of all services together: one that does not answer is shown with its default model."""
MAX_MODELS = 5000

Entry = dict[str, Any]
_Source = tuple[str, str]
"""A service's name and address: a reload may give the name to another."""


class ModelList:
    """
    The models of all services under the names callers use.

    Services that list models in the configuration offer those; the others are asked for their own list, once in
    `FRESH_S`. An id that several services have belongs to the one that is asked first.
    """

    def __init__(self, live: LiveConfig, client: Client) -> None:
        self._live = live
        self._client = client
        self._started = int(time.time())
        self._fetched: dict[_Source, tuple[float, Sequence[ListedModel]]] = {}
        """Until when a list is good, and what is in it."""
        self._fetching: dict[_Source, asyncio.Task[None]] = {}

    async def entries(self, principal: Principal | None = None) -> Mapping[str, Entry]:
        """By id, in the order of the services: those that this caller may ask for."""
        routing = self._live.current
        await self._refresh(routing.router.unlisted())
        found: dict[str, Entry] = {}
        backends = {service.name: service.backend_type for service in routing.router.services}
        for offer in routing.router.models():
            found[offer.id] = self._entry(ListedModel(offer.id), offer.service, backends.get(offer.service, ""))
        for service in routing.router.unlisted():
            for model in self._list(service):
                if len(found) < MAX_MODELS:
                    found.setdefault(model.id, self._entry(model, service.name, service.backend_type))
        permit = Permit(routing.router, principal)
        return found if permit.is_for_all else {id: entry for id, entry in found.items() if permit.allows_name(id)}

    async def entry(self, id: str, principal: Principal | None = None) -> Entry | None:
        """One model by its id, or as `service/model`; None for what is unknown, or not for this caller."""
        if not Permit(self._live.current.router, principal).allows_name(id):
            return None
        entries = await self.entries(principal)
        found = entries.get(id)
        if found is not None:
            return found
        service, slash, model = id.partition("/")
        if not slash or not self._has(self._live.current, service, model):
            return None
        backend = next(s.backend_type for s in self._live.current.router.services if s.name == service)
        return self._entry(ListedModel(id), service, backend)

    def _has(self, routing: Routing, name: str, model: str) -> bool:
        service = next((each for each in routing.router.services if each.name == name), None)
        if service is None:
            return False
        listed = any(each.id == model for each in self._list(service))
        return model in service.models or model == service.default_model or listed

    def _list(self, service: Service) -> Sequence[ListedModel]:
        """What is known of the service's own list."""
        return self._fetched.get(_source(service), (0.0, ()))[1]

    def _entry(self, model: ListedModel, service: str, backend: str) -> Entry:
        return {
            "id": model.id,
            "object": "model",
            "created": model.created or self._started,
            "owned_by": model.owned_by or backend,
            "service": service,
        }

    async def _refresh(self, services: Sequence[Service]) -> None:
        """Fetch what is missing and wait for it; renew what is old without waiting."""
        now = time.monotonic()
        missing = []
        for service in services:
            source = _source(service)
            fetched = self._fetched.get(source)
            if fetched is not None and now < fetched[0]:
                continue
            task = self._fetching.get(source)
            if task is None:
                task = self._fetching[source] = asyncio.create_task(self._fetch(service))
            if fetched is None:
                missing.append(task)
        if missing:
            await asyncio.wait(missing, timeout=PATIENCE_S)

    async def _fetch(self, service: Service) -> None:
        models, good_for_s = self._list(service), FRESH_S
        target = service.targets(None)[0]
        adapter = target.adapter
        if isinstance(adapter, ListsModels):
            try:
                async with asyncio.timeout(PATIENCE_S):
                    reply = await self._client.send(adapter.encode_models(target))
                if reply.status != 200:
                    raise adapter.decode_error(reply)
                models = adapter.decode_models(reply)
            except (ProviderError, TimeoutError) as error:
                reason = error.reason if isinstance(error, ProviderError) else "timeout"
                log.info("no list of models: service=%s reason=%s", service.name, reason)
                good_for_s = RETRY_S
        source = _source(service)
        self._fetched[source] = (time.monotonic() + good_for_s, models)
        del self._fetching[source]


def _source(service: Service) -> _Source:
    return service.name, service.base_url


class Models:
    """`GET /v1/models`."""

    def __init__(self, models: ModelList) -> None:
        self.models = models

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        entries = list((await self.models.entries(PRINCIPAL.get(scope))).values())
        body: dict[str, Any] = {"object": "list", "data": entries}
        if _speaks_anthropic(scope):
            body["data"] = [_anthropic(entry) for entry in entries]
            body["has_more"] = False
            body["first_id"] = entries[0]["id"] if entries else None
            body["last_id"] = entries[-1]["id"] if entries else None
        await json_response(body)(scope, receive, send)


class OneModel:
    """`GET /v1/models/{id}`: ids may hold `/` and `:`."""

    def __init__(self, models: ModelList) -> None:
        self.models = models

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        entry = await self.models.entry(scope["path_params"]["id"], PRINCIPAL.get(scope))
        if entry is None:
            await NO_SUCH_MODEL(scope, receive, send)
            return
        await json_response(_anthropic(entry) if _speaks_anthropic(scope) else entry)(scope, receive, send)


def _speaks_anthropic(scope: Scope) -> bool:
    return any(name == b"anthropic-version" for name, _ in scope["headers"])


def _anthropic(entry: Entry) -> Entry:
    created = datetime.fromtimestamp(entry["created"], UTC)
    return {
        **entry,
        "type": "model",
        "display_name": entry["id"],
        "created_at": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
