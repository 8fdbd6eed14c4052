"""
Lakera Guard (Check Point AI Guardrails), v2.

Source: Lakera API reference, `POST /v2/guard` with `breakdown`. The verdict is `flagged`, which follows the policy set
in Lakera's console; the breakdown only says why. A policy that merely detects leaves `flagged` false, as its owner
wants.
"""

from collections.abc import Mapping

import orjson
from pydantic import SecretStr

from providers import statuses
from providers.base import HttpReply, HttpRequest
from providers.classifiers.base import Assessment, Category, all_scores
from providers.errors import MalformedReply
from providers.fields import mapping, parse_unique, sequence, string
from providers.retry_after import retry_after_s

BASE_URL = "https://api.lakera.ai"

_DETECTORS: Mapping[str, Category] = {
    "moderated_content/sexual": "HARM_CATEGORY_SEXUALLY_EXPLICIT",
    "moderated_content/hate": "HARM_CATEGORY_HATE_SPEECH",
    "moderated_content/profanity": "HARM_CATEGORY_HARASSMENT",
}
"""
The detectors with a category of their own. Violence, weapons, crime, self-harm and an operator's custom ones are
dangerous content, and so are `prompt_attack`, `unknown_links` and `pii/…`: the five categories have no place for them,
and what Lakera flags must not pass for lack of a name.
"""


class LakeraClassifier:
    """Scores are 1 or 0: Lakera decides, it does not grade."""

    name = "lakera"

    def __init__(self, *, api_key: SecretStr, base_url: str = BASE_URL, project_id: str | None = None) -> None:
        self._api_key = api_key
        self._url = f"{base_url.rstrip('/').removesuffix('/v2')}/v2/guard"
        self._fixed = {"breakdown": True} if project_id is None else {"breakdown": True, "project_id": project_id}

    def encode(self, text: str) -> HttpRequest:
        headers = {
            "content-type": "application/json",
            "accept": "application/json",
            "authorization": f"Bearer {self._api_key.get_secret_value()}",
        }
        body = {"messages": [{"role": "user", "content": text}], **self._fixed}
        return HttpRequest(self._url, headers, orjson.dumps(body))

    def decode(self, reply: HttpReply) -> Assessment:
        if reply.status != 200:
            raise statuses.error_for(reply.status, retry_after_s=retry_after_s(reply.headers))
        try:
            body = parse_unique(reply.body)
        except ValueError as error:
            raise MalformedReply("the classifier's answer is not JSON, or says something twice") from error
        flagged = body.get("flagged")
        if not isinstance(flagged, bool):
            raise MalformedReply("the classifier's answer holds no verdict")
        scores: dict[Category, float] = {}
        if flagged:
            found = [mapping(entry) for entry in sequence(body.get("breakdown"))]
            types = [string(entry.get("detector_type")) for entry in found if entry.get("detected") is True]
            for detector in types or [""]:
                scores[_DETECTORS.get(detector, "HARM_CATEGORY_DANGEROUS_CONTENT")] = 1.0
        return Assessment(all_scores(scores), self.name, flagged=flagged)
