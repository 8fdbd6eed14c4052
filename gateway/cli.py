"""The command line: `llm-gateway serve|check|keys|bench`."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence

import uvicorn

from gateway.keys_cli import add_key_commands
from gateway.live import LiveConfig
from gateway.redis import connect, wait_until_reachable
from gateway.safety import configured, safety_note
from gateway.settings import Settings, SettingsError, load_settings, with_env_file
from gateway.startup import ensure_client_key, exit_on_problems

_OPTIONS = {"host": "HOST", "port": "PORT", "workers": "WORKERS", "config": "GATEWAY_CONFIG"}


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command. Without one, `serve`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        arguments.insert(0, "serve")
    options = _parser().parse_args(arguments)
    options.run(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="llm-gateway", description="A secure gateway between applications and LLMs.")
    commands = parser.add_subparsers(required=True, metavar="command")

    serve = commands.add_parser("serve", help="run the server (the default command)")
    serve.add_argument("--host", help="address to listen on (HOST, 127.0.0.1)")
    serve.add_argument("--port", help="port to listen on (PORT, 8000)")
    serve.add_argument("--workers", help="processes; more than one needs REDIS_URL (WORKERS, 1)")
    serve.add_argument("--config", help="a YAML file (GATEWAY_CONFIG)")
    serve.add_argument("--reload", action="store_true", help="restart when the code changes, for development (RELOAD)")
    serve.set_defaults(run=_serve)

    check = commands.add_parser("check", help="validate the configuration and print every problem")
    check.add_argument("--config", help="a YAML file (GATEWAY_CONFIG)")
    check.set_defaults(run=_check)

    keys = commands.add_parser("keys", help="create, list, show, rotate and revoke the keys in Redis")
    add_key_commands(keys)

    bench = commands.add_parser("bench", help="measure the gateway beside bare pass-through proxies")
    bench.add_argument("--requests", type=int, default=6000, help="requests per measurement (6000)")
    bench.add_argument("--json", action="store_true", help="print JSON only")
    bench.set_defaults(run=_bench)
    return parser


def _serve(options: argparse.Namespace) -> None:
    _set_variables(options)
    with exit_on_problems():
        settings = _checked()
        asyncio.run(_require_redis(settings))
        ensure_client_key(os.environ)
    # Uvicorn stops in order on SIGTERM and then sends it to itself again: that is a good end, not a crash.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.run(
        "gateway.asgi:app",
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        reload=options.reload or settings.reload,
        # One parser, one loop: httptools refuses the ambiguous framings that h11 lets through.
        http="httptools",
        loop="uvloop",
        ws="none",
        lifespan="on",
        # Who a client is, TRUSTED_PROXIES decides, not uvicorn's own list.
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        # Longer than load balancers keep an idle connection, so that it is they who close it.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=settings.grace_s,
    )


def _set_variables(options: argparse.Namespace) -> None:
    """An option stands for its variable, so that workers find it too."""
    for option, variable in _OPTIONS.items():
        if getattr(options, option, None) is not None:
            os.environ[variable] = getattr(options, option)


def _check(options: argparse.Namespace) -> None:
    _set_variables(options)
    with exit_on_problems():
        settings = _checked()
        classifiers = configured(settings, with_env_file(os.environ))
    note = safety_note(settings, [classifier.name for classifier in classifiers])
    if note is not None:
        sys.stderr.write(f"warning: {note}\n")
    sys.stdout.write("configuration is valid\n")


def _checked() -> Settings:
    """Everything that can be known to be wrong before anything is started."""
    environment = with_env_file(os.environ)
    settings = load_settings(environment)
    LiveConfig(settings, environment, settings.gateway_config)
    return settings


async def _require_redis(settings: Settings) -> None:
    if settings.redis_url is None or not settings.redis_required:
        return
    redis = connect(settings.redis_url, timeout_ms=settings.redis_timeout_ms)
    try:
        if not await wait_until_reachable(redis):
            raise SettingsError(["REDIS_URL: Redis does not answer"])
    finally:
        await redis.aclose()


def _bench(options: argparse.Namespace) -> None:
    from gateway.bench.report import run

    run(requests=options.requests, as_json=options.json)
