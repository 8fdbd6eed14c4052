"""How a client none of us wrote asks each vendor."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
import pytest

from tests.upstream import Upstream

Json = dict[str, Any]
KEY = "key-of-the-provider"
BEARER = {"authorization": f"Bearer {KEY}"}
ANTHROPIC_HEADERS = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}


@dataclass(frozen=True, slots=True)
class Vendor:
    """How a client asks a vendor, plainly and for a stream, and where the text is."""

    path: str
    stream_path: str
    headers: dict[str, str]
    body: Json
    stream_body: Json

    def text(self, body: Json) -> str:
        """The text of a whole answer or of one event."""
        if "candidates" in body:
            return "".join(part["text"] for part in body["candidates"][0].get("content", {}).get("parts", []))
        if "choices" in body:
            return "".join((c.get("message") or c["delta"]).get("content") or "" for c in body["choices"])
        if body.get("type") == "content_block_delta":
            return str(body["delta"]["text"])
        return "".join(block["text"] for block in body.get("content", []))


def openai(path: str) -> Vendor:
    body = {"model": "some-model", "messages": [{"role": "user", "content": "hello"}]}
    return Vendor(path, path, BEARER, body, {**body, "stream": True, "stream_options": {"include_usage": True}})


CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
MESSAGES = {"model": "claude", "max_tokens": 256, "messages": [{"role": "user", "content": "hello"}]}
VENDORS = {
    "gemini": Vendor(
        "/v1beta/models/gemini-x:generateContent",
        "/v1beta/models/gemini-x:streamGenerateContent?alt=sse",
        {"x-goog-api-key": KEY},
        CONTENTS,
        CONTENTS,
    ),
    "openai": openai("/v1/chat/completions"),
    "groq": openai("/openai/v1/chat/completions"),
    "openrouter": openai("/api/v1/chat/completions"),
    "google-compatible": openai("/v1beta/openai/chat/completions"),
    "anthropic": Vendor("/v1/messages", "/v1/messages", ANTHROPIC_HEADERS, MESSAGES, {**MESSAGES, "stream": True}),
}
OLLAMA = openai("/ollama/v1/chat/completions")
"""It wants no key, so it is not among those that do."""
every_vendor = pytest.mark.parametrize("vendor", VENDORS.values(), ids=VENDORS.keys())


class Client:
    """httpx on one upstream."""

    def __init__(self, up: Upstream) -> None:
        self.http = httpx.AsyncClient(base_url=up.url, trust_env=False, timeout=5.0)

    async def ask(self, vendor: Vendor, **changes: object) -> httpx.Response:
        return await self.http.post(vendor.path, headers=vendor.headers, json={**vendor.body, **changes})

    async def events(self, vendor: Vendor, **changes: object) -> AsyncIterator[str]:
        """Yield the data of each event of a stream."""
        body = {**vendor.stream_body, **changes}
        async with self.http.stream("POST", vendor.stream_path, headers=vendor.headers, json=body) as response:
            assert response.status_code == 200
            assert response.headers["content-type"] == "text/event-stream"
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    yield line.removeprefix("data: ")

    async def stream(self, vendor: Vendor, **changes: object) -> list[str]:
        return [data async for data in self.events(vendor, **changes)]


def joined(vendor: Vendor, events: list[str]) -> str:
    return "".join(vendor.text(orjson.loads(data)) for data in events if data != "[DONE]")


async def read_into(seen: list[str], events: AsyncIterator[str]) -> None:
    """Keep what came, also when the stream ends in an exception."""
    async for data in events:
        seen.append(data)  # noqa: PERF401  a comprehension would lose it
