"""A primary, its replica and three Sentinels that watch them: real server processes."""

import shutil
import signal
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from tests.redis_cluster import ask, until
from tests.redis_server import RedisServer, server_binary
from tests.upstream import free_port

SERVICE = "main"


class RedisSentinel:
    """
    `servers` are the primary and its replica, as they begin; `ports` those of the sentinels.

    `down_after_ms` is how long the primary may be silent before a sentinel calls it dead.
    """

    def __init__(self, *, down_after_ms: int = 500, **options: str) -> None:
        # A replica is served at once, not with others that might ask within seconds.
        options = {"repl_diskless_sync_delay": "0", **options}
        self.servers = [RedisServer(**options), RedisServer(**options)]
        self.ports = [free_port() for _ in range(3)]
        self._down_after_ms = down_after_ms
        self._directory = Path(tempfile.mkdtemp(prefix="sentinel-"))
        self._processes: list[subprocess.Popen[bytes]] = []
        self._stack = ExitStack()

    @property
    def url(self) -> str:
        return "redis+sentinel://" + ",".join(f"127.0.0.1:{port}" for port in self.ports) + f"/{SERVICE}"

    def primary_port(self) -> int:
        """As the first sentinel that answers knows it."""
        for port in self.ports:
            try:
                with redis.Redis(port=port, socket_timeout=1.0) as client:
                    return int(client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)[1])
            except redis.RedisError:
                continue
        raise TimeoutError("no sentinel answers")

    def primary(self) -> RedisServer:
        port = self.primary_port()
        return next(server for server in self.servers if server.port == port)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(shutil.rmtree, self._directory, ignore_errors=True)
            for server in self.servers:
                stack.enter_context(server)
            stack.callback(self._end_sentinels)
            self._form()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def flush(self) -> None:
        """Forget all data and all scripts."""
        self.primary().flush()

    def fail_over(self) -> None:
        """Have the last sentinel make the replica the primary, without anybody having failed."""
        with redis.Redis(port=self.ports[-1], socket_timeout=5.0) as client:
            client.execute_command("SENTINEL", "FAILOVER", SERVICE)

    def pause_sentinel(self, number: int) -> None:
        """SIGSTOP: it accepts connections and answers nothing."""
        self._processes[number].send_signal(signal.SIGSTOP)

    def _form(self) -> None:
        primary, replica = self.servers
        ask(replica, "REPLICAOF", "127.0.0.1", primary.port)
        until(lambda: b"master_link_status:up" in ask(replica, "INFO", "replication"))
        for port in self.ports:
            settings = self._directory / f"{port}.conf"
            settings.write_text(
                f"port {port}\nbind 127.0.0.1\ndir {self._directory}\n"
                f"sentinel monitor {SERVICE} 127.0.0.1 {primary.port} 2\n"
                f"sentinel down-after-milliseconds {SERVICE} {self._down_after_ms}\n"
                f"sentinel failover-timeout {SERVICE} 3000\n"
            )
            with open(self._directory / f"{port}.log", "ab") as log:
                command = [server_binary(), str(settings), "--sentinel"]
                self._processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        # A failover needs sentinels who know of each other and of the replica.
        until(lambda: all(self._knows_all(port) for port in self.ports))

    def _knows_all(self, port: int) -> bool:
        try:
            with redis.Redis(port=port, socket_timeout=1.0) as client:
                facts = client.sentinel_master(SERVICE)
        except redis.RedisError:
            return False
        return bool(facts["num-slaves"] == 1 and facts["num-other-sentinels"] == 2)

    def _end_sentinels(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
