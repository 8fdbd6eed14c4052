"""The section `tenants` of the configuration file."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from gateway.key_records import (
    DEFAULT_TENANT,
    MAX_CONCURRENCY,
    MAX_TOKENS,
    MAX_USD,
    TENANT_ID,
    Budget,
    NewTenant,
    is_windows,
)
from providers.entries import Entry, shown

_FIELDS = (
    *("name", "rate_limit", "tokens_per_minute", "concurrency", "budget_usd", "allowed_models", "policy"),
    *("strict", "disabled", "metadata"),
)


def read_tenants(top: Entry, problems: list[str], policies: Collection[str]) -> Mapping[str, NewTenant]:
    """By id. `policies` are those there are. What is wrong goes to `problems`, and that tenant is left out."""
    found: dict[str, NewTenant] = {}
    section = top.map("tenants") or {}
    reader = Entry(section, top.at("tenants"), problems)
    for id in section:
        if not TENANT_ID.fullmatch(id) or id == DEFAULT_TENANT:
            why = "an id has at most 63 of a-z, 0-9, '-' and '_', begins with one of a-z and 0-9, and is not 'default'"
            reader.wrong(shown(id), why)
            continue
        fields = reader.map(id)
        tenant = _tenant(id, Entry(fields or {}, reader.at(id), problems), problems, policies)
        if tenant is not None:
            found[id] = tenant
    return found


def _tenant(id: str, entry: Entry, problems: list[str], policies: Collection[str]) -> NewTenant | None:
    before = len(problems)
    entry.check_keys(_FIELDS)
    budget = Entry(entry.map("budget_usd") or {}, entry.at("budget_usd"), problems)
    budget.check_keys(("day", "month"))
    metadata = entry.map("metadata") or {}
    notes = Entry(metadata, entry.at("metadata"), problems)
    fields: dict[str, Any] = {
        "name": entry.text("name", lambda _: True, "must be text") or "",
        "rate_limit": entry.text("rate_limit", _is_rate_limit, "must be like 60/minute, several separated by ';'"),
        "tokens_per_minute": entry.whole("tokens_per_minute", 0, MAX_TOKENS),
        "concurrency": entry.whole("concurrency", 0, MAX_CONCURRENCY),
        "budget_usd": Budget(day=budget.amount("day", MAX_USD), month=budget.amount("month", MAX_USD)),
        "allowed_models": list(entry.texts("allowed_models")) if "allowed_models" in entry else None,
        "policy": entry.choice("policy", sorted(policies)),
        "strict": entry.flag("strict") or False,
        "disabled": entry.flag("disabled") or False,
        "metadata": {name: notes.text(name, lambda _: True, "must be text") or "" for name in metadata},
    }
    if len(problems) > before:
        return None
    try:
        return NewTenant(id=id, **fields)
    except ValidationError as error:
        for item in error.errors(include_input=False, include_url=False, include_context=False):
            entry.wrong(str(item["loc"][0]), item["msg"].removeprefix("Value error, "))
        return None


def _is_rate_limit(text: str) -> bool:
    with suppress(ValueError):
        return bool(is_windows(text))
    return False
