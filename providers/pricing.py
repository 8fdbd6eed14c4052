"""
Tokens to USD.

List prices come from genai-prices (github.com/pydantic/genai-prices), whose data are part of the pinned package and
carry the date of that release; nothing is fetched. A model it does not know has no price: None, never a guess.
"""

from decimal import Decimal
from functools import lru_cache

from genai_prices import Usage as PricedUsage
from genai_prices import calc_price

from providers.base import Usage

_MTOK = 1_000_000


@lru_cache(maxsize=1024)
def _per_token(prices_id: str, model: str) -> tuple[Decimal, Decimal, Decimal] | None:
    """
    USD per input, output and cached input token.

    Read once per model by pricing a million tokens of each kind: a look-up costs a hundred times an addition. Models
    whose price depends on the size of the prompt are not linear, so they are not read this way.
    """
    try:
        whole = calc_price(PricedUsage(input_tokens=_MTOK), model, provider_id=prices_id).total_price
        tenth = calc_price(PricedUsage(input_tokens=_MTOK // 10), model, provider_id=prices_id).total_price
        output = calc_price(PricedUsage(output_tokens=_MTOK), model, provider_id=prices_id).total_price
        cached_usage = PricedUsage(input_tokens=_MTOK, cache_read_tokens=_MTOK)
        cached = calc_price(cached_usage, model, provider_id=prices_id).total_price
    except LookupError:
        return None
    if whole != tenth * 10:
        return None
    return whole / _MTOK, output / _MTOK, cached / _MTOK


def cost_usd(prices_id: str | None, model: str, usage: Usage) -> Decimal | None:
    """What an answer costs by list price; None when there is none. Cached input is charged at its own rate."""
    if prices_id is None:
        return None
    prices = _per_token(prices_id, model)
    if prices is None:
        return _exactly(prices_id, model, usage)
    per_input, per_output, per_cached = prices
    cached = min(usage.cached_input_tokens, usage.input_tokens)
    return per_input * (usage.input_tokens - cached) + per_cached * cached + per_output * usage.output_tokens


def _exactly(prices_id: str, model: str, usage: Usage) -> Decimal | None:
    """For prices that are not linear, and for models without one."""
    priced = PricedUsage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=min(usage.cached_input_tokens, usage.input_tokens),
    )
    try:
        return calc_price(priced, model, provider_id=prices_id).total_price
    except LookupError:
        return None


@lru_cache(maxsize=1024)
def list_price(prices_id: str | None, model: str) -> tuple[Decimal, Decimal] | None:
    """USD per million input and output tokens, for a short prompt; None when unknown."""
    if prices_id is None:
        return None
    try:
        thousand_in = calc_price(PricedUsage(input_tokens=1000), model, provider_id=prices_id).total_price
        thousand_out = calc_price(PricedUsage(output_tokens=1000), model, provider_id=prices_id).total_price
    except LookupError:
        return None
    return thousand_in * 1000, thousand_out * 1000
