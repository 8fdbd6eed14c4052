"""
OpenAI's moderation endpoint as a classifier.

Source: OpenAI's OpenAPI document, `POST /moderations` (`CreateModerationResponse`, thirteen categories).
"""

import orjson
from pydantic import SecretStr

from providers.base import HttpReply, HttpRequest
from providers.classifiers.base import Assessment, Category, all_scores, score
from providers.errors import MalformedReply
from providers.fields import first, mapping, parse_unique
from providers.openai_compatible import OpenAICompatible

BASE_URL = "https://api.openai.com/v1"
MODEL = "omni-moderation-latest"

_FAMILIES: dict[str, Category] = {
    "sexual": "HARM_CATEGORY_SEXUALLY_EXPLICIT",
    "hate": "HARM_CATEGORY_HATE_SPEECH",
    "harassment": "HARM_CATEGORY_HARASSMENT",
    "illicit": "HARM_CATEGORY_DANGEROUS_CONTENT",
    "violence": "HARM_CATEGORY_DANGEROUS_CONTENT",
    "self-harm": "HARM_CATEGORY_DANGEROUS_CONTENT",
}
"""By the part of the name before the slash (`hate`, `hate/threatening`). Civic integrity is not judged there."""


class OpenAIModeration:
    """The score of a category is the highest of its family; `flagged` is OpenAI's own decision."""

    name = "openai"

    def __init__(self, *, api_key: SecretStr, base_url: str = BASE_URL, model: str = MODEL) -> None:
        self._api_key = api_key
        self._url = f"{base_url}/moderations"
        self._model = model
        self._wire = OpenAICompatible()

    def encode(self, text: str) -> HttpRequest:
        headers = {
            "content-type": "application/json",
            "accept": "application/json",
            "authorization": f"Bearer {self._api_key.get_secret_value()}",
        }
        return HttpRequest(self._url, headers, orjson.dumps({"model": self._model, "input": text}))

    def decode(self, reply: HttpReply) -> Assessment:
        if reply.status != 200:
            raise self._wire.decode_error(reply)
        try:
            result = first(parse_unique(reply.body).get("results"))
        except ValueError as error:
            raise MalformedReply("the classifier's answer is not JSON, or says something twice") from error
        flagged, given = result.get("flagged"), mapping(result.get("category_scores"))
        if not isinstance(flagged, bool) or not given:
            raise MalformedReply("the classifier's answer holds no verdict")
        scores: dict[Category, float] = {}
        for name, value in given.items():
            family = name.partition("/")[0]
            if value is None and family == "illicit":  # null for models that do not judge it
                continue
            # A family not known here has no better place; it must not be lost.
            category = _FAMILIES.get(family, "HARM_CATEGORY_DANGEROUS_CONTENT")
            scores[category] = max(scores.get(category, 0.0), score(value))
        if not scores:
            raise MalformedReply("the classifier's answer holds no verdict")
        return Assessment(all_scores(scores), self.name, flagged=flagged)
