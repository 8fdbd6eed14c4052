"""Which endpoint a request is for: the first row that its method, path and headers fit."""

import re
from dataclasses import dataclass

from tests.upstream.anthropic import AnthropicCount, AnthropicWire
from tests.upstream.compatible import GoogleCompatibleWire, GroqWire, OllamaWire, OpenRouterWire
from tests.upstream.embeddings import GeminiBatchEmbed, GeminiEmbed, OpenAIEmbeddings
from tests.upstream.gemini import GeminiCount, GeminiWire
from tests.upstream.models import AnthropicModels, GeminiModels, OpenAIModels
from tests.upstream.openai import OpenAIWire
from tests.upstream.recorded import Request
from tests.upstream.safety import LakeraWire, ModerationWire
from tests.upstream.wire import Missing, Wire


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: str
    """A regular expression for all of it."""
    wire: Wire
    headers: frozenset[str] = frozenset()
    """One of these must be there, where vendors have the same path. None named: none need be."""

    def fits(self, request: Request) -> bool:
        named = not self.headers or bool(self.headers & set(request.headers))
        return named and request.method == self.method and re.fullmatch(self.path, request.path) is not None


_GOOGLE = r"/v1(?:beta)?/models/[^/:]+"
_COMPATIBLE: tuple[tuple[str, OpenAIWire, str], ...] = (
    (r"/v1beta/openai", GoogleCompatibleWire(), "models/"),
    (r"/openai/v1", GroqWire(), ""),
    (r"/api/v1", OpenRouterWire(), ""),
    (r"/ollama/v1", OllamaWire(), ""),
    (r".*", OpenAIWire(), ""),
)
"""Where each host of the OpenAI family has its endpoints, and what its model ids begin with."""

ROUTES: tuple[Route, ...] = (
    Route("POST", rf"{_GOOGLE}:(?:g|streamG)enerateContent", GeminiWire()),
    Route("POST", rf"{_GOOGLE}:countTokens", GeminiCount()),
    Route("POST", rf"{_GOOGLE}:embedContent", GeminiEmbed()),
    Route("POST", rf"{_GOOGLE}:batchEmbedContents", GeminiBatchEmbed()),
    Route("GET", r"/v1beta/models(?:/[^/]+)?", GeminiModels()),
    Route("GET", r"/v1/models(?:/[^/]+)?", GeminiModels(), frozenset({"x-goog-api-key"})),
    Route("POST", r"/v1/messages", AnthropicWire()),
    Route("POST", r"/v1/messages/count_tokens", AnthropicCount()),
    Route("GET", r"/v1/models(?:/[^/]+)?", AnthropicModels(), frozenset({"x-api-key", "anthropic-version"})),
    Route("POST", r"/v1/embeddings", Missing(AnthropicWire()), frozenset({"x-api-key", "anthropic-version"})),
    Route("POST", r"/v2/guard", LakeraWire()),
    Route("POST", r".*/moderations", ModerationWire()),
    *(Route("POST", f"{prefix}/chat/completions", wire) for prefix, wire, _ in _COMPATIBLE),
    *(Route("POST", f"{prefix}/embeddings", OpenAIEmbeddings(wire)) for prefix, wire, _ in _COMPATIBLE),
    *(Route("GET", f"{prefix}/models(?:/.+)?", OpenAIModels(wire, ids)) for prefix, wire, ids in _COMPATIBLE),
)


def wire_for(request: Request) -> Wire | None:
    return next((route.wire for route in ROUTES if route.fits(request)), None)
