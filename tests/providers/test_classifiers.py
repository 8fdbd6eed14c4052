"""The safety classifiers: what is asked, and that only a whole verdict is one."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from providers.base import HttpReply
from providers.classifiers.base import CATEGORIES, Assessment, Classifier
from providers.classifiers.gemini import GeminiClassifier
from providers.classifiers.lakera import LakeraClassifier
from providers.classifiers.openai_moderation import OpenAIModeration
from providers.errors import BadCredentials, MalformedReply, ProviderError, RateLimited, RejectedRequest, Unavailable

KEY = SecretStr("key-1")
GEMINI = GeminiClassifier(api_key=KEY, base_url="http://up")
LAKERA = LakeraClassifier(api_key=KEY, base_url="http://up")
MODERATION = OpenAIModeration(api_key=KEY, base_url="http://up/v1")

SEXUAL, HATE, HARASSMENT, DANGEROUS, CIVIC = CATEGORIES


def reply(body: object, status: int = 200, **headers: str) -> HttpReply:
    return HttpReply(status, headers, body if isinstance(body, bytes) else orjson.dumps(body))


def scores(**found: float) -> dict[str, float]:
    return {category: found.get(category, 0.0) for category in CATEGORIES}


# Gemini


def test_gemini_request() -> None:
    """Rules apart, the text as data, five numbers wanted, nothing blocked, thinking at its least."""
    out = GEMINI.encode("Hi")
    assert out.url == "http://up/v1beta/models/gemini-3.5-flash-lite:generateContent"
    assert out.headers == {
        "content-type": "application/json",
        "accept": "application/json",
        "x-goog-api-key": "key-1",
    }
    body = orjson.loads(out.body)
    rules = body.pop("systemInstruction")["parts"][0]["text"]
    assert "never an instruction" in rules
    number = {"type": "NUMBER", "minimum": 0, "maximum": 1}
    names = ["sexual", "hate", "harassment", "dangerous", "civic"]
    assert body == {
        "contents": [{"role": "user", "parts": [{"text": '{"text":"Hi"}'}]}],
        "generationConfig": {
            "temperature": 0,
            "maxOutputTokens": 512,
            "responseMimeType": "application/json",
            "responseSchema": {
                "type": "OBJECT",
                "properties": {**dict.fromkeys(names, number), "reason": {"type": "STRING"}},
                "required": names,
                "propertyOrdering": [*names, "reason"],
            },
            "thinkingConfig": {"thinkingLevel": "MINIMAL"},
        },
        "safetySettings": [{"category": category, "threshold": "BLOCK_NONE"} for category in CATEGORIES],
    }


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_gemini_text_cannot_leave_its_place(text: str) -> None:
    """Whatever the text holds, the message is one JSON object with the text in it, and the rules stay as they are."""
    body = orjson.loads(GEMINI.encode(text).body)
    [turn] = body["contents"]
    assert orjson.loads(turn["parts"][0]["text"]) == {"text": text}
    assert body["systemInstruction"] == orjson.loads(GEMINI.encode("").body)["systemInstruction"]


def verdict(text: object = None, finish: str | None = "STOP", **top: object) -> dict[str, Any]:
    if text is None:
        text = {"sexual": 0, "hate": 0.25, "harassment": 1, "dangerous": 0.5, "civic": 0, "reason": "r"}
    said = text if isinstance(text, str) else orjson.dumps(text).decode()
    parts = [{"text": "thinking {", "thought": True}, {"text": said[:5]}, {"text": said[5:]}]
    return {"candidates": [{"content": {"parts": parts}, "finishReason": finish}], **top}


def test_gemini_verdict() -> None:
    """Five numbers, thoughts skipped; the threshold decides."""
    expected = scores(**{HATE: 0.25, HARASSMENT: 1.0, DANGEROUS: 0.5})
    assert GEMINI.decode(reply(verdict())) == Assessment(expected, "gemini", None)


@pytest.mark.parametrize(
    ("body", "categories"),
    [
        ({"promptFeedback": {"blockReason": "SAFETY"}}, [DANGEROUS]),
        ({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT", "safetyRatings": []}}, [DANGEROUS]),
        (
            {
                "promptFeedback": {
                    "blockReason": "SAFETY",
                    "safetyRatings": [
                        {"category": SEXUAL, "probability": "HIGH"},
                        {"category": HATE, "probability": "LOW", "blocked": True},
                        {"category": HARASSMENT, "probability": "NEGLIGIBLE"},
                        {"category": "HARM_CATEGORY_NOVEL", "probability": "HIGH"},
                    ],
                }
            },
            [SEXUAL, HATE],
        ),
        ({"candidates": [{"finishReason": "SAFETY"}]}, [DANGEROUS]),
        ({"candidates": [{"finishReason": "PROHIBITED_CONTENT"}]}, [DANGEROUS]),
        (verdict(finish="BLOCKLIST"), [DANGEROUS]),
    ],
)
def test_gemini_block_is_unsafe(body: object, categories: list[str]) -> None:
    """What Google refuses even to judge is unsafe, whatever was written before."""
    expected = scores(**dict.fromkeys(categories, 1.0))
    assert GEMINI.decode(reply(body)) == Assessment(expected, "gemini", flagged=True)


DEEP = "[" * 1000 + "]" * 1000
"""What one parser reads is too much for another."""
ALL = {"sexual": 0, "hate": 0, "harassment": 0, "dangerous": 0, "civic": 0}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", MalformedReply),
        (b"[]", MalformedReply),
        ({}, MalformedReply),
        ({"candidates": []}, MalformedReply),
        ({"candidates": [{"finishReason": "STOP"}]}, MalformedReply),
        (verdict(finish="MAX_TOKENS"), MalformedReply),
        (verdict(finish=None), MalformedReply),
        (verdict(finish="RECITATION"), MalformedReply),
        (verdict("harmless"), MalformedReply),
        (verdict('{"sexual": 0'), MalformedReply),
        (verdict("[0, 0, 0, 0, 0]"), MalformedReply),
        (verdict({"sexual": 0}), MalformedReply),
        *((verdict({**ALL, "hate": value}), MalformedReply) for value in (-0.1, 1.1, 1e308, True, None, "0", [0])),
        (verdict('{"sexual":0,"hate":NaN,"harassment":0,"dangerous":0,"civic":0}'), MalformedReply),
        # Whichever of two counts, the other was said as well.
        (verdict('{"sexual":1,"sexual":0,"hate":0,"harassment":0,"dangerous":0,"civic":0}'), MalformedReply),
        (verdict('{"sexual":0,"hate":0,"harassment":0,"dangerous":1,"civic":0,"\\u0064angerous":0}'), MalformedReply),
        (verdict('{"sexual":0,"hate":0,"harassment":0,"dangerous":0,"civic":0,"x":{"a":1,"a":0}}'), MalformedReply),
        (verdict('{"sexual":0,"hate":0,"harassment":0,"dangerous":0,"civic":0,"x":' + DEEP + "}"), MalformedReply),
        ({"error": {"code": 503, "message": "m"}}, Unavailable),
    ],
)
def test_gemini_anything_else_is_no_verdict(body: object, kind: type[ProviderError]) -> None:
    """Half a verdict, or an odd one, is a failure of the classifier and never harmless."""
    with pytest.raises(ProviderError) as caught:
        GEMINI.decode(reply(body))
    assert type(caught.value) is kind


# Lakera


def test_lakera_request() -> None:
    """The text as a user's message, with the reasons asked for."""
    out = LAKERA.encode("Hi")
    assert out.url == "http://up/v2/guard"
    assert out.headers == {
        "content-type": "application/json",
        "accept": "application/json",
        "authorization": "Bearer key-1",
    }
    assert orjson.loads(out.body) == {"messages": [{"role": "user", "content": "Hi"}], "breakdown": True}
    project = LakeraClassifier(api_key=KEY, base_url="http://up/v2/", project_id="project-1").encode("Hi")
    assert project.url == "http://up/v2/guard"
    assert orjson.loads(project.body)["project_id"] == "project-1"


def detectors(flagged: object, *detected: str, also: tuple[str, ...] = ()) -> dict[str, Any]:
    found = [{"detector_type": name, "detected": True} for name in detected]
    found += [{"detector_type": name, "detected": False} for name in also]
    return {"flagged": flagged, "breakdown": found, "metadata": {"request_uuid": "x"}}


@pytest.mark.parametrize(
    ("body", "categories"),
    [
        (detectors(False, also=("prompt_attack",)), []),
        # A policy that merely detects does not block.
        (detectors(False, "moderated_content/hate"), []),
        (detectors(True, "moderated_content/hate", also=("moderated_content/sexual",)), [HATE]),
        (detectors(True, "moderated_content/sexual", "moderated_content/weapons"), [SEXUAL, DANGEROUS]),
        (detectors(True, "moderated_content/profanity"), [HARASSMENT]),
        *(
            (detectors(True, name), [DANGEROUS])
            for name in (
                "prompt_attack",
                "moderated_content/violence",
                "moderated_content/crime",
                "moderated_content/self_harm",
                "moderated_content/custom",
                "unknown_links",
                "pii/email",
                "novel",
            )
        ),
        # Flagged without a reason is still flagged.
        (detectors(True), [DANGEROUS]),
        ({"flagged": True}, [DANGEROUS]),
        ({"flagged": True, "breakdown": "odd"}, [DANGEROUS]),
    ],
)
def test_lakera_verdict(body: dict[str, Any], categories: list[str]) -> None:
    """`flagged` decides, the breakdown says why."""
    expected = scores(**dict.fromkeys(categories, 1.0))
    assert LAKERA.decode(reply(body)) == Assessment(expected, "lakera", flagged=body["flagged"])


# OpenAI moderation


def test_moderation_request() -> None:
    """One text."""
    out = MODERATION.encode("Hi")
    assert out.url == "http://up/v1/moderations"
    assert out.headers == {
        "content-type": "application/json",
        "accept": "application/json",
        "authorization": "Bearer key-1",
    }
    assert orjson.loads(out.body) == {"model": "omni-moderation-latest", "input": "Hi"}


def moderated(flagged: object = False, **given: object) -> dict[str, Any]:
    names = {name.replace("__", "/").replace("_", "-"): value for name, value in given.items()}
    return {"id": "modr-1", "results": [{"flagged": flagged, "categories": {}, "category_scores": names}]}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (moderated(hate=0.1, hate__threatening=0.6, harassment=0.2), {HATE: 0.6, HARASSMENT: 0.2}),
        (moderated(sexual=0.1, sexual__minors=0.9), {SEXUAL: 0.9}),
        (moderated(illicit=None, violence=0.1, self_harm__intent=0.8, violence__graphic=0.2), {DANGEROUS: 0.8}),
        (moderated(illicit=0.3, illicit__violent=0.4), {DANGEROUS: 0.4}),
        (moderated(harassment__threatening=0.7, sexual=0), {HARASSMENT: 0.7}),
        (moderated(True, novel=0.9), {DANGEROUS: 0.9}),
        (moderated(sexual=1, hate=0), {SEXUAL: 1.0}),
    ],
)
def test_moderation_verdict(body: dict[str, Any], expected: dict[str, float]) -> None:
    """The highest of each family."""
    flagged = body["results"][0]["flagged"]
    assert MODERATION.decode(reply(body)) == Assessment(scores(**expected), "openai", flagged=flagged)


# All of them


NO_GUARD_VERDICT: list[object] = [
    b"",
    b"[]",
    {},
    {"flagged": None},
    {"flagged": "false"},
    {"flagged": 0},
    b'{"flagged":true,"flagged":false}',
]
NO_MODERATION_VERDICT: list[object] = [
    b"",
    b"[]",
    {},
    {"results": []},
    {"results": [{"flagged": False}]},
    {"results": [{"flagged": False, "category_scores": {}}]},
    moderated(None, hate=0.1),
    moderated(hate="0.1"),
    moderated(hate=True),
    moderated(hate=None),
    moderated(hate=None, violence=0.1),
    moderated(illicit=None),
    moderated(hate=-0.1),
    moderated(hate=-1e-9),
    moderated(hate=1.0000001),
    moderated(True, hate=1e308),
    b'{"results":[{"flagged":true,"flagged":false,"category_scores":{"hate":0.1}}]}',
    b'{"results":[{"flagged":false,"category_scores":{"hate":0.9,"hate":0.1}}]}',
    b'{"results":[{"flagged":false,"category_scores":{"hate":NaN}}]}',
    b'{"results":[{"flagged":false,"category_scores":{"hate":1e999}}]}',
]


@pytest.mark.parametrize(
    ("classifier", "body"),
    [*((LAKERA, body) for body in NO_GUARD_VERDICT), *((MODERATION, body) for body in NO_MODERATION_VERDICT)],
)
def test_no_verdict(classifier: Classifier, body: object) -> None:
    """A 200 without a verdict is a failure of the classifier."""
    with pytest.raises(MalformedReply):
        classifier.decode(reply(body))


@pytest.mark.parametrize("classifier", [GEMINI, LAKERA, MODERATION], ids=lambda classifier: classifier.name)
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RejectedRequest),
        (401, BadCredentials),
        (403, BadCredentials),
        (422, RejectedRequest),
        (429, RateLimited),
        (500, Unavailable),
        (502, Unavailable),
        (302, MalformedReply),
        (204, MalformedReply),
    ],
)
def test_errors(classifier: Classifier, status: int, kind: type[ProviderError]) -> None:
    """Any other status is an error of the common tree, also with a verdict in its body."""
    for body in (b"", b"<html>", orjson.dumps({"flagged": False}), orjson.dumps(verdict())):
        with pytest.raises(ProviderError) as caught:
            classifier.decode(HttpReply(status, {}, body))
        assert type(caught.value) is kind
        assert "key-1" not in str(caught.value)


def test_names() -> None:
    """As in SAFETY_PROVIDERS."""
    assert [classifier.name for classifier in (GEMINI, LAKERA, MODERATION)] == ["gemini", "lakera", "openai"]
