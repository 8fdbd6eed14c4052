"""Where Redis is and how one logs in: `REDIS_URL`, checked whole and taken apart."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit

from redis.asyncio.connection import SSLConnection, parse_url
from redis.exceptions import RedisError

Kind = Literal["server", "sentinel", "cluster"]

REDIS_PORT = 6379
SENTINEL_PORT = 26379
_HOST = re.compile(r"[A-Za-z0-9._:-]+")
_SERVICE = re.compile(r"[A-Za-z0-9._-]+")
"""What Sentinel itself accepts as the name of a primary."""
_OPTIONS = frozenset(
    {"db", "ssl_cert_reqs", "ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname"}
)
"""Options after `?`. Others of redis-py, such as `socket_timeout`, would undo what the client promises."""

_PARTS = frozenset({"username", "password", "path", "connection_class"})
_KINDS: Mapping[str, Kind] = {"": "server", "+sentinel": "sentinel", "+cluster": "cluster"}

FORMS = "expected redis://, rediss:// or unix:///path, redis+sentinel://host1,host2/name or redis+cluster://host1,host2"


@dataclass(frozen=True, slots=True)
class Place:
    """The address of one server: a Unix socket's path, else host and port."""

    host: str = ""
    port: int = 0
    path: str = ""


@dataclass(frozen=True, slots=True)
class Login:
    """What a server is told before anything else."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    db: int = 0
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    only_if_asked: bool = False
    """Offer the credentials only to a server that demands some."""


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """
    `places` are servers, sentinels or nodes of a cluster; `service` is the name the sentinels know the primary by.

    `options` are redis-py's own, without a place, for the connections that it makes itself.
    """

    kind: Kind
    places: tuple[Place, ...]
    login: Login
    service: str
    options: dict[str, Any] = field(repr=False)


class _Problem(ValueError):
    """What is wrong, in words that hold nothing of the URL."""


def parse_redis_url(url: str) -> RedisUrl:
    """
    Take apart one of the forms of `FORMS`; `rediss+sentinel` and `rediss+cluster` mean TLS.

    Raises `ValueError` with a text that holds nothing of the URL.
    """
    try:
        return _parse(urlsplit(url))
    except _Problem:
        raise
    except ValueError:
        raise ValueError(f"malformed: {FORMS}") from None


def _parse(url: SplitResult) -> RedisUrl:
    base, plus, suffix = url.scheme.partition("+")
    kind = _KINDS.get(plus + suffix)
    if base not in ("redis", "rediss", "unix") or kind is None or (base == "unix" and plus) or url.fragment:
        raise _Problem(FORMS)
    userinfo, at, hosts = url.netloc.rpartition("@")
    socket_path = url.path if base == "unix" else ""
    # redis-py knows how names and passwords are quoted and what its options mean; its reading of the rest is lenient.
    options: dict[str, Any] = dict(parse_url(f"{base}://{userinfo}{at}{socket_path}?{url.query}"))
    if not options.keys() <= _OPTIONS | _PARTS:
        raise _Problem(f"the only options are {', '.join(sorted(_OPTIONS))}")
    names = [] if base == "unix" else [part for part in url.path.split("/") if part]
    service = ""
    if base == "unix":
        if not socket_path:
            raise _Problem("the path of the socket is missing: unix:///path")
        places: tuple[Place, ...] = (Place(path=options["path"]),)
    elif kind == "server":
        places = (_place(hosts or "localhost", REDIS_PORT),)
    else:
        port = SENTINEL_PORT if kind == "sentinel" else REDIS_PORT
        places = tuple(_place(host, port) for host in hosts.split(","))
    if kind == "sentinel":
        service = names.pop(0) if names else ""
        if not _SERVICE.fullmatch(service):
            raise _Problem("the primary's name is missing or not one: redis+sentinel://host1,host2/name")
    db = names.pop(0) if names else str(options.get("db", 0))
    if names or not db.isascii() or not db.isdecimal() or len(db) > 5:
        raise _Problem("the database is not a number")
    if kind == "cluster" and int(db):
        raise _Problem("a cluster has database 0 only")
    login = Login(options.get("username"), options.get("password"), int(db), _tls(options))
    mine = {name: value for name, value in options.items() if name != "path"} | {"db": int(db)}
    return RedisUrl(kind, places, login, service, mine)


def _place(text: str, port: int) -> Place:
    parts = urlsplit(f"//{text}")
    host = parts.hostname or ""
    if parts.path or parts.query or not _HOST.fullmatch(host):
        raise _Problem("a host is missing or malformed")
    return Place(host, port if parts.port is None else parts.port)


def _tls(options: Mapping[str, Any]) -> ssl.SSLContext | None:
    chosen = {name: value for name, value in options.items() if name.startswith("ssl_")}
    if options.get("connection_class") is not SSLConnection:
        if chosen:
            raise _Problem("ssl_ options need rediss://")
        return None
    try:
        return SSLConnection(**chosen).ssl_context.get()
    except (OSError, RedisError, ValueError):
        raise _Problem("an ssl_ option is wrong, or its file cannot be read") from None
