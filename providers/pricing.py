"""
Tokens to USD.

Prices are the operator's own, else those of genai-prices, bundled with the installed version and never fetched;
`source()` names it. The library looks a model up by patterns and resolves a price per call, 100 µs and more; here the
rates of a model are worked out once and kept. What it does not price has no price: nothing is estimated from a similar
model.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from importlib.metadata import version

from genai_prices.data import providers as _price_list
from genai_prices.types import ModelPrice, StartDateConstraint, TieredPrices, TimeOfDateConstraint

from providers.base import Target
from providers.chat import Usage

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
    """`output` None: what it costs is not known, as with models that give vectors and no text."""

    input: _Rate
    cached_input: _Rate
    cache_write: _Rate
    output: _Rate | None
    reasoning: _Rate | None
    request: Decimal = Decimal(0)

    def cost(self, usage: Usage) -> Decimal | None:
        total = usage.input_tokens
        cached = min(usage.cached_input_tokens, total)
        written = min(usage.cache_write_tokens, total - cached)
        reasoning = min(usage.reasoning_tokens, usage.output_tokens)
        cost = (
            self.input.at(total) * (total - cached - written)
            + self.cached_input.at(total) * cached
            + self.cache_write.at(total) * written
            + self.request
        )
        if not usage.output_tokens:
            return cost
        if self.output is None or self.reasoning is None:
            return None
        return cost + self.output.at(total) * (usage.output_tokens - reasoning) + self.reasoning.at(total) * reasoning

    def listed(self) -> tuple[Decimal, Decimal] | None:
        return None if self.output is None else (self.input.base * _MILLION, self.output.base * _MILLION)


@dataclass(frozen=True, slots=True)
class Price:
    """The operator's own price of a model, in USD per million tokens. `cached_input_per_mtok` None: as other input."""

    input_per_mtok: Decimal
    output_per_mtok: Decimal
    cached_input_per_mtok: Decimal | None = None

    def rates(self) -> _Rates:
        given, taken = _Rate(self.input_per_mtok / _MILLION), _Rate(self.output_per_mtok / _MILLION)
        cached = given if self.cached_input_per_mtok is None else _Rate(self.cached_input_per_mtok / _MILLION)
        return _Rates(input=given, cached_input=cached, cache_write=given, output=taken, reasoning=taken)


class Prices:
    """What answers cost: the operator's prices by `service/model`, the provider's name of it, before the list's."""

    def __init__(self, overrides: Mapping[str, Price] | None = None) -> None:
        self._overrides = {name: price.rates() for name, price in (overrides or {}).items()}

    def cost_usd(self, target: Target, model: str, usage: Usage) -> Decimal | None:
        """
        The price of an answer of `target`, in which it calls itself `model`; None when unknown.

        The operator's price may be that of either name.
        """
        own = self._own(target, model)
        return cost_usd(target.prices_id, model, usage) if own is None else own.cost(usage)

    def list_price(self, target: Target, model: str) -> tuple[Decimal, Decimal] | None:
        """USD per million tokens of input and output, below any tier. None when unknown."""
        own = self._own(target, model)
        return list_price(target.prices_id, model) if own is None else own.listed()

    def _own(self, target: Target, model: str) -> _Rates | None:
        if not self._overrides:
            return None
        return self._overrides.get(target.name) or self._overrides.get(f"{target.service}/{model}")


def cost_usd(prices_id: str | None, model: str, usage: Usage) -> Decimal | None:
    """
    List price of one answer; None when unknown. `prices_id` is the provider's id in genai-prices.

    Input read from and written to a cache is charged at its own rate where there is one, else as input.
    """
    rates = _current(prices_id, model)
    return None if rates is None else rates.cost(usage)


def list_price(prices_id: str | None, model: str) -> tuple[Decimal, Decimal] | None:
    """USD per million tokens of input and output, below any tier. None when unknown."""
    rates = _current(prices_id, model)
    return None if rates is None else rates.listed()


def context_window(prices_id: str | None, model: str) -> int | None:
    """How many tokens the model takes, as the list says; None when it does not."""
    return _listing(prices_id, model).context_window


def source() -> str:
    """Where the prices are from and how old they are: name and version of the list."""
    return f"genai-prices {version('genai-prices')}"


def _current(prices_id: str | None, model: str) -> _Rates | None:
    plans = _listing(prices_id, model).plans
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


@dataclass(frozen=True, slots=True)
class _Listing:
    """What the list says of a model. No plans: it is unknown."""

    plans: tuple[_Plan, ...] = ()
    context_window: int | None = None


_UNLISTED = _Listing()


def _listing(prices_id: str | None, model: str) -> _Listing:
    if prices_id is None or not 0 < len(model) <= _LONGEST_NAME:
        return _UNLISTED
    return _looked_up(prices_id, model)


@lru_cache(maxsize=_CACHED_MODELS)
def _looked_up(prices_id: str, model: str) -> _Listing:
    """Asks the provider, not the library's snapshot, whose own cache has no bound."""
    provider = _BY_ID.get(prices_id)
    found = None if provider is None else provider.find_model(model, all_providers=_price_list)
    if found is None:
        return _UNLISTED
    if isinstance(found.prices, ModelPrice):
        plans: tuple[_Plan, ...] = (_Plan(None, _rates(found.prices, model)),)
    else:
        plans = tuple(_Plan(plan.constraint, _rates(plan.prices, model)) for plan in found.prices)
    return _Listing(plans, found.context_window)


def _rates(price: ModelPrice, model: str) -> _Rates | None:
    given, taken = _Rate.of(price.input_mtok), _Rate.of(price.output_mtok)
    if given is None and taken is None and model.endswith(":free"):
        given = taken = _Rate(Decimal(0))  # OpenRouter's free variants are listed without a price
    if given is None:
        return None
    return _Rates(
        input=given,
        cached_input=_Rate.of(price.cache_read_mtok) or given,
        cache_write=_Rate.of(price.cache_write_mtok) or given,
        output=taken,
        reasoning=_Rate.of(price.output_reasoning_mtok) or taken,
        request=_per_request(price),
    )


def _per_request(price: ModelPrice) -> Decimal:
    per_thousand = price.requests_kcount
    return per_thousand / 1000 if isinstance(per_thousand, Decimal) else Decimal(0)
