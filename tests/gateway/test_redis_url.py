"""`REDIS_URL`: every form is understood, and a malformed one is refused in words that hold nothing of it."""

import pytest

from gateway.redis_url import Place, parse_redis_url
from gateway.settings import SettingsError, load_settings

LOCAL = Place("localhost", 6379)


@pytest.mark.parametrize(
    ("url", "kind", "places", "login", "service"),
    [
        ("redis://", "server", (LOCAL,), (None, None, 0), ""),
        ("redis://localhost", "server", (LOCAL,), (None, None, 0), ""),
        ("redis://h:7000/2", "server", (Place("h", 7000),), (None, None, 2), ""),
        ("redis://h?db=4", "server", (Place("h", 6379),), (None, None, 4), ""),
        ("redis://[::1]:7000/", "server", (Place("::1", 7000),), (None, None, 0), ""),
        ("redis://me@h", "server", (Place("h", 6379),), ("me", None, 0), ""),
        ("redis://:a%40b%2Fc@h", "server", (Place("h", 6379),), (None, "a@b/c", 0), ""),
        ("rediss://me:pw@h", "server", (Place("h", 6379),), ("me", "pw", 0), ""),
        ("unix:///run/redis.sock", "server", (Place(path="/run/redis.sock"),), (None, None, 0), ""),
        ("unix://me:pw@/run/redis.sock?db=1", "server", (Place(path="/run/redis.sock"),), ("me", "pw", 1), ""),
        ("redis+sentinel://a/main", "sentinel", (Place("a", 26379),), (None, None, 0), "main"),
        (
            "redis+sentinel://me:p,w@a:1,b,[::1]:3/my-main.1/5",
            "sentinel",
            (Place("a", 1), Place("b", 26379), Place("::1", 3)),
            ("me", "p,w", 5),
            "my-main.1",
        ),
        ("redis+cluster://a", "cluster", (Place("a", 6379),), (None, None, 0), ""),
        ("redis+cluster://:pw@a,b:7001/0", "cluster", (Place("a", 6379), Place("b", 7001)), (None, "pw", 0), ""),
        ("rediss+cluster://a", "cluster", (Place("a", 6379),), (None, None, 0), ""),
    ],
)
def test_forms(
    url: str, kind: str, places: tuple[Place, ...], login: tuple[str | None, str | None, int], service: str
) -> None:
    """Kind, places with their default ports, quoted credentials, database, name; TLS where it says so."""
    found = parse_redis_url(url)
    assert (found.kind, found.places, found.service) == (kind, places, service)
    assert (found.login.username, found.login.password, found.login.db) == login
    assert (found.login.tls is not None) == url.startswith("rediss")
    assert "pw" not in repr(found)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://s3cret", "expected redis://"),
        ("s3cret", "expected redis://"),
        ("s3cret://h", "expected redis://"),
        ("redis+s3cret://h", "expected redis://"),
        ("unix+cluster:///s3cret", "expected redis://"),
        ("redis://h:s3cret", "malformed: expected redis://"),
        ("redis://h:99999", "malformed: expected redis://"),
        ("redis://[s3cret", "malformed: expected redis://"),
        ("redis://:s3cret#x@h", "expected redis://"),
        ("redis://h/s3cret", "the database is not a number"),
        ("redis://h/1/s3cret", "the database is not a number"),
        ("redis://h?db=-1", "the database is not a number"),
        ("redis://h?db=s3cret", "malformed: expected redis://"),
        ("redis://h?socket_timeout=5", "the only options are db, ssl_"),
        ("redis://h?s3cret=1", "the only options are db, ssl_"),
        ("redis://h?ssl_cert_reqs=none", "ssl_ options need rediss://"),
        ("rediss://h?ssl_cert_reqs=s3cret", "an ssl_ option is wrong, or its file cannot be read"),
        ("rediss://h?ssl_ca_certs=/s3cret.pem", "an ssl_ option is wrong, or its file cannot be read"),
        ("unix://", "the path of the socket is missing"),
        ("redis://a,s3cret", "a host is missing or malformed"),
        ("redis+sentinel://a,b", "the primary's name is missing or not one"),
        ("redis+sentinel://a/s3cret%20", "the primary's name is missing or not one"),
        ("redis+sentinel://a/main/s3cret", "the database is not a number"),
        ("redis+sentinel://a,,b/main", "a host is missing or malformed"),
        ("redis+sentinel:///main", "a host is missing or malformed"),
        ("redis+cluster://", "a host is missing or malformed"),
        ("redis+cluster://a/1", "a cluster has database 0 only"),
    ],
)
def test_malformed(url: str, problem: str) -> None:
    """The problem names the variable and what is wrong, and nothing of the value."""
    with pytest.raises(SettingsError) as failed:
        load_settings({"REDIS_URL": url, "SERVICE_API_KEY": "a-key-that-is-long-enough"})
    [text] = failed.value.problems
    assert text.startswith(f"REDIS_URL: {problem}")
    assert "s3cret" not in text
