"""A Redis Cluster of real server processes: three primaries, with replicas of the first ones if asked for."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from tests.redis_server import RedisServer
from tests.upstream import free_port

FORM_LIMIT_S = 20.0


class RedisCluster:
    """
    `nodes` are the primaries, each with a third of the slots; `replicas` those of the first of them, in order.

    `node_timeout_ms` is how long a node may be silent before the others call it dead.
    """

    def __init__(self, *, replicas: int = 0, node_timeout_ms: int = 1000, **options: str) -> None:
        options |= {"cluster_enabled": "yes", "cluster_node_timeout": str(node_timeout_ms)}
        # A replica is served at once, not with others that might ask within seconds.
        options.setdefault("repl_diskless_sync_delay", "0")
        # Named, as the usual one, 10 000 above, may not exist or be taken.
        self._bus_ports = [free_port() for _ in range(3 + replicas)]
        everybody = [RedisServer(**options, cluster_port=str(port)) for port in self._bus_ports]
        self.nodes, self.replicas = everybody[:3], everybody[3:]
        self._stack = ExitStack()

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def holder(self, key: str) -> RedisServer:
        """The primary that was given this key's slot at first."""
        return self.nodes[key_slot(key.encode()) * len(self.nodes) // REDIS_CLUSTER_HASH_SLOTS]

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for node in (*self.nodes, *self.replicas):
                stack.enter_context(node)
            self._form()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def flush(self) -> None:
        """Forget all data and all scripts."""
        for node in self.nodes:
            node.flush()

    def _form(self) -> None:
        everybody = [*self.nodes, *self.replicas]
        for number, node in enumerate(self.nodes):
            start, end = (-(-REDIS_CLUSTER_HASH_SLOTS * part // 3) for part in (number, number + 1))
            ask(node, "CLUSTER", "ADDSLOTSRANGE", start, end - 1)
            ask(node, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node, bus_port in zip(everybody[1:], self._bus_ports[1:], strict=True):
            ask(everybody[0], "CLUSTER", "MEET", "127.0.0.1", node.port, bus_port)
        until(lambda: all(b"cluster_state:ok" in ask(node, "CLUSTER", "INFO") for node in self.nodes))
        until(lambda: all(len(primaries(node)) == len(self.nodes) for node in everybody))
        for primary, replica in zip(self.nodes, self.replicas, strict=False):
            ask(replica, "CLUSTER", "REPLICATE", ask(primary, "CLUSTER", "MYID"))
        until(lambda: all(b"master_link_status:up" in ask(node, "INFO", "replication") for node in self.replicas))
        # A failover needs the votes of others, who have to know of the replica by then.
        until(lambda: all(ask(node, "CLUSTER", "NODES").count(b"slave") == len(self.replicas) for node in everybody))


def primaries(node: RedisServer) -> set[int]:
    """The ports of those that hold slots, as this node knows them."""
    return {int(port) for _, _, (_, port, *_), *_ in ask(node, "CLUSTER", "SLOTS")}


def ask(node: RedisServer, *args: Any) -> Any:
    """The raw reply to a command, asked of this very server."""
    with redis.Redis.from_url(node.socket_url, socket_timeout=5.0) as client:
        client.response_callbacks.clear()
        return client.execute_command(*args)


def until(check: Callable[[], bool], *, limit_s: float = FORM_LIMIT_S) -> None:
    """Ask again and again, as nothing tells. Raises `TimeoutError`."""
    deadline = time.monotonic() + limit_s
    while not check():
        if time.monotonic() > deadline:
            raise TimeoutError("the servers did not get that far")
        time.sleep(0.02)
