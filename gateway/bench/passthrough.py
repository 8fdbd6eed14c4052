"""
The bare proxies to compare with: uvicorn, Starlette, one HTTP client, no layer, no check, no parsing.

Run as `passthrough.py httpx|aiohttp UPSTREAM_PORT`; prints the port it listens on.
"""

import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

_HEADERS = {"content-type": "application/json", "authorization": "Bearer bench"}


def with_httpx(url: str) -> Starlette:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=256)
        async with httpx.AsyncClient(limits=limits, timeout=60) as client:
            app.state.client = client
            yield

    async def query(request: Request) -> Response:
        client: httpx.AsyncClient = request.app.state.client
        body = await request.body()
        if b'"stream":true' not in body:
            reply = await client.post(url, content=body, headers=_HEADERS)
            return Response(reply.content, reply.status_code, media_type="application/json")

        async def events() -> AsyncIterator[bytes]:
            async with client.stream("POST", url, content=body, headers=_HEADERS) as reply:
                async for chunk in reply.aiter_raw():
                    yield chunk

        return StreamingResponse(events(), media_type="text/event-stream")

    return Starlette(routes=[Route("/query", query, methods=["POST"])], lifespan=lifespan)


def with_aiohttp(url: str) -> Starlette:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
            app.state.client = client
            yield

    async def query(request: Request) -> Response:
        client: aiohttp.ClientSession = request.app.state.client
        body = await request.body()
        if b'"stream":true' not in body:
            async with client.post(url, data=body, headers=_HEADERS) as reply:
                return Response(await reply.read(), reply.status, media_type="application/json")

        async def events() -> AsyncIterator[bytes]:
            async with client.post(url, data=body, headers=_HEADERS) as reply:
                async for chunk in reply.content.iter_any():
                    yield chunk

        return StreamingResponse(events(), media_type="text/event-stream")

    return Starlette(routes=[Route("/query", query, methods=["POST"])], lifespan=lifespan)


def main() -> None:
    build: Callable[[str], Starlette] = {"httpx": with_httpx, "aiohttp": with_aiohttp}[sys.argv[1]]
    app = build(f"http://127.0.0.1:{sys.argv[2]}/v1/chat/completions")
    listening = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    config = uvicorn.Config(app, http="httptools", loop="uvloop", log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
