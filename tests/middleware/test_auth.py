"""API-key authentication."""

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from middleware.address import ClientAddress
from middleware.auth import AuthMiddleware, KeysUnavailable
from middleware.record import RECORD, Record
from middleware.scope import PRINCIPAL, Principal
from tests.middleware.asgi import Inner, Reply, ask

USER, ADMIN = Principal("user"), Principal("admin", admin=True)
UNAUTHORIZED = {"detail": "missing or invalid API key"}


class Keys:
    async def find(self, key: bytes) -> Principal | None:
        return {b"user-key": USER, b"admin-key": ADMIN}.get(key)


class Failures:
    """Allows two wrong keys."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def retry_after_s(self, address: str) -> int | None:
        self.seen.append(address)
        return 17 if len(self.seen) > 2 else None


@pytest.mark.parametrize(
    "headers",
    [
        [("X-API-Key", "user-key")],
        [("x-api-key", " user-key ")],
        [("Authorization", "Bearer user-key")],
        [("authorization", "bearer user-key")],
        [("Authorization", "BEARER  user-key")],
        [("X-API-Key", "Bearer user-key")],
        [("X-API-Key", "user-key"), ("Authorization", "Bearer user-key")],
        [("X-My-Key", "user-key")],
    ],
)
async def test_accepts(headers: list[tuple[str, str]]) -> None:
    """Every place and spelling a client may use; the endpoint learns who it is."""
    inner = Inner()
    reply = await ask(AuthMiddleware(inner, keys=Keys(), header_name="X-My-Key"), headers=headers)
    assert (reply.status, reply.body) == (200, b"inner")
    assert PRINCIPAL.get(inner.scopes[0]) == USER


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("X-API-Key", "")],
        [("X-API-Key", "wrong")],
        [("X-API-Key", "user-key\x00")],
        [("X-API-Key", "usér-key")],
        [("X-API-Key", "'; DROP TABLE keys; --")],
        [("X-API-Key", "*")],
        [("X-API-Key", "x" * 65536)],
        [("Authorization", "Bearer")],
        [("Authorization", "Bearer ")],
        [("Authorization", "Basic dXNlci1rZXk=")],
        [("Authorization", "user-key")],
        [("X-My-Key", "user-key")],
        [("Cookie", "key=user-key")],
    ],
)
async def test_one_indistinguishable_401(headers: list[tuple[str, str]]) -> None:
    """Missing, empty, unknown, malformed and misplaced keys get byte for byte the same answer."""
    inner = Inner()
    reply = await ask(AuthMiddleware(inner, keys=Keys()), headers=headers)
    assert (reply.status, reply.json()) == (401, UNAUTHORIZED)
    assert reply.headers == {
        "content-type": "application/json",
        "content-length": str(len(reply.body)),
        "www-authenticate": 'Bearer realm="gateway"',
    }
    assert inner.calls == 0


@pytest.mark.parametrize(
    "headers",
    [
        [("X-API-Key", "user-key"), ("X-API-Key", "admin-key")],
        [("X-API-Key", "user-key"), ("Authorization", "Bearer admin-key")],
        [("X-API-Key", "user-key"), ("Authorization", "Basic xyz")],
    ],
)
async def test_two_different_keys_are_400(headers: list[tuple[str, str]]) -> None:
    """Nobody may leave it to us which of two keys counts."""
    inner = Inner()
    reply = await ask(AuthMiddleware(inner, keys=Keys()), headers=headers)
    assert (reply.status, reply.json()) == (400, {"detail": "two different API keys in one request"})
    assert inner.calls == 0


async def test_admin_routes() -> None:
    """A client key is 403 where an admin key is needed, and no key still 401."""
    app = AuthMiddleware(Inner(), keys=Keys(), required="admin")
    replies = [await ask(app, headers=[("X-API-Key", key)]) for key in ("admin-key", "user-key", "wrong")]
    assert [reply.status for reply in replies] == [200, 403, 401]
    assert replies[1].json() == {"detail": "this key may not do that"}


async def test_scopes() -> None:
    """A key made for some groups of routes is 403 on others, one made for all is not; nobody stays nobody."""

    class Scoped:
        async def find(self, key: bytes) -> Principal | None:
            scopes = {b"chat": frozenset({"chat"}), b"none": frozenset[str](), b"any": None}.get(key)
            return Principal("k", scopes=scopes)

    inner = Inner()
    app = AuthMiddleware(inner, keys=Scoped(), scope="chat")
    replies = [await ask(app, headers=[("X-API-Key", key)]) for key in ("chat", "none", "any")]
    assert [(reply.status, reply.body) for reply in replies] == [
        (200, b"inner"),
        (403, b'{"detail":"this key may not do that"}'),
        (200, b"inner"),
    ]
    optional = AuthMiddleware(inner, keys=Scoped(), scope="query", required="optional")
    assert [(await ask(optional)).status, (await ask(optional, headers=[("X-API-Key", "chat")])).status] == [200, 403]
    assert inner.calls == 3


async def test_a_store_that_cannot_tell() -> None:
    """503 and when to try again: neither 200 nor 401, and not a wrong key of this address."""

    class Away:
        async def find(self, key: bytes) -> Principal | None:
            raise KeysUnavailable

    inner, failures, record = Inner(), Failures(), Record("r", 0.0)
    app = AuthMiddleware(inner, keys=Away(), failures=failures)

    async def recorded(scope: Scope, receive: Receive, send: Send) -> None:
        RECORD.put(scope, record)
        await app(scope, receive, send)

    reply = await ask(recorded, headers=[("X-API-Key", "some-key")])
    assert (reply.status, reply.json()) == (503, {"detail": "the store of keys does not answer"})
    assert (reply.headers["retry-after"], "www-authenticate" in reply.headers) == ("1", False)
    assert [(d.layer, d.outcome, d.reason) for d in record.decisions] == [("auth", "error", "store_unavailable")]
    assert (await ask(app)).status == 401
    assert (inner.calls, failures.seen) == (0, [])


async def test_optional_keys() -> None:
    """Without a key the caller is nobody; with a wrong one it is refused all the same."""
    inner = Inner()
    app = AuthMiddleware(inner, keys=Keys(), required="optional")
    replies = [await ask(app), await ask(app, headers=[("X-API-Key", "user-key")])]
    assert [reply.status for reply in replies] == [200, 200]
    assert [PRINCIPAL.get(scope) for scope in inner.scopes] == [None, USER]
    assert (await ask(app, headers=[("X-API-Key", "wrong")])).status == 401


async def test_too_many_wrong_keys() -> None:
    """Only further wrong keys are held off: a right one from the same address works, a missing one stays 401."""
    failures = Failures()
    app = AuthMiddleware(Inner(), keys=Keys(), failures=failures, address=ClientAddress())

    async def attempt(key: str | None) -> Reply:
        return await ask(app, headers=[("X-API-Key", key)] if key is not None else [], client=("198.51.100.7", 9))

    replies = [await attempt(key) for key in ("a", "b", "c", "user-key", None)]
    assert [reply.status for reply in replies] == [401, 401, 429, 200, 401]
    assert replies[2].json() == {"detail": "too many invalid API keys"}
    assert replies[2].headers["retry-after"] == "17"
    assert failures.seen == ["198.51.100.7"] * 3


async def test_writes_the_record() -> None:
    """The record names the key by its id and the reason of a refusal by a word of a closed set."""

    def recorded(app: ASGIApp, record: Record) -> ASGIApp:
        async def call(scope: Scope, receive: Receive, send: Send) -> None:
            RECORD.put(scope, record)
            await app(scope, receive, send)

        return call

    layer = AuthMiddleware(Inner(), keys=Keys())
    records = [Record("r", 0.0) for _ in range(3)]
    for record, key in zip(records, ("user-key", "wrong", None), strict=True):
        await ask(recorded(layer, record), headers=[("X-API-Key", key)] if key else [])
    assert [record.key_id for record in records] == ["user", None, None]
    assert [(d.layer, d.outcome, d.reason) for record in records for d in record.decisions] == [
        ("auth", "pass", ""),
        ("auth", "block", "invalid_key"),
        ("auth", "block", "missing_key"),
    ]


def test_refuses_an_unknown_class() -> None:
    """A typing mistake must not open a route."""
    with pytest.raises(ValueError, match="required must be"):
        AuthMiddleware(Inner(), keys=Keys(), required="none")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        # no proxy trusted, or an untrusted peer: what it claims is ignored
        ("198.51.100.7", "203.0.113.9", "198.51.100.7"),
        # a trusted peer: the right-most hop that is not trusted
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "6.6.6.6, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", ", ".join(["10.9.9.9"] * 100), "10.9.9.9"),
        # forms: ports, brackets, IPv6 by /64, mapped IPv4
        ("10.0.0.1", "203.0.113.9:4711", "203.0.113.9"),
        ("10.0.0.1", "[2001:db8::5]:443", "2001:db8::/64"),
        ("10.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"),
        # junk: the last address that could be read
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9, junk", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("unix:", "", "unknown"),
    ],
)
def test_client_address(peer: str, forwarded: str, address: str) -> None:
    """X-Forwarded-For is believed as far as trusted proxies wrote it."""
    scope = {"client": (peer, 1), "headers": [(b"x-forwarded-for", forwarded.encode())]}
    assert ClientAddress(["10.0.0.0/8"]).of(scope) == address


def test_client_address_without_proxies() -> None:
    """By default nobody's word but the socket's counts, and a socket without an address is told apart."""
    scope = {"client": ("10.0.0.1", 1), "headers": [(b"x-forwarded-for", b"203.0.113.9")]}
    assert ClientAddress().of(scope) == "10.0.0.1"
    assert ClientAddress().of({"client": None, "headers": []}) == "unknown"
    with pytest.raises(ValueError, match="host bits"):
        ClientAddress(["10.0.0.1/8"])
