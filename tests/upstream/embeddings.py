"""Embedding endpoints: OpenAI's, under each prefix of its family, and Gemini's two. Anthropic has none."""

from typing import ClassVar

from pydantic import ValidationError

from tests.upstream.behaviours import Ordinary, Vectors
from tests.upstream.embedding import embedding, encoded
from tests.upstream.gemini import GoogleWire, model_in
from tests.upstream.gemini_schema import BatchEmbedContents, EmbedContent
from tests.upstream.openai import OpenAIWire
from tests.upstream.openai_schema import EmbeddingBody
from tests.upstream.recorded import Request
from tests.upstream.schema import deepest
from tests.upstream.wire import Call, Hosted, Json, Refused, Rules

WINDOW = 8192
"""Tokens in one input, at most."""


def vectors_of(ordinary: Ordinary) -> Vectors:
    """Return it if it is an answer to this. Raises `AssertionError`: the test pushed it to the wrong queue."""
    assert isinstance(ordinary, Vectors), f"an embedding was given a {type(ordinary).__name__.lower()}"
    return ordinary


def as_text(tokens: list[int]) -> str:
    """The text that stands for a list of token ids."""
    return " ".join(map(str, tokens))


class OpenAIEmbeddings(Hosted):
    """`POST …/embeddings`, refusing in the words of the host whose prefix it is under. A word is a token."""

    def __init__(self, host: OpenAIWire) -> None:
        super().__init__(host)
        self.family = host

    def read(self, request: Request, rules: Rules, number: int) -> Call:
        self.check_key(request, rules)
        body = self.load(request)
        for name in ("model", "input"):
            message = f"Missing required parameter: '{name}'."
            self.require(body.get(name) is not None, message, code="missing_required_parameter")
        try:
            asked = EmbeddingBody.model_validate(body, extra="ignore" if self.family.takes_unknown else None)
        except ValidationError as error:
            raise Refused(self.family.misfit(deepest(error, body))) from error
        texts = self.texts(asked)
        for text in texts:
            count = len(text.split())
            message = f"This model's maximum context length is {WINDOW} tokens, however you requested {count} tokens."
            self.require(count <= WINDOW, message)
        message = "Invalid 'input': maximum request size is 300000 tokens per request."
        self.require(sum(len(text.split()) for text in texts) <= 300_000, message, code="max_tokens_per_request")
        fixed = asked.model == "text-embedding-ada-002" and asked.dimensions is not None
        self.require(not fixed, "This model does not support specifying dimensions.")
        self.check_model(asked.model, rules)
        encoding = asked.encoding_format
        read = {"texts": texts, "dimensions": asked.dimensions, "encoding_format": encoding}
        return Call(number, asked.model, kind="embedding", body=read)

    def texts(self, asked: EmbeddingBody) -> list[str]:
        """One text for each vector to make."""
        if isinstance(asked.input, str):
            return [asked.input]
        found: list[str] = []
        ids: list[int] = []
        for one in asked.input:
            match one:
                case str():
                    found.append(one)
                case int():
                    ids.append(one)
                case _:
                    found.append(as_text(one))
        return [as_text(ids)] if ids else found

    def whole(self, call: Call, ordinary: Ordinary) -> Json:
        vectors = vectors_of(ordinary)
        texts: list[str] = call.body["texts"]
        found = [embedding(text, call.body["dimensions"] or vectors.dimensions) for text in texts]
        shown = [encoded(vector) for vector in found] if call.body["encoding_format"] == "base64" else found
        counted = sum(len(text.split()) for text in texts)
        tokens = counted if vectors.input_tokens is None else vectors.input_tokens
        return {
            **self.empty(call),
            "data": [{"object": "embedding", "index": n, "embedding": vector} for n, vector in enumerate(shown)],
            "model": vectors.model or call.model,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }

    def empty(self, call: Call) -> Json:
        usage = {"prompt_tokens": 0, "total_tokens": 0}
        return {"object": "list", "data": [], "model": call.model, "usage": usage}


class GeminiEmbed(GoogleWire):
    """`:embedContent`: one vector."""

    message: ClassVar[str] = "EmbedContentRequest"

    def read(self, request: Request, rules: Rules, number: int) -> Call:
        self.check_key(request, rules)
        model = model_in(request)
        inputs = [self.one(each, model) for each in self.bodies(request, model)]
        self.check_model(model, rules)
        return Call(number, model, kind="embedding", body={"inputs": inputs})

    def bodies(self, request: Request, model: str) -> list[EmbedContent]:
        return [self.parse(EmbedContent, request)]

    def one(self, body: EmbedContent, model: str) -> tuple[str, int | None]:
        """The text to embed and the dimensions asked for."""
        named = body.model is None or body.model == f"models/{model}"
        self.require(named, f"* {self.message}.model: unexpected model name format")
        text = "\n".join(part.text or "" for part in body.content.parts)
        self.require(text.strip(), f"* {self.message}.content: content is empty")
        return text, body.output_dimensionality

    def vectors(self, call: Call, ordinary: Ordinary) -> tuple[list[Json], Json]:
        vectors = vectors_of(ordinary)
        inputs: list[tuple[str, int | None]] = call.body["inputs"]
        counted = sum(len(text.split()) for text, _ in inputs)
        tokens = counted if vectors.input_tokens is None else vectors.input_tokens
        found = [{"values": embedding(text, wanted or vectors.dimensions)} for text, wanted in inputs]
        return found, {"usageMetadata": {"promptTokenCount": tokens}}

    def whole(self, call: Call, ordinary: Ordinary) -> Json:
        found, usage = self.vectors(call, ordinary)
        return {"embedding": found[0], **usage}


class GeminiBatchEmbed(GeminiEmbed):
    """`:batchEmbedContents`: up to a hundred vectors, each request naming the model again."""

    message: ClassVar[str] = "BatchEmbedContentsRequest"

    def bodies(self, request: Request, model: str) -> list[EmbedContent]:
        bodies = self.parse(BatchEmbedContents, request).requests
        self.require(bodies, "* BatchEmbedContentsRequest.requests: requests is not specified")
        self.require(len(bodies) <= 100, "* BatchEmbedContentsRequest.requests: at most 100 requests in one batch")
        message = "* BatchEmbedContentsRequest.requests: model is not specified"
        self.require(all(body.model is not None for body in bodies), message)
        return bodies

    def whole(self, call: Call, ordinary: Ordinary) -> Json:
        found, usage = self.vectors(call, ordinary)
        return {"embeddings": found, **usage}
