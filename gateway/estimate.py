"""
What a request may come to, before it is asked: tokens and money, to be reserved and settled with what it came to.

The rule: a token for every four bytes of UTF-8, rounded up, and `TOKENS_PER_TEXT` for each text (OpenAI's cookbook
counts 3 or 4 around each message); `IMAGE_TOKENS` for an image and `FILE_TOKENS` for a file or a sound; the tools'
definitions as the JSON they are. Then as many as the answer may have, `ANSWER_TOKENS` where the request does not say.
All of it at the price of the dearest target that may be asked; targets without a price count 0.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal

import orjson

from gateway.live import Routing
from middleware.accounts import nano_usd
from middleware.claim import Estimate
from providers.base import Target
from providers.chat import ChatRequest, EmbeddingRequest, Image, Text, Thinking, Usage

BYTES_PER_TOKEN = 4
TOKENS_PER_TEXT = 4
IMAGE_TOKENS = 1024
"""OpenAI's and Anthropic's images come to 85 to some 1600."""
FILE_TOKENS = 4096
ANSWER_TOKENS = 4096
"""What many models write at most unless told otherwise."""


def text_tokens(text: str) -> int:
    return TOKENS_PER_TEXT - (-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)


def prompt_tokens(request: ChatRequest) -> int:
    """Tokens of everything that is sent to the model."""
    tokens = 0
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, Text | Thinking):
                tokens += text_tokens(part.text)
            else:
                tokens += IMAGE_TOKENS if isinstance(part, Image) else FILE_TOKENS
        tokens += sum(text_tokens(call.name + call.arguments) for call in message.tool_calls)
    for tool in request.tools:
        tokens += text_tokens(tool.name + (tool.description or ""))
        tokens += len(orjson.dumps(tool.parameters, default=str)) // BYTES_PER_TOKEN
    if request.output is not None and request.output.schema is not None:
        tokens += len(orjson.dumps(request.output.schema, default=str)) // BYTES_PER_TOKEN
    return tokens


def chat_usage(request: ChatRequest) -> Usage:
    """What a request for an answer may come to."""
    answer = ANSWER_TOKENS if request.max_tokens is None else request.max_tokens
    return Usage(prompt_tokens(request), answer * request.n)


def embedding_usage(request: EmbeddingRequest) -> Usage:
    """Of an embedding, the prompt is all."""
    return Usage(sum(text_tokens(text) if isinstance(text, str) else len(text) for text in request.inputs), 0)


def estimate(routing: Routing, targets: Iterable[Target], usages: Sequence[Usage]) -> Estimate:
    """One for several questions that are asked at once, all of the same targets."""
    tokens = sum(usage.total_tokens for usage in usages)
    return Estimate(tokens, nano_usd(sum(_dearest(routing, list(targets), usages), Decimal(0))))


def _dearest(routing: Routing, targets: Sequence[Target], usages: Sequence[Usage]) -> Iterable[Decimal]:
    for usage in usages:
        costs = (routing.prices.cost_usd(target, target.model, usage) for target in targets)
        yield max((cost for cost in costs if cost is not None), default=Decimal(0))
