"""
Anthropic's Messages.

Source: Claude API reference (Messages, models, count tokens, versioning). Version 2023-06-01 is sent because 2026-10-21
refuses `temperature` with 400, even at its default.
"""

from collections.abc import Sequence
from datetime import datetime

import orjson

from providers.anthropic_reply import Decoder, completion, failure
from providers.anthropic_request import COUNTED, body_for, plan_for
from providers.base import HttpReply, HttpRequest, ListedModel, Target
from providers.chat import FITS, ChatRequest, Completion, Fit
from providers.errors import MalformedReply, ProviderError
from providers.fields import count, loose, mapping, parse, sequence, string
from providers.translation import is_plain

VERSION = "2023-06-01"


class Anthropic:
    """The Messages wire. It has no vectors."""

    def fit(self, request: ChatRequest, target: Target) -> Fit:
        if request.temperature is None and is_plain(request):
            return FITS
        return plan_for(request, target).fit

    def encode(self, request: ChatRequest, target: Target, *, stream: bool) -> HttpRequest:
        plan = plan_for(request, target)
        plan.check()
        body = body_for(request, target, plan)
        if stream:
            body["stream"] = True
        return _post(target, "/v1/messages", body, stream=stream)

    def decode(self, reply: HttpReply) -> Completion:
        return completion(_answer(reply), reply.status)

    def decoder(self) -> Decoder:
        return Decoder()

    def decode_error(self, reply: HttpReply) -> ProviderError:
        return failure(loose(reply.body), reply.status, reply.headers)

    def encode_count(self, request: ChatRequest, target: Target) -> HttpRequest:
        plan = plan_for(request, target)
        plan.check("messages", "tools", "tool_choice")
        body = body_for(request, target, plan)
        counted = {name: value for name, value in body.items() if name in COUNTED}
        return _post(target, "/v1/messages/count_tokens", counted)

    def decode_count(self, reply: HttpReply) -> int:
        tokens = _answer(reply).get("input_tokens")
        if not isinstance(tokens, int):
            raise MalformedReply("the provider's answer holds no count", http_status=reply.status)
        return count(tokens)

    def encode_models(self, target: Target) -> HttpRequest:
        return HttpRequest(f"{target.base_url}/v1/models?limit=1000", _headers(target), method="GET")

    def decode_models(self, reply: HttpReply) -> Sequence[ListedModel]:
        models = [mapping(model) for model in sequence(_answer(reply).get("data"))]
        return [
            ListedModel(string(model.get("id")), "anthropic", _unix_s(model.get("created_at")))
            for model in models
            if string(model.get("id"))
        ]


def _post(target: Target, path: str, body: dict[str, object], *, stream: bool = False) -> HttpRequest:
    headers = {
        "content-type": "application/json",
        **_headers(target),
        "accept": "text/event-stream" if stream else "application/json",
    }
    return HttpRequest(f"{target.base_url}{path}", headers, orjson.dumps(body))


def _headers(target: Target) -> dict[str, str]:
    headers = {"accept": "application/json", "anthropic-version": VERSION}
    if target.api_key is not None:
        headers["x-api-key"] = target.api_key.get_secret_value()
    return headers


def _answer(reply: HttpReply) -> dict[str, object]:
    """The object in a 200. Raises `ProviderError` where there is none, or where it is an error."""
    try:
        body = parse(reply.body)
    except ValueError as error:
        raise MalformedReply("the provider's answer is not JSON", http_status=reply.status) from error
    if "error" in body:
        raise failure(body, None, reply.headers)
    return body


def _unix_s(time: object) -> int:
    """An RFC 3339 time in Unix seconds, 0 where it is none (Anthropic dates what it does not know to the epoch)."""
    try:
        return max(0, int(datetime.fromisoformat(string(time)).timestamp()))
    except (ValueError, OverflowError):
        return 0
