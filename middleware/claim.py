"""Who is limited by what: a key and its tenant, and where Redis keeps their counts."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from middleware.limits import UNLIMITED, Limits, Window
from middleware.scope import Principal

_PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
TENANT = "tenant"


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a request may come to at most: tokens of prompt and answer, and their price in nano-USD (1e-9)."""

    tokens: int
    nano_usd: int


@dataclass(frozen=True, slots=True)
class Subject:
    """
    Somebody with limits: `name` is what its Redis keys begin with after the prefix, its hash tag in braces included.

    `owner` is what its figures' names begin with: nothing for the key itself, `tenant-` for its tenant.
    """

    name: str
    owner: str
    windows: tuple[Window, ...]
    limits: Limits


@dataclass(frozen=True)
class Claim:
    """
    All that holds for the requests of one key. One claim's Redis keys share a hash tag, `{t-<tenant>}`, or
    `{key-<id>}` for keys of the default tenant as long as that has no limits: so that one script may decide.
    """

    key_id: str
    slot: str
    subjects: tuple[Subject, ...]

    @cached_property
    def strict(self) -> bool:
        """Whether nothing may be decided without the store."""
        return any(subject.limits.strict or subject.limits.has_budget for subject in self.subjects)

    @cached_property
    def reserves(self) -> bool:
        return any(subject.limits.reserves for subject in self.subjects)


def is_plain(principal: Principal) -> bool:
    """Whether windows of requests of the key's own are all there is: the common case, decided by a smaller script."""
    limits, shared = principal.limits, principal.tenant_limits
    if limits is UNLIMITED and shared is UNLIMITED:
        return True
    return not (limits.reserves or limits.strict or shared.reserves or shared.windows or shared.strict)


@lru_cache(maxsize=1024)
def claim_of(principal: Principal, windows: tuple[Window, ...]) -> Claim:
    """`windows` hold for a key that has none of its own."""
    slot = slot_of(principal)
    shared = principal.tenant_limits
    subjects = [Subject(subject_of(principal), "", windows_of(principal, windows), principal.limits)]
    if slot.startswith("t-"):
        subjects.append(Subject(f"{{{slot}}}:{TENANT}", "tenant-", shared.windows or (), shared))
    return Claim(_name(principal.key_id), slot, tuple(subjects))


def windows_of(principal: Principal, windows: Sequence[Window]) -> tuple[Window, ...]:
    return principal.limits.windows or tuple(windows)


def subject_of(principal: Principal) -> str:
    slot = slot_of(principal)
    key = f"key-{_name(principal.key_id)}"
    return f"{{{slot}}}:{key}" if slot.startswith("t-") else key


def slot_of(principal: Principal) -> str:
    if principal.tenant != "default":
        return f"t-{_name(principal.tenant)}"
    shared = principal.tenant_limits
    limited = shared is not UNLIMITED and bool(shared.reserves or shared.windows or shared.strict)
    return "t-default" if limited else f"key-{_name(principal.key_id)}"


def redis_name(prefix: str, subject: str) -> str:
    """What a subject's Redis keys begin with. One that names its hash tag keeps it, any other is its own."""
    return f"{prefix}:{subject}" if subject.startswith("{") else f"{prefix}:{{{subject}}}"


@lru_cache(maxsize=4096)
def _name(text: str) -> str:
    """Ids are ours. Should one have been somebody's choice after all, it chooses neither a slot nor a key's name."""
    if _PLAIN.fullmatch(text):
        return text
    return "d" + hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
