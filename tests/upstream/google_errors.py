"""Google's errors, which its own wire and its OpenAI-compatible endpoint share."""

from collections.abc import Mapping

from tests.upstream.signatures import DUMMIES, signature
from tests.upstream.wire import Json

NAMES: Mapping[int, tuple[str, str]] = {
    400: ("INVALID_ARGUMENT", "Request contains an invalid argument."),
    401: ("UNAUTHENTICATED", "Request had invalid authentication credentials."),
    403: ("PERMISSION_DENIED", "The caller does not have permission"),
    404: ("NOT_FOUND", "Requested entity was not found."),
    429: ("RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
    500: ("INTERNAL", "An internal error has occurred."),
    503: ("UNAVAILABLE", "The model is overloaded. Please try again later."),
    504: ("DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
}
FAULTS: Mapping[str, tuple[int, str, str]] = {
    "no_key": (403, "", "Method doesn't allow unregistered callers. Please use API Key."),
    "bad_key": (400, "API_KEY_INVALID", "API key not valid. Please pass a valid API key."),
    "context": (400, "", "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576)."),
    "quota": (429, "PerDay", "You exceeded your current quota, please check your plan and billing details."),
    "model": (404, "", "models/{model} is not found for API version v1beta."),
}


def body(status: int, message: str = "", *, code: str | None = None) -> Json:
    """The error with Google's name for the status. `code` adds the detail that says more."""
    name, text = NAMES.get(status, ("UNKNOWN", "The request failed."))
    error: Json = {"code": status, "message": message or text, "status": name}
    if code == "API_KEY_INVALID":
        service = {"service": "generativelanguage.googleapis.com"}
        details = {"reason": code, "domain": "googleapis.com", "metadata": service}
        error["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", **details}]
    elif code == "PerDay":
        quota = {
            "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
            "quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
            "quotaValue": "20",
        }
        error["details"] = [{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [quota]}]
    return {"error": error}


def limited(status: int, retry_after_s: float) -> Json:
    """The error with the wait in a RetryInfo, Google's Retry-After."""
    delay = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{retry_after_s:g}s"}
    return {"error": {**body(status)["error"], "details": [delay]}}


def unknown(name: str) -> str:
    return f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.'


def signature_problem(sent: object, function: str) -> str | None:
    """What is wrong with the thought signature that came back with a function call. None: nothing is."""
    if not sent:
        return (
            "Function call is missing a thought_signature in functionCall parts. This is required for tools to work "
            "correctly, and missing thought_signature may lead to degraded model performance. Additional data, "
            f"function call `default_api:{function}`. Please refer to "
            "https://ai.google.dev/gemini-api/docs/thought-signatures for more details."
        )
    # The field is bytes, and Google's JSON parser reads either alphabet of base64.
    plain = str(sent).replace("-", "+").replace("_", "/")
    return None if sent in DUMMIES or plain == signature(function) else "Thought signature is not valid"
