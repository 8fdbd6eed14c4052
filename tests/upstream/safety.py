"""The safety services: Lakera Guard and OpenAI's moderation."""

from collections.abc import Mapping
from typing import ClassVar

from tests.upstream.behaviours import Ordinary, Verdict
from tests.upstream.openai import OpenAIWire
from tests.upstream.recorded import Request
from tests.upstream.wire import Call, Json, Refused, Reply, Rules, Wire


class LakeraWire(Wire):
    """Lakera Guard v2."""

    faults: ClassVar[Mapping[str, tuple[int, str, str]]] = {
        "no_key": (401, "", "Missing API key"),
        "bad_key": (401, "", "Invalid API key"),
        "quota": (429, "", "Monthly quota exceeded"),
    }
    detectors: ClassVar[Mapping[str, str]] = {
        "sexual": "moderated_content/sexual",
        "hate": "moderated_content/hate",
        "harassment": "moderated_content/hate",
        "dangerous": "moderated_content/crime",
        "civic": "moderated_content/custom",
    }

    def read(self, request: Request, rules: Rules, number: int) -> Call:
        self.check_key(request, rules)
        body = self.load(request)
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise Refused(self.error(400, "messages: a non-empty array is required"))
        for index, message in enumerate(messages):
            if message.get("role") not in {"system", "user", "assistant", "tool"} or "content" not in message:
                raise Refused(self.error(400, f"messages[{index}]: role and content are required"))
        unknown = set(body) - {"messages", "project_id", "breakdown", "payload", "dev_info", "metadata"}
        if unknown:
            raise Refused(self.error(400, f"{min(unknown)}: unknown field"))
        return Call(number, "lakera-guard", kind="verdict", body=body)

    def error(self, status: int, message: str = "", *, code: str | None = None) -> Reply:
        return Reply(status, {"message": message or "The request failed.", "request_id": "0123456789abcdef"})

    def whole(self, call: Call, answer: Ordinary) -> Json:
        assert isinstance(answer, Verdict), "a safety service was given an answer"
        found = {d for name, d in self.detectors.items() if getattr(answer, name) >= 0.5} | set(answer.detectors)
        body: Json = {"flagged": answer.is_flagged, "metadata": {"request_uuid": call.hex}}
        if call.body.get("payload"):
            body["payload"] = []
        if call.body.get("breakdown"):
            known = sorted({"prompt_attack", *self.detectors.values(), *found})
            body["breakdown"] = [
                {
                    "project_id": call.body.get("project_id", "project-default"),
                    "policy_id": "policy-lakera-default",
                    "detector_id": f"detector-{detector.replace('/', '-')}",
                    "detector_type": detector,
                    "detected": detector in found,
                    "message_id": len(call.body["messages"]) - 1,
                }
                for detector in known
            ]
        return body

    def empty(self, call: Call) -> Json:
        return {}


class ModerationWire(OpenAIWire):
    """OpenAI's moderation endpoint."""

    categories: ClassVar[Mapping[str, str | None]] = {
        "hate": "hate",
        "hate/threatening": None,
        "harassment": "harassment",
        "harassment/threatening": None,
        "illicit": "dangerous",
        "illicit/violent": None,
        "self-harm": None,
        "self-harm/intent": None,
        "self-harm/instructions": None,
        "sexual": "sexual",
        "sexual/minors": None,
        "violence": None,
        "violence/graphic": None,
    }

    def read(self, request: Request, rules: Rules, number: int) -> Call:
        self.check_key(request, rules)
        body = self.load(request)
        if not body.get("input"):
            raise Refused(self.error(400, "Missing required parameter: 'input'.", code="missing_required_parameter"))
        return Call(number, body.get("model", "omni-moderation-latest"), kind="verdict", body=body)

    def whole(self, call: Call, answer: Ordinary) -> Json:
        assert isinstance(answer, Verdict), "a safety service was given an answer"
        scores = {name: getattr(answer, field) if field else 0.0 for name, field in self.categories.items()}
        result = {
            "flagged": answer.is_flagged,
            "categories": {name: score >= 0.5 for name, score in scores.items()},
            "category_scores": scores,
            "category_applied_input_types": {name: ["text"] for name in scores},
        }
        given = call.body["input"]
        # A list of strings is judged one by one, a list of parts as one message.
        count = len(given) if isinstance(given, list) and all(isinstance(item, str) for item in given) else 1
        return {"id": f"modr-{call.hex}", "model": call.model, "results": [result] * count}

    def empty(self, call: Call) -> Json:
        return {"id": f"modr-{call.hex}", "model": call.model, "results": []}
