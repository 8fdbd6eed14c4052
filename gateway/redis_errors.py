"""Which errors speak of the Redis server, and which of a key, a script or a command."""

from redis.exceptions import (
    ClusterDownError,
    ConnectionError,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)

_OUTAGES = (
    OSError,  # a deadline that has passed is one: TimeoutError
    ConnectionError,  # refused, reset, LOADING, max clients, credentials refused
    ClusterDownError,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)
_OUTAGE_CODES = frozenset({"BUSY", "MISCONF", "NOREPLICAS"})
"""Codes of errors that redis-py has no class for: a script that does not end, writes refused by the server."""
_NO_RIGHTS_IN_SCRIPT = ("The user executing the script can't ", "ACL failure in script: ")
"""NOPERM is said outside scripts only; inside, Redis 7.0 has the first words, 7.2 and Valkey have the second."""


FAILURES_TO_OPEN = 3
"""In a row: one late answer is no outage."""


class StoreAway(ConnectionError):
    """Redis was not asked, as it did not answer just now."""


def is_outage(error: Exception) -> bool:
    """Whether an error speaks of the server; else of a key, a script or a command."""
    text = str(error)
    return (
        isinstance(error, _OUTAGES) or text.partition(" ")[0] in _OUTAGE_CODES or text.startswith(_NO_RIGHTS_IN_SCRIPT)
    )
