"""OpenAI's moderation (`POST /moderations`, OpenAI's OpenAPI document), its thirteen categories mapped to ours."""

import orjson
from pydantic import SecretStr

from providers.base import HttpReply, HttpRequest
from providers.classifiers.base import Assessment, Category
from providers.errors import MalformedReply
from providers.fields import first, mapping, parse
from providers.openai_compatible import OpenAICompatible

MODEL = "omni-moderation-latest"

_CATEGORIES: dict[str, Category] = {
    "sexual": "HARM_CATEGORY_SEXUALLY_EXPLICIT",
    "hate": "HARM_CATEGORY_HATE_SPEECH",
    "harassment": "HARM_CATEGORY_HARASSMENT",
    "illicit": "HARM_CATEGORY_DANGEROUS_CONTENT",
    "violence": "HARM_CATEGORY_DANGEROUS_CONTENT",
    "self-harm": "HARM_CATEGORY_DANGEROUS_CONTENT",
}
"""By the part before a slash. Civic integrity has no counterpart there."""


class OpenAIModeration:
    """`base_url` with its version segment."""

    name = "openai"

    def __init__(self, *, base_url: str, api_key: SecretStr) -> None:
        self._url = base_url + "/moderations"
        self._api_key = api_key

    def encode(self, text: str) -> HttpRequest:
        headers = {"content-type": "application/json", "authorization": f"Bearer {self._api_key.get_secret_value()}"}
        return HttpRequest(self._url, headers, orjson.dumps({"model": MODEL, "input": text}))

    def decode(self, reply: HttpReply) -> Assessment:
        """Each of our categories has the highest score of theirs. `flagged` is OpenAI's own decision."""
        if reply.status != 200:
            raise OpenAICompatible().decode_error(reply)
        try:
            body = parse(reply.body)
        except ValueError as error:
            raise MalformedReply("the classifier's reply is not JSON") from error
        result = first(body.get("results"))
        flagged = result.get("flagged")
        given = mapping(result.get("category_scores"))
        if not isinstance(flagged, bool) or not given:
            raise MalformedReply("the classifier's reply holds no verdict")
        scores: dict[str, float] = dict.fromkeys(_CATEGORIES.values(), 0.0)
        scores["HARM_CATEGORY_CIVIC_INTEGRITY"] = 0.0
        for name, score in given.items():
            category = _CATEGORIES.get(name.partition("/")[0])
            if category is None or score is None:
                continue
            if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
                raise MalformedReply("the classifier's score is not within 0 and 1")
            scores[category] = max(scores[category], float(score))
        return Assessment(scores, self.name, flagged)
