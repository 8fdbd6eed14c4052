"""`llm-gateway keys …`: the key store from the command line, with the rules of the admin API."""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from gateway.admin import check_policy, parse_new_key, parse_rotation
from gateway.announcements import Announcements
from gateway.config_file import FileConfig, read_config
from gateway.key_records import SCOPES
from gateway.key_store import Conflict, KeyStore, NotFound, StoreUnavailable, UnknownTenant
from gateway.redis import connect
from gateway.services import configured_services
from gateway.settings import Settings, SettingsError, load_settings, with_env_file
from gateway.startup import exit_on_problems
from middleware.body import InvalidBody

_FAILED = 1
"""Exit status when the store says no."""

_Command = Callable[[KeyStore, argparse.Namespace, FileConfig], Awaitable[Any]]


def add_key_commands(parser: argparse.ArgumentParser) -> None:
    """Put `create`, `list`, `show`, `rotate` and `revoke` under the command `keys`."""
    parser.description = "The keys in Redis (REDIS_URL, REDIS_PREFIX). A key is printed once, when it is made."
    commands = parser.add_subparsers(required=True, metavar="command")

    create = _command(commands, "create", "make a key and print it, once", _create)
    create.add_argument("--name", help="what the key is for")
    create.add_argument("--tenant", help="whose key it is (default)")
    create.add_argument("--scopes", type=_list, help=f"comma list of {', '.join(SCOPES)} (all but admin)")
    create.add_argument("--rate-limit", help="such as 60/minute;1000/day (RATE_LIMIT)")
    create.add_argument("--tokens-per-minute", type=int, help="tokens, asked and answered, in any 60 s (no limit)")
    create.add_argument("--concurrency", type=int, help="requests under way at once (no limit)")
    create.add_argument("--budget-day", metavar="USD", help="US dollars in a UTC day (no limit)")
    create.add_argument("--budget-month", metavar="USD", help="US dollars in a UTC month (no limit)")
    create.add_argument("--allowed-models", type=_list, help="comma list of models, aliases, service/model, service/*")
    create.add_argument("--policy", help="the policy that holds for it (its tenant's)")
    create.add_argument("--strict", action="store_true", default=None, help="refuse when Redis cannot be asked")
    create.add_argument("--expires-at", metavar="TIME", help="such as 2030-01-31T12:00:00Z (never)")
    create.add_argument("--disabled", action="store_true", default=None, help="not to be used yet")
    create.add_argument(
        "--metadata", metavar="NAME=TEXT", action="append", type=_pair, help="may be given several times"
    )

    listing = _command(commands, "list", "list the keys, the oldest first", _list_keys)
    listing.add_argument("--limit", type=_page_size, default=50, help="how many at most, up to 200 (50)")
    listing.add_argument("--cursor", type=int, help="the next_cursor of an earlier list")

    _command(commands, "show", "show one key", _show).add_argument("id")

    rotate = _command(commands, "rotate", "give a key a new secret and print it, once", _rotate)
    rotate.add_argument("id")
    rotate.add_argument("--grace-s", type=int, help="seconds for which the old secret stays good (86400)")

    _command(commands, "revoke", "forget a key for good, on every replica within a second", _revoke).add_argument("id")


def _command(commands: Any, name: str, help: str, act: _Command) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=help, description=help)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=lambda options: _run(act, options))
    return parser


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError("expected NAME=TEXT")
    return name, value


def _page_size(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 200:
        raise argparse.ArgumentTypeError("expected a whole number from 1 to 200")
    return int(text)


def _run(act: _Command, options: argparse.Namespace) -> None:
    with exit_on_problems():
        environment = with_env_file(os.environ)
        settings = load_settings(environment)
        if settings.redis_url is None:
            raise SettingsError(["REDIS_URL: required, as the embedded store lives and dies with its process"])
        config = _config(settings, environment)
        try:
            answer = asyncio.run(_with_store(settings, lambda store: act(store, options, config)))
        except InvalidBody as error:
            problems = [f"{'.'.join(map(str, field.loc))}: {field.msg}" for field in error.fields]
            raise SettingsError(problems) from None
        except UnknownTenant:
            raise SettingsError(["tenant: there is no such tenant"]) from None
        except StoreUnavailable:
            raise SettingsError(["REDIS_URL: Redis does not answer"]) from None
        except (NotFound, Conflict) as error:
            sys.stderr.write(f"{str(error) or 'there is no such key'}\n")
            raise SystemExit(_FAILED) from None
    sys.stdout.write(orjson.dumps(answer).decode() + "\n" if options.json else _written(answer))


async def _with_store(settings: Settings, act: Callable[[KeyStore], Awaitable[Any]]) -> Any:
    redis = connect(settings.redis_url, timeout_ms=max(settings.redis_timeout_ms, 2000))
    try:
        announcements = Announcements(redis, prefix=settings.redis_prefix)
        return await act(KeyStore(redis, prefix=settings.redis_prefix, announcements=announcements))
    finally:
        await redis.aclose()


def _config(settings: Settings, environment: Mapping[str, str]) -> FileConfig:
    if settings.gateway_config is None:
        return FileConfig(())
    return read_config(settings.gateway_config, environment, lambda: configured_services(settings, environment))


async def _create(store: KeyStore, options: argparse.Namespace, config: FileConfig) -> Any:
    names = (
        *("name", "tenant", "scopes", "rate_limit", "tokens_per_minute", "concurrency", "allowed_models"),
        *("policy", "strict", "expires_at", "disabled"),
    )
    fields = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    budget = {"day": options.budget_day, "month": options.budget_month}
    fields["budget_usd"] = {name: amount for name, amount in budget.items() if amount is not None} or None
    fields["metadata"] = dict(options.metadata or ())
    body = parse_new_key(fields)
    check_policy(body, config.policies)
    record, key = await store.create(body, file_tenants=config.tenants)
    return {**record.shown, "key": key}


async def _list_keys(store: KeyStore, options: argparse.Namespace, config: FileConfig) -> Any:
    page = await store.page(limit=options.limit, cursor=options.cursor)
    following = None if page.cursor is None else str(page.cursor)
    return {"keys": [record.shown for record in page.keys], "next_cursor": following}


async def _show(store: KeyStore, options: argparse.Namespace, config: FileConfig) -> Any:
    return (await store.get(options.id)).shown


async def _rotate(store: KeyStore, options: argparse.Namespace, config: FileConfig) -> Any:
    grace = parse_rotation({} if options.grace_s is None else {"grace_s": options.grace_s})
    record, key = await store.rotate(options.id, grace_s=grace.grace_s)
    return {**record.shown, "key": key}


async def _revoke(store: KeyStore, options: argparse.Namespace, config: FileConfig) -> Any:
    await store.revoke(options.id)
    return {"revoked": options.id}


def _written(answer: dict[str, Any]) -> str:
    """For people: a line for each key of a list, else a line for each field."""
    if "keys" not in answer:
        return "".join(f"{name}: {_value(value)}\n" for name, value in answer.items())
    lines = [
        f"{key['id']}  {key['tenant']}  {'disabled' if key['disabled'] else 'enabled'}  {_value(key['name'])}\n"
        for key in answer["keys"]
    ]
    more = answer["next_cursor"]
    return "".join(lines) + (f"more: --cursor {more}\n" if more is not None else "")


def _value(value: Any) -> str:
    """On one line, whatever it holds."""
    return value if isinstance(value, str) and value.isprintable() else orjson.dumps(value).decode()
