"""
Google's generateContent.

Source: Gemini API reference (generateContent, streamGenerateContent, countTokens, batchEmbedContents, models). Sent to
`/v1beta`, which has every field used here; `/v1` lags behind it.
"""

from collections.abc import Sequence
from urllib.parse import quote

import orjson

from providers.base import HttpReply, HttpRequest, ListedModel, Target
from providers.chat import FITS, ChatRequest, Completion, EmbeddingRequest, Embeddings, Fit, Usage
from providers.errors import MalformedReply, ProviderError, UnsupportedParameter
from providers.fields import count, loose, mapping, parse, sequence, string
from providers.gemini_reply import Decoder, completion, failure
from providers.gemini_request import body_for, plan_for
from providers.translation import is_plain

MAX_EMBEDDINGS = 100
"""Texts of one `batchEmbedContents`."""
_METHODS = frozenset({"generateContent", "embedContent"})


def model_url(base_url: str, model: str, method: str) -> str:
    return f"{base_url}/v1beta/models/{quote(model.removeprefix('models/'), safe='')}:{method}"


class Gemini:
    """The native wire."""

    def fit(self, request: ChatRequest, target: Target) -> Fit:
        if is_plain(request):
            return FITS
        return plan_for(request, target).fit

    def encode(self, request: ChatRequest, target: Target, *, stream: bool) -> HttpRequest:
        plan = plan_for(request, target)
        plan.check()
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return _post(target, method, body_for(request, target, plan), stream=stream)

    def decode(self, reply: HttpReply) -> Completion:
        return completion(_answer(reply), reply.status)

    def decoder(self) -> Decoder:
        return Decoder()

    def decode_error(self, reply: HttpReply) -> ProviderError:
        return failure(loose(reply.body), reply.status, reply.headers)

    def encode_count(self, request: ChatRequest, target: Target) -> HttpRequest:
        plan = plan_for(request, target)
        plan.check("messages", "tools", "tool_choice")
        body = {"model": _resource(target.model), **body_for(request, target, plan)}
        return _post(target, "countTokens", {"generateContentRequest": body})

    def decode_count(self, reply: HttpReply) -> int:
        tokens = _answer(reply).get("totalTokens")
        if not isinstance(tokens, int):
            raise MalformedReply("the provider's answer holds no count", http_status=reply.status)
        return count(tokens)

    def encode_embeddings(self, request: EmbeddingRequest, target: Target) -> HttpRequest:
        """Raises `UnsupportedParameter` for tokens and for more texts than one call takes."""
        if len(request.inputs) > MAX_EMBEDDINGS:
            raise UnsupportedParameter(f"this model takes at most {MAX_EMBEDDINGS} inputs at once")
        more = {name: value for name, value in request.unknown.items() if name in target.allow_fields}
        if request.dimensions is not None:
            more["outputDimensionality"] = request.dimensions
        requests: list[dict[str, object]] = []
        for text in request.inputs:
            if not isinstance(text, str):
                raise UnsupportedParameter("this model takes texts, not tokens")
            requests.append({**more, "model": _resource(target.model), "content": {"parts": [{"text": text}]}})
        return _post(target, "batchEmbedContents", {"requests": requests})

    def decode_embeddings(self, reply: HttpReply) -> Embeddings:
        """As numbers, however they were asked for. Google does not say which model made them."""
        body = _answer(reply)
        vectors = tuple(_vector(mapping(embedding).get("values")) for embedding in sequence(body.get("embeddings")))
        if not vectors or not all(vectors):
            raise MalformedReply("the provider's answer holds no vectors", http_status=reply.status)
        tokens = mapping(body.get("usageMetadata")).get("promptTokenCount")
        return Embeddings(vectors, "", Usage(count(tokens), 0) if tokens is not None else None)

    def encode_models(self, target: Target) -> HttpRequest:
        return HttpRequest(f"{target.base_url}/v1beta/models?pageSize=1000", _headers(target), method="GET")

    def decode_models(self, reply: HttpReply) -> Sequence[ListedModel]:
        found: list[ListedModel] = []
        for model in map(mapping, sequence(_answer(reply).get("models"))):
            name = string(model.get("name")).removeprefix("models/")
            methods = model.get("supportedGenerationMethods")
            if name and (not isinstance(methods, list) or any(method in _METHODS for method in methods)):
                found.append(ListedModel(name, "google"))
        return found


def _resource(model: str) -> str:
    return f"models/{model.removeprefix('models/')}"


def _post(target: Target, method: str, body: dict[str, object], *, stream: bool = False) -> HttpRequest:
    headers = {
        "content-type": "application/json",
        **_headers(target),
        "accept": "text/event-stream" if stream else "application/json",
    }
    return HttpRequest(model_url(target.base_url, target.model, method), headers, orjson.dumps(body))


def _headers(target: Target) -> dict[str, str]:
    headers = {"accept": "application/json"}
    if target.api_key is not None:
        headers["x-goog-api-key"] = target.api_key.get_secret_value()
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


def _vector(values: object) -> tuple[float, ...]:
    """Empty where it is no list of numbers."""
    numbers = sequence(values)
    found = tuple(float(number) for number in numbers if isinstance(number, int | float))
    return found if len(found) == len(numbers) else ()
