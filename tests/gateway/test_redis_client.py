"""The Redis client on one server: replies reach who asked, and a bad server or network costs a bounded time."""

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis.exceptions as errors
from redis import Redis as PlainRedis
from redis.asyncio import Redis

from gateway.redis import GuardedRedis, connect, warn_of_eviction
from gateway.redis_errors import FAILURES_TO_OPEN, StoreAway
from gateway.redis_pipe import MAX_WAITING, PipeFull
from middleware.limits import Window
from middleware.rate_limit import SlidingWindow
from tests.gateway.conftest import Start
from tests.redis_proxy import RedisProxy
from tests.redis_server import RedisServer
from tests.upstream import free_port

CANCELS = 10_000


@asynccontextmanager
async def client_of(url: str, *, timeout_ms: int = 300) -> AsyncIterator[Any]:
    redis = connect(url, timeout_ms=timeout_ms)
    try:
        yield redis
    finally:
        await redis.aclose()


@asynccontextmanager
async def watched(url: str, *, timeout_ms: int = 300) -> AsyncIterator[GuardedRedis]:
    """A client whose breaker may open, with a watcher that never looks."""
    watcher = asyncio.create_task(asyncio.Event().wait())
    async with client_of(url, timeout_ms=timeout_ms) as redis:
        redis.watched_by(watcher)
        yield redis
    watcher.cancel()


async def test_no_reply_goes_to_another(single_redis_url: str) -> None:
    """Ten thousand commands cancelled at any moment, a word of its own in each: every reply holds the asker's word."""
    async with client_of(single_redis_url, timeout_ms=10_000) as redis:
        cancelled = number = 0
        while cancelled < CANCELS:
            asked = {}
            for _ in range(200):
                number += 1
                asked[f"canary-{number}"] = asyncio.create_task(redis.echo(f"canary-{number}"))
            for _ in range(1 + number // 200 % 7):
                await asyncio.sleep(0)
            for task in list(asked.values())[number // 200 % 3 :: 3]:
                task.cancel()
            for word, task in asked.items():
                with suppress(asyncio.CancelledError):
                    assert await task == word.encode()
                cancelled += task.cancelled()
            assert number < 20 * CANCELS, "the cancels came too late to prove anything"
        assert len(await redis.client_list()) == 1


async def test_one_write_a_turn(single_redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty-four commands of concurrent callers leave in one write; one after the other, each in its own."""
    writes: list[int] = []
    send = socket.socket.send

    def counting(sock: socket.socket, data: bytes, *flags: int) -> int:
        if b"EVALSHA" in bytes(data):
            writes.append(bytes(data).count(b"EVALSHA"))
        return send(sock, data, *flags)

    monkeypatch.setattr(socket.socket, "send", counting)
    async with client_of(single_redis_url) as redis:
        sha = await redis.script_load("return ARGV[1]")
        replies = await asyncio.gather(*(redis.evalsha(sha, 0, number) for number in range(64)))
        assert replies == [str(number).encode() for number in range(64)]
        assert writes == [64]
        for _ in range(3):
            await redis.evalsha(sha, 0, 1)
        assert writes == [64, 1, 1, 1]


SHAPES: list[tuple[Any, ...]] = [
    ("ping",),
    ("set", "text", 1),
    ("set", "text", 2, None, None, True),
    ("get", "text"),
    ("hset", "h", "a", 2.5),
    ("hgetall", "h"),
    ("hgetall", "none"),
    ("sadd", "s", "x"),
    ("smembers", "s"),
    ("zadd", "z", {"m": 1.5}),
    ("zrange", "z", 0, -1, False, True),
    ("xadd", "x", {"f": "v"}, "1-1"),
    ("xrange", "x"),
    ("xread", {"x": 0}),
    ("scan", 0, "h*"),
    ("ttl", "text"),
    ("exists", "text", "none"),
    ("expire", "text", 100),
    ("eval", "return {1, 'two', {3}, false, redis.status_reply('OK')}", 0),
    ("script_load", "return 1"),
    ("config_get", "maxmemory-policy"),
]


async def test_replies_have_the_shapes_of_redis_py(single_redis_url: str) -> None:
    """Each method of redis-py answers as it does there, errors of commands too."""
    async with client_of(single_redis_url) as redis, Redis.from_url(single_redis_url, protocol=3) as plain:
        for name, *args in SHAPES:
            await plain.flushdb()
            await plain.hset("h", "b", "1")
            await plain.xadd("x", {"f": "v"}, id="0-1")
            expected = await getattr(plain, name)(*args)
            await plain.flushdb()
            await plain.hset("h", "b", "1")
            await plain.xadd("x", {"f": "v"}, id="0-1")
            found = await getattr(redis, name)(*args)
            assert (found, type(found)) == (expected, type(expected)), name
        assert (await redis.info("memory"))["maxmemory_policy"] == "noeviction"
        with pytest.raises(errors.ResponseError, match="WRONGTYPE"):
            await redis.lpush("h", "x")
        with pytest.raises(errors.NoScriptError):
            await redis.evalsha("0" * 40, 0)
        with pytest.raises(errors.DataError):
            await redis.execute_command("SET", "x", object())
        with pytest.raises(NotImplementedError):
            redis.pipeline()


async def test_what_nobody_waits_for_is_not_sent(single_redis_url: str) -> None:
    """A command cancelled in the turn it was asked in never reaches the server."""
    async with client_of(single_redis_url) as redis:
        await redis.ping()
        task = asyncio.create_task(redis.set("late", "1"))
        await asyncio.sleep(0)
        task.cancel()
        assert await redis.get("late") is None


async def test_frozen(own_redis: RedisServer) -> None:
    """All that wait on a frozen server fail together after the deadline; its late replies are nobody's."""
    async with client_of(own_redis.url) as redis:
        await redis.set("word", "right")
        own_redis.pause()
        start = time.monotonic()
        failed = await asyncio.gather(*(redis.echo(f"old-{n}") for n in range(50)), return_exceptions=True)
        assert {type(error) for error in failed} == {TimeoutError}
        assert 0.25 < time.monotonic() - start < 2
        own_redis.resume()
        assert await asyncio.gather(*(redis.get("word") for _ in range(50))) == [b"right"] * 50


async def test_network_faults(own_redis: RedisServer) -> None:
    """Reset, half a reply, garbage, vanished bytes: the command fails, the connection is never used again."""
    async with RedisProxy(own_redis) as proxy, client_of(proxy.url) as redis:
        await redis.set("word", "right")

        async def fails_once(error: type[Exception]) -> None:
            before = proxy.accepted
            with pytest.raises(error):
                await redis.get("word")
            proxy.black_hole, proxy.delay_s = False, 0
            assert await redis.get("word") == b"right"
            assert proxy.accepted == before + 1

        proxy.black_hole = True
        await fails_once(TimeoutError)
        proxy.delay_s = 1
        await fails_once(TimeoutError)
        proxy.black_hole = True
        waiting = asyncio.create_task(redis.get("word"))
        await asyncio.sleep(0.05)
        proxy.reset()
        with pytest.raises(errors.ConnectionError):
            await waiting
        proxy.black_hole = False
        assert await redis.get("word") == b"right"
        # What came out of turn is not taken for the next reply.
        for noise in (
            b"$5\r\nwrong\r\n",
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            b"-ERR max number of clients reached\r\n",
        ):
            before = proxy.accepted
            proxy.inject(noise)
            async with asyncio.timeout(5):
                await proxy.deserted()  # the client hangs up on its own account
            assert await redis.get("word") == b"right"
            assert proxy.accepted == before + 1
        before = proxy.accepted
        proxy.inject(b"$500\r\nhalf")
        await asyncio.sleep(0.05)
        with pytest.raises(TimeoutError):
            await redis.get("word")
        # A push is no reply, and no harm.
        assert await redis.get("word") == b"right"
        proxy.inject(b">2\r\n+invalidate\r\n+x\r\n")
        assert await redis.get("word") == b"right"
        assert proxy.accepted == before + 1


@pytest.mark.parametrize("size", range(0, 22, 3))
async def test_cut_anywhere(own_redis: RedisServer, size: int) -> None:
    """A reply cut after any byte is an error, to those behind it too; the next connection is sound."""
    async with RedisProxy(own_redis) as proxy, client_of(proxy.url) as redis:
        await redis.set("word", "right")
        proxy.cut_after = size
        failed = list(await asyncio.gather(redis.get("word"), redis.get("word"), return_exceptions=True))
        whole = size // len(b"$5\r\nright\r\n")
        assert failed[:whole] == [b"right"] * whole
        assert [type(error) for error in failed[whole:]] == [errors.ConnectionError] * (2 - whole)
        assert await redis.get("word") == b"right"
        assert proxy.accepted == 2


async def test_closed_while_idle(own_redis: RedisServer) -> None:
    """That costs nobody an error; a greeting cut short does, once."""
    async with RedisProxy(own_redis) as proxy, client_of(proxy.url) as redis:
        for size in (0, 7, 40):
            assert await redis.ping()
            proxy.hang_up()
            await asyncio.wait_for(proxy.deserted(), 5)
            assert await redis.ping()
            proxy.hang_up()
            await asyncio.wait_for(proxy.deserted(), 5)
            proxy.cut_after = size
            with pytest.raises(errors.ConnectionError):
                await redis.ping()
        assert proxy.accepted == 3 * 3


OUTAGES = {
    "READONLY You can't write against a read only replica.": errors.ReadOnlyError,
    "LOADING Redis is loading the dataset in memory": errors.ConnectionError,
    "MASTERDOWN Link with MASTER is down": errors.MasterDownError,
    "CLUSTERDOWN The cluster is down": errors.ClusterDownError,
    "TRYAGAIN Multiple keys request during rehashing of slot": errors.TryAgainError,
    "NOPERM this user has no permissions": errors.NoPermissionError,
    "OOM command not allowed when used memory > 'maxmemory'.": errors.OutOfMemoryError,
    "BUSY Redis is busy running a script.": errors.ResponseError,
    "MISCONF Redis is configured to save RDB snapshots": errors.ResponseError,
}


@pytest.mark.parametrize("text", OUTAGES)
async def test_a_server_that_speaks_of_itself(own_redis: RedisServer, text: str) -> None:
    """Each such answer is a failure of the server; three in a row and it is not asked any more."""
    async with RedisProxy(own_redis) as proxy, watched(proxy.url) as redis:
        await redis.ping()
        proxy.forged = {"GET": text}
        for _ in range(FAILURES_TO_OPEN):
            assert redis.up
            with pytest.raises(OUTAGES[text]):
                await redis.get("x")
        assert not redis.up
        sent = len(proxy.reads)
        with pytest.raises(StoreAway):
            await redis.get("x")
        assert len(proxy.reads) == sent
        # After READONLY the name may lead elsewhere: each time a new connection.
        assert proxy.accepted == (FAILURES_TO_OPEN if text.startswith("READONLY") else 1)


async def test_one_late_answer_is_one_failure(own_redis: RedisServer) -> None:
    """However many waited for it; and an answer begins the count anew."""
    async with RedisProxy(own_redis) as proxy, watched(proxy.url, timeout_ms=100) as redis:
        for _ in range(FAILURES_TO_OPEN + 1):
            await redis.ping()
            proxy.black_hole = True
            await asyncio.gather(*(redis.ping() for _ in range(20)), return_exceptions=True)
            proxy.black_hole = False
            assert redis.up


async def test_a_forgotten_script_costs_one_trip(own_redis: RedisServer) -> None:
    """NOSCRIPT, even if the server says so every time: EVAL follows, the decision stands, nothing opens."""
    async with RedisProxy(own_redis) as proxy, watched(proxy.url) as redis:
        proxy.forged = {"EVALSHA": "NOSCRIPT No matching script. Please use EVAL."}
        limiter = SlidingWindow(redis)
        for left in range(9, 4, -1):
            assert (await limiter.hit("k", [Window(10, 60)])).states[0].remaining == left
        assert redis.up


@pytest.mark.parametrize("text", OUTAGES)
async def test_requests_go_on(own_redis: RedisServer, gateway: Start, text: str) -> None:
    """Whatever Redis says of itself, callers are answered, within their share of the limit."""
    async with RedisProxy(own_redis) as proxy:
        client = await gateway(redis_url=proxy.url, REDIS_TIMEOUT_MS="2000")
        reply = await client.get("/v1/models")
        assert (reply.status_code, reply.headers.get("x-ratelimit-mode")) == (200, None)
        proxy.forged = {"EVALSHA": text, "EVAL": text}
        for _ in range(FAILURES_TO_OPEN + 1):
            reply = await client.get("/v1/models")
            assert (reply.status_code, reply.headers["x-ratelimit-mode"]) == (200, "degraded")


async def test_max_clients(own_redis: RedisServer) -> None:
    """A server that takes no more connections is one that is away; one connection is all this process asks for."""
    with PlainRedis.from_url(own_redis.socket_url) as other:
        other.config_set("maxclients", 1)
        async with client_of(own_redis.url) as redis:
            with pytest.raises(errors.ConnectionError, match="max number of clients"):
                await redis.ping()
            other.config_set("maxclients", 2)
            assert await asyncio.gather(*(redis.ping() for _ in range(500))) == [True] * 500
            assert [row["name"] for row in other.client_list()] == ["", "llm-gateway"]


async def test_waiting_is_bounded(own_redis: RedisServer) -> None:
    """A server that is silent holds so many commands and no more: the rest is refused at once."""
    async with RedisProxy(own_redis) as proxy, client_of(proxy.url, timeout_ms=3000) as redis:
        await redis.ping()
        proxy.black_hole = True
        asked = [asyncio.create_task(redis.get("x")) for _ in range(MAX_WAITING + 5)]
        await asyncio.sleep(0)
        refused = [task for task in asked if task.done()]
        assert len(refused) == 5
        assert {type(task.exception()) for task in refused} == {PipeFull}
        assert {type(error) for error in await asyncio.gather(*asked, return_exceptions=True)} == {
            PipeFull,
            TimeoutError,
        }


async def test_logging_in(own_redis: RedisServer) -> None:
    """Credentials and database are those of the URL; wrong ones are an outage that names none of them."""
    with PlainRedis.from_url(own_redis.socket_url) as other:
        other.acl_setuser("me", enabled=True, passwords=["+p@ss:/word"], keys=["*"], commands=["+@all"])
        other.config_set("requirepass", "default-secret")
    at = f"127.0.0.1:{own_redis.port}"
    async with client_of(f"redis://me:p%40ss%3A%2Fword@{at}/3") as redis:
        assert await redis.set("here", "1")
        [row] = await redis.client_list()
        assert (row["user"], row["db"], row["name"]) == ("me", "3", "llm-gateway")
    async with client_of(f"unix://:default-secret@{own_redis.socket_path}?db=3") as redis:
        assert await redis.get("here") == b"1"
    for wrong in (f"redis://me:wrong-secret@{at}", f"redis://{at}", f"redis://:wrong-secret@{at}"):
        async with client_of(wrong) as redis:
            with pytest.raises(errors.AuthenticationError) as failed:
                await redis.ping()
            assert "secret" not in str(failed.value)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")
async def test_tls(tmp_path: Path) -> None:
    """`rediss://` checks the server's certificate and name, unless told otherwise; so does pub/sub."""
    made = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost")
    names = ("-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem")
    making = await asyncio.create_subprocess_exec("openssl", *made, *names, cwd=tmp_path, stderr=subprocess.DEVNULL)
    assert await making.wait() == 0
    cert, key, port = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"), free_port()
    files = {"tls_cert_file": cert, "tls_key_file": key, "tls_ca_cert_file": cert}
    with ExitStack() as stack:
        try:
            stack.enter_context(RedisServer(tls_port=str(port), tls_auth_clients="no", **files))
        except RuntimeError as error:
            if "tls" in str(error).lower():
                pytest.skip("this server was built without TLS")
            raise
        async with client_of(f"rediss://localhost:{port}/0?ssl_ca_certs={cert}", timeout_ms=2000) as redis:
            assert await redis.ping()
            async with redis.pubsub() as pubsub:
                await pubsub.subscribe("c")
                assert await redis.publish("c", "x") == 1
        async with client_of(f"rediss://localhost:{port}/0?ssl_cert_reqs=none", timeout_ms=2000) as redis:
            assert await redis.ping()
        for wrong in (f"rediss://localhost:{port}", f"rediss://127.0.0.1:{port}?ssl_ca_certs={cert}"):
            async with client_of(wrong, timeout_ms=2000) as redis:
                with pytest.raises(errors.ConnectionError):
                    await redis.ping()


async def test_eviction_is_warned_of(own_redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """Unless the policy is noeviction; nothing is said, and nothing fails, where that may not be asked."""
    async with client_of(own_redis.url) as redis:
        await warn_of_eviction(redis)
        assert caplog.messages == []
        await redis.config_set("maxmemory-policy", "allkeys-lru")
        await warn_of_eviction(redis)
        [message] = caplog.messages
        assert message.startswith("Redis evicts keys when it is full (maxmemory-policy allkeys-lru)")
        await redis.acl_setuser("default", commands=["-info"])
        await warn_of_eviction(redis)
        assert len(caplog.messages) == 1
