"""
The gateway under a real server: in this process (`serve`), or as operators run it (`Replica`, `run_gateway`).

`environment` says where the providers are; nothing else of the tester's own environment reaches the gateway.
"""

import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import httpx
import uvicorn

from tests.upstream import Upstream, free_port

ROOT = Path(__file__).parent.parent
CLIENT_KEY = "client-key-of-the-tests-0123456789"
"""`SERVICE_API_KEY` unless a test says otherwise."""


@dataclass(frozen=True, slots=True)
class Provider:
    """How a provider is told to the gateway: its variables, and the path its official SDK's base URL ends with."""

    name: str
    path: str
    key: str | None


PROVIDERS = {
    "gemini": Provider("GEMINI", "", "GEMINI_API_KEY"),
    "groq": Provider("GROQ", "/openai/v1", "GROQ_API_KEY"),
    "openrouter": Provider("OPENROUTER", "/api/v1", "OPENROUTER_API_KEY"),
    "openai": Provider("OPENAI", "/v1", "OPENAI_API_KEY"),
    "anthropic": Provider("ANTHROPIC", "", "ANTHROPIC_API_KEY"),
    "cerebras": Provider("CEREBRAS", "/v1", "CEREBRAS_API_KEY"),
    "deepinfra": Provider("DEEPINFRA", "/v1/openai", "DEEPINFRA_TOKEN"),
    "mistral": Provider("MISTRAL", "/v1", "MISTRAL_API_KEY"),
    "deepseek": Provider("DEEPSEEK", "/v1", "DEEPSEEK_API_KEY"),
    "together": Provider("TOGETHER", "/v1", "TOGETHER_API_KEY"),
    "xai": Provider("XAI", "/v1", "XAI_API_KEY"),
    "fireworks": Provider("FIREWORKS", "/inference/v1", "FIREWORKS_API_KEY"),
    "ollama": Provider("OLLAMA", "/v1", None),
    "lakera": Provider("LAKERA", "", "LAKERA_API_KEY"),
}


def environment(
    upstreams: Mapping[str, Upstream | str] | None = None,
    *,
    redis_url: str | None = None,
    data_dir: Path | None = None,
    **overrides: str,
) -> dict[str, str]:
    """
    Return the environment of a gateway that uses these providers, by name: `{"gemini": up, "groq": other}`.

    A provider may also be an origin (`http://127.0.0.1:1`), such as one nobody listens on. The key is the upstream's
    own, or a made-up one. The rate limit is out of the way unless a test sets `RATE_LIMIT`; everything else has the
    gateway's own default, in which no `redis_url` means the embedded store.
    """
    variables = {"SERVICE_API_KEY": CLIENT_KEY, "RATE_LIMIT": "100000/minute"}
    for name, upstream in (upstreams or {}).items():
        provider = PROVIDERS[name]
        origin = upstream if isinstance(upstream, str) else upstream.url
        variables[f"{provider.name}_BASE_URL"] = origin + provider.path
        if provider.key is not None:
            known = None if isinstance(upstream, str) else upstream.rules.key
            variables[provider.key] = known or f"key-for-{name}-0123456789"
    if redis_url is not None:
        variables["REDIS_URL"] = redis_url
    if data_dir is not None:
        variables["DATA_DIR"] = str(data_dir)
    return variables | overrides


class _Server(uvicorn.Server):
    """Uvicorn as a guest in a test's loop: it says when it listens, and leaves the test runner's signals alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self.leave = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit as error:
            # Uvicorn exits when the lifespan fails to start; that would take the loop down with it.
            raise RuntimeError("the application's lifespan failed to start; its log says why") from error
        self.listening.set()

    async def main_loop(self) -> None:
        # One tick sets the Date header; the rest would only look at signals and request counts.
        await self.on_tick(0)
        await self.leave.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Uvicorn's waits a tenth of a second, also for nobody: thousands of tests would wait for that.
        for connection in list(self.server_state.connections):
            connection.shutdown()
        for _ in range(3):  # turns of the loop in which an idle connection is gone
            await asyncio.sleep(0)
        if self.server_state.connections or self.server_state.tasks:
            await super().shutdown(sockets)
            return
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        await self.lifespan.shutdown()


@asynccontextmanager
async def serve(app: Any, *, grace_s: int = 2, limit_s: float = 10.0) -> AsyncIterator[str]:
    """
    Run an ASGI application under uvicorn in this loop and yield its base URL.

    The lifespan must start and stop. On leaving, answers still under way have `grace_s` before they are cancelled.
    """
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=grace_s,
    )
    server = _Server(config)
    # With its protocol named, or asyncio leaves Nagle's algorithm on and every answer on a kept connection waits 40 ms.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        listening = asyncio.create_task(server.listening.wait())
        try:
            await asyncio.wait({serving, listening}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                # Raises what kept it from starting.
                await serving
            assert server.started, f"not listening after {limit_s:g} s"
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listening.cancel()
            server.leave.set()
            if not serving.done():
                async with asyncio.timeout(grace_s + limit_s):
                    await serving


def _clean(variables: Mapping[str, str], home: str) -> dict[str, str]:
    # The sources are not necessarily installed, and the working directory is elsewhere: PYTHONPATH leads to them.
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": home, "PYTHONPATH": str(ROOT), **variables}


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that has ended."""

    code: int
    stdout: str
    stderr: str


async def run_gateway(*arguments: str, variables: Mapping[str, str], limit_s: float = 20.0) -> Finished:
    """Run `python -m gateway …` to its end, in an empty directory, with nothing but these variables."""
    with tempfile.TemporaryDirectory(prefix="gateway-") as directory:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway",
            *arguments,
            cwd=directory,
            env=_clean(variables, directory),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(limit_s):
                stdout, stderr = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode is not None
        return Finished(process.returncode, stdout.decode(), stderr.decode())


class Replica:
    """
    One gateway process, as an operator starts it: `python -m gateway serve --port P`.

    Its directory is empty and its environment clean, so no `.env` and no variable of the tester's is read. It stays
    after the process has ended, so that `start` again is a restart with the same `DATA_DIR`. Closing ends the process
    and asserts that it left no child behind.
    """

    def __init__(self, variables: Mapping[str, str], *arguments: str, port: int | None = None) -> None:
        self.port = port or free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="gateway-"))
        self._variables = variables
        self._arguments = arguments
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def stdout(self) -> str:
        return self._read("stdout")

    @property
    def stderr(self) -> str:
        return self._read("stderr")

    def _read(self, name: str) -> str:
        path = self.directory / name
        return path.read_text(errors="replace") if path.exists() else ""

    def _append(self, name: str) -> BinaryIO:
        return open(self.directory / name, "ab")

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self, limit_s: float = 20.0) -> None:
        """Start and wait for `/health/live`. Raises `RuntimeError` with the output if it ends or takes too long."""
        assert self._process is None or self._process.returncode is not None, "already running"
        # Files, not pipes: a pipe nobody reads would stop a talkative gateway.
        with self._append("stdout") as stdout, self._append("stderr") as stderr:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "gateway",
                "serve",
                "--port",
                str(self.port),
                *self._arguments,
                cwd=self.directory,
                env=_clean(self._variables, str(self.directory)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(limit_s), httpx.AsyncClient(trust_env=False) as client:
                while not await self._is_live(client):
                    if self._process.returncode is not None:
                        raise RuntimeError(f"the gateway ended with {self._process.returncode}:\n{self._output()}")
                    # A process that is starting can only be asked again and again.
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise RuntimeError(f"the gateway was not live after {limit_s:g} s:\n{self._output()}") from None

    async def _is_live(self, client: httpx.AsyncClient) -> bool:
        try:
            return (await client.get(f"{self.url}/health/live")).status_code == 200
        except httpx.TransportError:
            return False

    def _output(self) -> str:
        return f"{self.stdout}\n{self.stderr}"

    def send_signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "not started"
        self._process.send_signal(number)

    async def wait(self, limit_s: float = 30.0) -> int:
        """Wait for the process to end by itself and return its code (minus the signal's number, if it was killed)."""
        assert self._process is not None, "not started"
        async with asyncio.timeout(limit_s):
            return await self._process.wait()

    async def terminate(self, limit_s: float = 30.0) -> int:
        """SIGTERM: the orderly end. Returns the exit code."""
        self.send_signal(signal.SIGTERM)
        return await self.wait(limit_s)

    async def kill(self) -> None:
        """SIGKILL: the crash. Workers of the process, if any, are killed with it."""
        assert self._process is not None, "not started"
        os.killpg(self._process.pid, signal.SIGKILL)
        await self.wait()

    async def close(self) -> None:
        """End the process if it runs, and check that its group is empty. Raises `AssertionError` if it is not."""
        try:
            if self._process is not None:
                if self._process.returncode is None:
                    self.send_signal(signal.SIGTERM)
                    try:
                        await self.wait()
                    except TimeoutError:
                        await self.kill()
                        raise AssertionError(f"SIGTERM did not end the gateway:\n{self._output()}") from None
                assert not await self._children_remain(), f"the gateway left processes behind:\n{self._output()}"
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    async def _children_remain(self, patience_s: float = 3.0) -> bool:
        """Kill what is left of the process group after a while; report whether there was anything."""
        assert self._process is not None
        deadline = asyncio.get_running_loop().time() + patience_s
        while True:
            late = asyncio.get_running_loop().time() > deadline
            try:
                os.killpg(self._process.pid, signal.SIGKILL if late else 0)
            except ProcessLookupError:
                return False
            if late:
                return True
            # The tracker of a worker pool ends by itself a moment after its parent; nothing tells when.
            await asyncio.sleep(0.02)
