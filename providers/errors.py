"""
The tree of provider errors.

An adapter or the HTTP client raises one of these; the cascade and the breaker read the class attributes and know no
vendor. `message` is for the caller of the gateway: it never holds a key, a prompt, or an upstream body, save for
`RejectedRequest`, where the provider's own sentence about the caller's request is the useful part (cleaned and cut).
"""

from typing import ClassVar, Literal

from providers.chat import Usage

AttemptStatus = Literal["failed", "timeout"]


class ProviderError(Exception):
    """A target gave no answer; the class says what that means for the next step."""

    try_next: ClassVar[bool] = True
    """May another target be asked for the same request?"""
    retry_same: ClassVar[bool] = False
    """May this target be asked once more (transient fault, nothing received)?"""
    counts_as_failure: ClassVar[bool] = True
    """Does the breaker count it?"""
    of_key: ClassVar[bool] = False
    """Is it about the key that was used, so that another key of the same service may work?"""
    status: ClassVar[AttemptStatus] = "failed"
    """How the attempt is shown in `cascade_path`."""
    reason: ClassVar[str] = "error"
    """A word of a closed set: shown in `cascade_path`, used as a metric label."""

    def __init__(self, message: str = "", *, http_status: int | None = None, code: str | None = None) -> None:
        super().__init__(message or self.reason)
        self.message = message or self.reason
        self.http_status = http_status
        self.code = code


class RejectedRequest(ProviderError):
    """400, 413, 422: the request itself is refused; every other target would refuse it too."""

    try_next = False
    counts_as_failure = False
    reason = "bad_request"


class UnsupportedParameter(RejectedRequest):
    """400 `unsupported_parameter` or `unsupported_value`: another model may take it."""

    try_next = True
    reason = "unsupported_parameter"


class ContextLengthExceeded(RejectedRequest):
    """The prompt does not fit this model's window; a larger one may hold it."""

    try_next = True
    reason = "context_length_exceeded"


class ContentBlocked(RejectedRequest):
    """
    The provider's own filter refused prompt or answer. Final: asking another one would be shopping for a yes.

    `usage`: what it counts for it all the same.
    """

    reason = "content_policy_violation"

    def __init__(
        self,
        message: str = "",
        *,
        http_status: int | None = None,
        code: str | None = None,
        usage: Usage | None = None,
    ) -> None:
        super().__init__(message, http_status=http_status, code=code)
        self.usage = usage


class ModelNotFound(ProviderError):
    """404 for the model: this service does not have it."""

    counts_as_failure = False
    reason = "model_not_found"


class RateLimited(ProviderError):
    """429 of the short kind: the key is put aside until `retry_after_s` (seconds, None when not stated)."""

    counts_as_failure = False
    of_key = True
    reason = "rate_limited"

    def __init__(
        self,
        message: str = "",
        *,
        retry_after_s: float | None = None,
        http_status: int | None = 429,
        code: str | None = None,
    ) -> None:
        super().__init__(message, http_status=http_status, code=code)
        self.retry_after_s = retry_after_s


class QuotaExhausted(RateLimited):
    """402, or 429 for spent money or a spent day: waiting a moment does not help."""

    reason = "quota_exhausted"


class BadCredentials(ProviderError):
    """
    401, 403, or a 400 that means a wrong key: the operator's key for this service does not work.

    The key is put aside for long, which is all a breaker could do, and would also do to the service's other keys.
    """

    counts_as_failure = False
    of_key = True
    reason = "bad_credentials"


class Unavailable(ProviderError):
    """500, 502, 503 and their kin (520-526, 529)."""

    retry_same = True
    reason = "unavailable"


class Overloaded(Unavailable):
    """503, 529 or the like that says when to come back, in `retry_after_s` seconds: it is not asked again sooner."""

    retry_same = False

    def __init__(
        self, message: str = "", *, retry_after_s: float, http_status: int | None = None, code: str | None = None
    ) -> None:
        super().__init__(message, http_status=http_status, code=code)
        self.retry_after_s = retry_after_s


class ConnectionFailed(Unavailable):
    """DNS, refused, reset before a byte, TLS: counts against all targets of the service."""

    reason = "connection_failed"


class StreamBroken(ProviderError):
    """The body or stream ended or broke before its end."""

    reason = "stream_broken"


class MalformedReply(ProviderError):
    """A 200 that is not an answer: no JSON, no candidates, empty, or too large."""

    reason = "malformed_reply"


class TimedOut(ProviderError):
    """A limit of time passed; `phase` says which."""

    status = "timeout"
    reason = "timeout"

    def __init__(self, phase: Literal["connect", "first_token", "idle", "request", "total"]) -> None:
        super().__init__(f"no answer in time ({phase.replace('_', ' ')} limit)")
        self.phase = phase
