"""From an environment to an app, with the key that a first run needs."""

import logging
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager

from starlette.applications import Starlette

from gateway.app import create_app
from gateway.keys import new_key
from gateway.logs import configure_logging
from gateway.settings import NOT_YET, SettingsError, load_settings, with_env_file

log = logging.getLogger(__name__)

REFUSED = 2
"""Exit status of a start that the configuration forbids."""


@contextmanager
def exit_on_problems() -> Iterator[None]:
    """Turn a `SettingsError` into one line per problem on standard error and exit status 2."""
    try:
        yield
    except SettingsError as error:
        sys.stderr.write("".join(f"{problem}\n" for problem in error.problems))
        raise SystemExit(REFUSED) from None


def build(environ: MutableMapping[str, str]) -> Starlette:
    """Read the environment and `.env`, set up logging, make sure there is a client key, build the app."""
    ensure_client_key(environ)
    environment = with_env_file(environ)
    settings = load_settings(environment)
    configure_logging(settings.log_level, settings.log_format)
    for name in NOT_YET:
        if environment.get(name, "").strip():
            log.warning("%s is set, but this version does not read it", name)
    return create_app(environment, reread=lambda: with_env_file(environ))


def ensure_client_key(environ: MutableMapping[str, str]) -> None:
    """
    Without any client key, make one for this run, print it once and put it where workers will find it.

    Otherwise a first run would answer nobody, or worse, anybody.
    """
    settings = load_settings(with_env_file(environ))
    if not settings.enable_auth or settings.client_keys():
        return
    key = new_key()
    environ["SERVICE_API_KEY"] = key
    sys.stdout.write(f"API key for this run:\n{key}\n")
    sys.stdout.flush()
