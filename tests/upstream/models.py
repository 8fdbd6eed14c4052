"""Lists of models, one entry or a page of them, as each vendor shows them."""

import base64
import re
from typing import ClassVar
from urllib.parse import unquote

from tests.upstream.anthropic import AnthropicWire
from tests.upstream.behaviours import Ordinary
from tests.upstream.gemini import GoogleWire
from tests.upstream.openai import OpenAIWire
from tests.upstream.recorded import Request
from tests.upstream.wire import Call, Hosted, Json, Refused, Reply, Rules, Wire, plain_of

CREATED = 1_735_689_600
"""2025-01-01, in Unix seconds: when every model here was made."""


class ModelsWire(Wire):
    """What the lists have in common: they come from the host's rules, and only a listed model can be looked up."""

    def look_up(self, request: Request, rules: Rules, number: int) -> Call | None:
        """The call for a single entry. None: the list was asked for. Raises `Refused`."""
        name = self.named(request)
        if not name:
            return None
        if name not in rules.listed:
            raise Refused(self.fault("model", Call(number, name)))
        return Call(number, name, kind="models", body=self.entry(name))

    def named(self, request: Request) -> str:
        """The id that the path ends in; it may hold slashes. Empty: the whole list was asked for."""
        return unquote(re.sub(r".*?/models/?", "", request.path, count=1))

    def entry(self, name: str) -> Json:
        raise NotImplementedError

    def whole(self, call: Call, ordinary: Ordinary) -> Json:
        plain_of(ordinary)
        return call.body

    def whole_number(self, request: Request, name: str, default: int) -> int:
        """A page's size from the query."""
        [text] = request.query.get(name, (str(default),))
        sound = text.isascii() and text.isdigit() and 1 <= int(text) <= 1000
        self.require(sound, f"{name}: must be an integer from 1 to 1000")
        return int(text)


class OpenAIModels(Hosted, ModelsWire):
    """`GET …/models`, whole, refusing in the words of the host whose prefix it is under."""

    def __init__(self, host: OpenAIWire, prefix: str = "") -> None:
        super().__init__(host)
        self.prefix = prefix
        """Before each id: Google's compatible endpoint says `models/`."""

    def read(self, request: Request, rules: Rules, number: int) -> Call:
        self.check_key(request, rules)
        entries = [self.entry(name) for name in rules.listed]
        found = self.look_up(request, rules, number)
        return found or Call(number, "", kind="models", body={"object": "list", "data": entries})

    def named(self, request: Request) -> str:
        return super().named(request).removeprefix(self.prefix)

    def entry(self, name: str) -> Json:
        return {"id": self.prefix + name, "object": "model", "created": CREATED, "owned_by": "upstream"}


class AnthropicModels(AnthropicWire, ModelsWire):
    """`GET /v1/models`, in pages: `limit`, `after_id`, `before_id`."""

    def read(self, request: Request, rules: Rules, number: int) -> Call:
        self.check_key(request, rules)
        self.check_version(request)
        found = self.look_up(request, rules, number)
        if found is not None:
            return found
        limit = self.whole_number(request, "limit", 20)
        names = rules.listed
        for name in ("after_id", "before_id"):
            for given in request.query.get(name, ()):
                self.require(given in names, f"{name}: model '{given}' not found")
                at = names.index(given)
                names = names[at + 1 :] if name == "after_id" else names[:at]
        backwards = "before_id" in request.query
        page = names[-limit:] if backwards else names[:limit]
        body = {
            "data": [self.entry(name) for name in page],
            "has_more": len(names) > len(page),
            "first_id": page[0] if page else None,
            "last_id": page[-1] if page else None,
        }
        return Call(number, "", kind="models", body=body)

    def entry(self, name: str) -> Json:
        created = "2025-01-01T00:00:00Z"
        return {"type": "model", "id": name, "display_name": name.title(), "created_at": created, "lifecycle": "active"}

    def whole(self, call: Call, ordinary: Ordinary) -> Json:
        return ModelsWire.whole(self, call, ordinary)

    def blocked(self, call: Call) -> Reply:
        return self.error(400)

    def empty(self, call: Call) -> Json:
        return {"data": [], "has_more": False, "first_id": None, "last_id": None}


class GeminiModels(GoogleWire, ModelsWire):
    """`GET /v1beta/models`, in pages: `pageSize`, `pageToken`."""

    methods: ClassVar[tuple[str, ...]] = ("generateContent", "countTokens", "embedContent", "batchEmbedContents")

    def read(self, request: Request, rules: Rules, number: int) -> Call:
        self.check_key(request, rules)
        found = self.look_up(request, rules, number)
        if found is not None:
            return found
        size = self.whole_number(request, "pageSize", 50)
        names = rules.listed
        tokens = {_token(at): at for at in range(len(names) + 1)}
        [token] = request.query.get("pageToken", (_token(0),))
        self.require(token in tokens, "page_token is invalid")
        start = tokens[token]
        body: Json = {"models": [self.entry(name) for name in names[start : start + size]]}
        if start + size < len(names):
            body["nextPageToken"] = _token(start + size)
        return Call(number, "", kind="models", body=body)

    def entry(self, name: str) -> Json:
        return {
            "name": f"models/{name}",
            "version": "001",
            "displayName": name.title(),
            "inputTokenLimit": 1_048_576,
            "outputTokenLimit": 65_536,
            "supportedGenerationMethods": list(self.methods),
        }


def _token(offset: int) -> str:
    return base64.b64encode(f"page:{offset}".encode()).decode()
