"""
What an HTTP status means, for every provider alike.

An adapter looks into the body first for what its vendor says there; what is left is decided here. Only the caller's own
mistakes end the walk through the targets, so a status nobody promised is the provider's fault, not the caller's.
"""

from providers.chat import Usage
from providers.errors import (
    BadCredentials,
    ContentBlocked,
    MalformedReply,
    ModelNotFound,
    Overloaded,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    RejectedRequest,
    TimedOut,
    Unavailable,
)

_REJECTED = frozenset({400, 413, 422})
_TRANSIENT = frozenset({409, 424, 425, 499})
"""A lock, a dependency, an early hint, a call the server itself cancelled (Groq): OpenAI's SDK retries 409 as well."""

_FAILED = "the provider failed or is overloaded"


def error_for(
    status: int, *, sentence: str = "", code: str | None = None, retry_after_s: float | None = None
) -> ProviderError:
    """`sentence` is the provider's own, already cleaned; it is used only where it speaks of the caller's request."""
    if status in _REJECTED:
        return RejectedRequest(sentence or "the provider refused the request", http_status=status, code=code)
    if status in (401, 403):
        return bad_credentials(status, code)
    if status == 402:
        if retry_after_s is not None:
            # OpenRouter: the budget is held by calls in flight, and it says when they will be done.
            return rate_limited(status, code, retry_after_s)
        return quota_exhausted(status, code)
    if status in (404, 410):
        return model_not_found(status, code)
    if status == 408:
        return TimedOut("request")
    if status in (429, 498):  # 498: Groq's flex tier has no capacity left
        return rate_limited(status, code, retry_after_s)
    if status >= 500 or status in _TRANSIENT:
        if retry_after_s:
            return Overloaded(_FAILED, retry_after_s=retry_after_s, http_status=status, code=code)
        return unavailable(status, code)
    return MalformedReply("the provider answered with an unexpected status", http_status=status, code=code)


def bad_credentials(status: int, code: str | None) -> BadCredentials:
    return BadCredentials("the provider refused the gateway's key", http_status=status, code=code)


def blocked(sentence: str, status: int | None, code: str | None, usage: Usage | None = None) -> ContentBlocked:
    said = sentence or "the provider's content filter refused it"
    return ContentBlocked(said, http_status=status, code=code, usage=usage)


def model_not_found(status: int, code: str | None) -> ModelNotFound:
    return ModelNotFound("the provider does not have this model", http_status=status, code=code)


def quota_exhausted(status: int, code: str | None) -> QuotaExhausted:
    return QuotaExhausted("the quota at the provider is spent", http_status=status, code=code)


def rate_limited(status: int, code: str | None, retry_after_s: float | None) -> RateLimited:
    return RateLimited(
        "the provider's rate limit is reached", retry_after_s=retry_after_s, http_status=status, code=code
    )


def unavailable(status: int | None, code: str | None) -> Unavailable:
    return Unavailable(_FAILED, http_status=status, code=code)
