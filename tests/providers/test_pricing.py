"""Tokens to USD, against the library the prices come from."""

import time
import warnings
from decimal import Decimal

import pytest
from genai_prices import Usage as ListedUsage
from genai_prices import calc_price
from genai_prices.data import providers as price_list

from providers import pricing
from providers.base import Target
from providers.chat import Usage
from providers.openai_compatible import OpenAICompatible
from providers.pricing import Price, Prices, context_window, cost_usd, list_price, source
from providers.registry import PROVIDERS

SMALL = Usage(1_000, 500, 200, 100, 300)
LARGE = Usage(400_000, 20_000, 100_000, 5_000, 50_000)  # above every tier


@pytest.mark.parametrize("prices_id", sorted({row.prices_id for row in PROVIDERS if row.prices_id}))
@pytest.mark.parametrize("usage", [SMALL, LARGE], ids=["small", "large"])
def test_agrees_with_the_list(prices_id: str, usage: Usage) -> None:
    """Each model of each provider costs what the list says for the same tokens."""
    [provider] = [provider for provider in price_list if provider.id == prices_id]
    compared = 0
    for model in provider.models:
        name = f"accounts/fireworks/models/{model.id}" if prices_id == "fireworks" else model.id
        cost = cost_usd(prices_id, name, usage)
        if cost is None:
            continue
        listed = ListedUsage(
            input_tokens=usage.input_tokens,
            cache_read_tokens=usage.cached_input_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            output_tokens=usage.output_tokens,
            output_reasoning_tokens=usage.reasoning_tokens,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = calc_price(listed, name, provider_id=prices_id).total_price
        assert cost == pytest.approx(expected, rel=Decimal("1e-12")), name
        compared += 1
    assert compared >= min(5, len(provider.models))


def test_known_price() -> None:
    """Worked by hand: Groq's gpt-oss-20b at 0.075 input, 0.0375 cached, 0.30 output per million."""
    assert list_price("groq", "openai/gpt-oss-20b") == (Decimal("0.075"), Decimal("0.3"))
    assert cost_usd("groq", "openai/gpt-oss-20b", Usage(1_000_000, 1_000_000)) == Decimal("0.375")
    assert cost_usd("groq", "openai/gpt-oss-20b", Usage(1_000_000, 0, 400_000)) == Decimal("0.06")


@pytest.mark.parametrize(
    ("prices_id", "model"),
    [
        (None, "gpt-5.4-mini"),
        ("openai", ""),
        ("openai", "no-such-model"),
        ("openai", "gpt-5.4-mini" + "x" * 300),
        ("nobody", "gpt-5.4-mini"),
        ("openai", "whisper-1"),  # listed, not by tokens
        ("openai", "text-embedding-3-small"),  # no price for output
        ("openrouter", "openrouter/free"),
    ],
)
def test_unknown_is_none(prices_id: str | None, model: str) -> None:
    """No price is no guess."""
    assert cost_usd(prices_id, model, SMALL) is None
    assert list_price(prices_id, model) is None


def test_vectors_cost_their_input() -> None:
    """A model without a price for output has one as long as it gives none."""
    assert cost_usd("openai", "text-embedding-3-small", Usage(1_000_000, 0)) == Decimal("0.02")


def test_cache_writes() -> None:
    """At their own price where the list has one, else as input; never more of them than there is input."""
    assert cost_usd("anthropic", "claude-haiku-4-5", Usage(1_000_000, 0, 0, 0, 400_000)) == Decimal("1.1")
    assert cost_usd("groq", "openai/gpt-oss-20b", Usage(1_000_000, 0, 0, 0, 400_000)) == Decimal("0.075")
    assert cost_usd("groq", "openai/gpt-oss-20b", Usage(1_000_000, 0, 1_000_000, 0, 9)) == Decimal("0.0375")


@pytest.mark.parametrize(
    ("prices_id", "model", "tokens"),
    [
        ("anthropic", "claude-haiku-4-5", 200_000),
        ("groq", "openai/gpt-oss-20b", 131_072),
        ("groq", "no-such-model", None),
        (None, "gpt-5.4-mini", None),
        ("groq", "x" * 300, None),
    ],
)
def test_context_window(prices_id: str | None, model: str, tokens: int | None) -> None:
    """As the list has it."""
    assert context_window(prices_id, model) == tokens


# The operator's own


def target(service: str, model: str, prices_id: str | None = None) -> Target:
    return Target(service, model, OpenAICompatible(), "http://127.0.0.1/v1", prices_id=prices_id)


OWN = Prices(
    {
        "s/m": Price(Decimal(2), Decimal(10), Decimal("0.5")),
        "s/dated": Price(Decimal(3), Decimal(3)),
        "g/openai/gpt-oss-20b": Price(Decimal(0), Decimal(0)),
    }
)


@pytest.mark.parametrize(
    ("asked", "model", "cost", "listed"),
    [
        # by the model that was asked, else by the one that answered
        (target("s", "m"), "m", "12", ("2", "10")),
        (target("s", "m"), "dated", "12", ("2", "10")),
        (target("s", "auto"), "dated", "6", ("3", "3")),
        # an own price of nothing is a price
        (target("g", "openai/gpt-oss-20b", "groq"), "openai/gpt-oss-20b", "0", ("0", "0")),
        # else the list's
        (target("h", "openai/gpt-oss-20b", "groq"), "openai/gpt-oss-20b", "0.375", ("0.075", "0.3")),
        (target("h", "m"), "m", None, None),
    ],
)
def test_own_prices(asked: Target, model: str, cost: str | None, listed: tuple[str, str] | None) -> None:
    """They stand for one model of one service, and before the list."""
    assert OWN.cost_usd(asked, model, Usage(1_000_000, 1_000_000)) == (None if cost is None else Decimal(cost))
    expected = None if listed is None else (Decimal(listed[0]), Decimal(listed[1]))
    assert OWN.list_price(asked, model) == expected


def test_own_price_of_a_cache() -> None:
    """Reading has its price, else that of input; writing has that of input."""
    usage = Usage(1_000_000, 0, 400_000, 0, 100_000)
    assert OWN.cost_usd(target("s", "m"), "m", usage) == Decimal("1.4")
    assert OWN.cost_usd(target("s", "dated"), "dated", usage) == Decimal(3)


def test_free_variants_cost_nothing() -> None:
    """OpenRouter lists them without a price, which is their price."""
    assert cost_usd("openrouter", "openai/gpt-oss-20b:free", SMALL) == 0


def test_invented_models_take_no_memory() -> None:
    """Names come back from upstream: what is remembered of them is bounded, here and in the library."""
    for number in range(3000):
        cost_usd("openai", f"gpt-5.4-mini-{number}", SMALL)
    assert pricing._looked_up.cache_info().currsize <= 1024
    from genai_prices.data_snapshot import get_snapshot

    assert not any(model.startswith("gpt-5.4-mini-") for _, _, model in get_snapshot()._lookup_cache)


def test_cost_of_a_cached_look_up() -> None:
    """On the hot path: 10 µs or less; 50 leaves room for a busy machine, and 100 would be the library's own look-up."""
    cost_usd("anthropic", "claude-haiku-4-5", SMALL)
    best = min(_timed() for _ in range(5))
    assert best < 50e-6


def _timed() -> float:
    started = time.perf_counter()
    for _ in range(200):
        cost_usd("anthropic", "claude-haiku-4-5", SMALL)
    return (time.perf_counter() - started) / 200


def test_source() -> None:
    """The list and its version, for the documentation."""
    assert source().startswith("genai-prices 0.")
