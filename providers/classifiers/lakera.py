"""
Lakera Guard v2 (docs.lakera.ai/docs/api/guard; `POST /v2/guard`).

The policy behind the key decides: `flagged` is the verdict. The breakdown says which detectors fired; those that name
one of our categories score it 1. A prompt attack names none and is shown as dangerous content.
"""

import orjson
from pydantic import SecretStr

from providers.base import HttpReply, HttpRequest
from providers.classifiers.base import Assessment, Category
from providers.errors import BadCredentials, MalformedReply, RateLimited, RejectedRequest, Unavailable
from providers.fields import mapping, parse, sequence, string
from providers.retry_after import retry_after_s

BASE_URL = "https://api.lakera.ai"

_DETECTORS: dict[str, Category] = {
    "moderated_content/sexual": "HARM_CATEGORY_SEXUALLY_EXPLICIT",
    "moderated_content/hate": "HARM_CATEGORY_HATE_SPEECH",
    "moderated_content/profanity": "HARM_CATEGORY_HARASSMENT",
    "moderated_content/violence": "HARM_CATEGORY_DANGEROUS_CONTENT",
    "moderated_content/weapons": "HARM_CATEGORY_DANGEROUS_CONTENT",
    "moderated_content/crime": "HARM_CATEGORY_DANGEROUS_CONTENT",
    "moderated_content/self_harm": "HARM_CATEGORY_DANGEROUS_CONTENT",
    "prompt_attack": "HARM_CATEGORY_DANGEROUS_CONTENT",
}


class LakeraClassifier:
    name = "lakera"

    def __init__(self, *, api_key: SecretStr, base_url: str = BASE_URL) -> None:
        self._url = base_url + "/v2/guard"
        self._api_key = api_key

    def encode(self, text: str) -> HttpRequest:
        headers = {"content-type": "application/json", "authorization": f"Bearer {self._api_key.get_secret_value()}"}
        body = {"messages": [{"role": "user", "content": text}], "breakdown": True}
        return HttpRequest(self._url, headers, orjson.dumps(body))

    def decode(self, reply: HttpReply) -> Assessment:
        if reply.status != 200:
            raise _failure(reply)
        try:
            body = parse(reply.body)
        except ValueError as error:
            raise MalformedReply("the classifier's reply is not JSON") from error
        flagged = body.get("flagged")
        if not isinstance(flagged, bool):
            raise MalformedReply("the classifier's reply holds no verdict")
        detected = [mapping(item) for item in sequence(body.get("breakdown"))]
        fired = {string(item.get("detector_type")) for item in detected if item.get("detected") is True}
        scores: dict[str, float] = dict.fromkeys(_DETECTORS.values(), 0.0)
        scores["HARM_CATEGORY_CIVIC_INTEGRITY"] = 0.0
        if flagged:
            for detector in fired & _DETECTORS.keys():
                scores[_DETECTORS[detector]] = 1.0
            if not any(scores.values()):
                scores["HARM_CATEGORY_DANGEROUS_CONTENT"] = 1.0
        return Assessment(scores, self.name, flagged)


def _failure(reply: HttpReply) -> Exception:
    status = reply.status
    if status == 401 or status == 403:
        return BadCredentials("the classifier refused the gateway's key", http_status=status)
    if status == 429:
        return RateLimited(retry_after_s=retry_after_s(reply.headers))
    if status >= 500:
        return Unavailable(f"the classifier answered {status}", http_status=status)
    return RejectedRequest(f"the classifier answered {status}", http_status=status)
