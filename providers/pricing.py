"""
Tokens to USD.

Prices are those of genai-prices, bundled with the installed version and never fetched; `source()` names it. The
library looks a model up by patterns and resolves a price per call, 100 µs and more; here the rates of a model are
worked out once and kept. What it does not price has no price: nothing is estimated from a similar model.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from importlib.metadata import version

from genai_prices.data import providers as _price_list
from genai_prices.types import ModelPrice, StartDateConstraint, TieredPrices, TimeOfDateConstraint

from providers.base import Usage

_MILLION = Decimal(1_000_000)
_CACHED_MODELS = 1024
"""Model names come back from upstream: the cache is bounded, and a flood of invented ones costs time, not memory."""
_LONGEST_NAME = 256

_BY_ID = {provider.id: provider for provider in _price_list}


@dataclass(frozen=True, slots=True)
class _Rate:
    """USD per token, by the number of input tokens: the last tier whose start is exceeded holds for all of them."""

    base: Decimal
    tiers: tuple[tuple[int, Decimal], ...] = ()

    def at(self, input_tokens: int) -> Decimal:
        rate = self.base
        for start, price in self.tiers:
            if input_tokens > start:
                rate = price
        return rate

    @classmethod
    def of(cls, price: object) -> "_Rate | None":
        if isinstance(price, Decimal):
            return cls(price / _MILLION)
        if isinstance(price, TieredPrices):
            return cls(price.base / _MILLION, tuple((tier.start, tier.price / _MILLION) for tier in price.tiers))
        return None


@dataclass(frozen=True, slots=True)
class _Rates:
    input: _Rate
    cached_input: _Rate
    output: _Rate
    reasoning: _Rate
    request: Decimal

    def cost(self, usage: Usage) -> Decimal:
        total = usage.input_tokens
        cached, reasoning = min(usage.cached_input_tokens, total), min(usage.reasoning_tokens, usage.output_tokens)
        return (
            self.input.at(total) * (total - cached)
            + self.cached_input.at(total) * cached
            + self.output.at(total) * (usage.output_tokens - reasoning)
            + self.reasoning.at(total) * reasoning
            + self.request
        )


def cost_usd(prices_id: str | None, model: str, usage: Usage) -> Decimal | None:
    """
    List price of one answer; None when unknown. `prices_id` is the provider's id in genai-prices.

    Cached input is charged at its own rate where there is one, else as input. Writing to a cache is charged as input:
    nothing here asks for it.
    """
    rates = _current(prices_id, model)
    return None if rates is None else rates.cost(usage)


def list_price(prices_id: str | None, model: str) -> tuple[Decimal, Decimal] | None:
    """USD per million tokens of input and output, below any tier. None when unknown."""
    rates = _current(prices_id, model)
    return None if rates is None else (rates.input.base * _MILLION, rates.output.base * _MILLION)


def source() -> str:
    """Where the prices are from and how old they are: name and version of the list."""
    return f"genai-prices {version('genai-prices')}"


def _current(prices_id: str | None, model: str) -> _Rates | None:
    if prices_id is None or not 0 < len(model) <= _LONGEST_NAME:
        return None
    plans = _plans(prices_id, model)
    if len(plans) <= 1:
        return plans[0].rates if plans else None
    now = datetime.now(tz=UTC)
    # Prices that begin on a date or hold for hours of the day: the last that holds is the one, else the first.
    return next((plan.rates for plan in reversed(plans) if plan.holds(now)), plans[0].rates)


@dataclass(frozen=True, slots=True)
class _Plan:
    """Rates (None: these are not tokens' prices) and when they hold."""

    constraint: StartDateConstraint | TimeOfDateConstraint | None
    rates: _Rates | None

    def holds(self, now: datetime) -> bool:
        return self.constraint is None or self.constraint.active(now)


@lru_cache(maxsize=_CACHED_MODELS)
def _plans(prices_id: str, model: str) -> tuple[_Plan, ...]:
    """Empty when the model is unknown. Asks the provider, not the library's snapshot, whose own cache has no bound."""
    provider = _BY_ID.get(prices_id)
    found = None if provider is None else provider.find_model(model, all_providers=_price_list)
    if found is None:
        return ()
    if isinstance(found.prices, ModelPrice):
        return (_Plan(None, _rates(found.prices, model)),)
    return tuple(_Plan(plan.constraint, _rates(plan.prices, model)) for plan in found.prices)


def _rates(price: ModelPrice, model: str) -> _Rates | None:
    given, taken = _Rate.of(price.input_mtok), _Rate.of(price.output_mtok)
    if given is None and taken is None and model.endswith(":free"):
        given = taken = _Rate(Decimal(0))  # OpenRouter's free variants are listed without a price
    if given is None or taken is None:
        return None
    return _Rates(
        input=given,
        cached_input=_Rate.of(price.cache_read_mtok) or given,
        output=taken,
        reasoning=_Rate.of(price.output_reasoning_mtok) or taken,
        request=_per_request(price),
    )


def _per_request(price: ModelPrice) -> Decimal:
    per_thousand = price.requests_kcount
    return per_thousand / 1000 if isinstance(per_thousand, Decimal) else Decimal(0)
