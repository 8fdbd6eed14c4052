"""
The input guard: one verdict for the texts of a request, whatever route or place they come from.

Each text is read as it is and, where that differs, in its normalised form. What is found in either counts; masking is
done on the text as it is, and a value that only the normalised form shows is refused instead, because no part of the
original can be cut out for it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from middleware.guard.masking import Placeholders, spans
from middleware.guard.matcher import Hit, Matcher, of_kinds
from middleware.guard.normalise import normalise
from middleware.guard.rule import Kind
from middleware.guard.rules import RULES

Action = Literal["block", "mask", "flag", "off"]
Outcome = Literal["pass", "flag", "mask", "block"]
Code = Literal["prompt_injection", "secret_detected", "pii_detected", "sql_injection"]
Reason = Literal["prompt_injection", "secret", "pii", "sql"]

_CODES: Mapping[Kind, Code] = {
    "injection": "prompt_injection",
    "secret": "secret_detected",
    "pii": "pii_detected",
    "sql": "sql_injection",
}
"""In the order of precedence when several kinds are to be blocked: a refusal has one code."""

_REASONS: Mapping[Kind, Reason] = {"injection": "prompt_injection", "secret": "secret", "pii": "pii", "sql": "sql"}


@dataclass(frozen=True, slots=True)
class Report:
    """
    What one text holds. `pii` counts values by type; a secret counts there as `api_key` and has its rule in `secrets`.

    `score` grows with the number of different rules that hit, 0 for none, 0.9 for one, 0.99 for two: an order, not a
    probability.
    """

    pii: Mapping[str, int] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    injection: bool = False
    sql: bool = False
    rules: tuple[str, ...] = ()
    score: float = 0.0
    kinds: frozenset[Kind] = frozenset()
    hits: tuple[Hit, ...] = field(default=(), repr=False)
    """Values in the text as it is, with their places."""
    disguised: tuple[Hit, ...] = field(default=(), repr=False)
    """
    Values of the normalised form, if it shows one that the text as it is does not; places are in `normalise(text)`.
    """

    def masked(self, text: str) -> str:
        """
        The text of this report with its values replaced: all of a kind whose action is mask, else the first
        `MAX_VALUES` of each rule. If a value is disguised, the normalised text, in which it can be.
        """
        if self.disguised:
            text = normalise(text)
        hits = self.disguised or self.hits
        return Placeholders.beside([text]).mask(text, hits) if hits else text


_CLEAN = Report()


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    `code` only with outcome "block". `reasons` are metric labels of all kinds that were found, in order of precedence;
    `rules` their ids; `types` counts values by type over all texts. With outcome "mask", `texts` are to be sent in
    place of the given ones, and `replacements` maps each placeholder to what it stands for; neither is ever to be
    logged.
    """

    outcome: Outcome = "pass"
    code: Code | None = None
    reasons: tuple[Reason, ...] = ()
    rules: tuple[str, ...] = ()
    types: Mapping[str, int] = field(default_factory=dict)
    score: float = 0.0
    texts: tuple[str, ...] = field(default=(), repr=False)
    replacements: Mapping[str, str] = field(default_factory=dict, repr=False)


PASS = Verdict()


class Guard:
    """
    Decides by rules alone; no state, no I/O, time linear in the length of the texts.

    An action per kind; "off" leaves that kind's rules out altogether. Raises `ValueError` for an unknown action and for
    `mask` of injection or sql: there is no value to take out.
    """

    def __init__(self, *, injection: Action, pii: Action, secrets: Action, sql: Action) -> None:
        self._actions: Mapping[Kind, Action] = {"injection": injection, "secret": secrets, "pii": pii, "sql": sql}
        for kind, action in self._actions.items():
            if action not in get_args(Action):
                raise ValueError(f"{kind}: unknown action {action!r}")
        if "mask" in (injection, sql):
            raise ValueError("injection and sql can be blocked or flagged, not masked")
        kinds: frozenset[Kind] = frozenset(kind for kind, action in self._actions.items() if action != "off")
        self._matcher = Matcher(of_kinds(RULES, kinds)) if kinds else None
        self._masked: frozenset[Kind] = frozenset(kind for kind in kinds if self._actions[kind] == "mask")
        self._joins = "injection" in kinds

    def scan(self, text: str) -> Report:
        """What the text holds, of the kinds that are not off. Raises `MatchError` rather than leave a text unread."""
        if self._matcher is None:
            return _CLEAN
        plain = self._matcher.hits(text, every=self._masked)
        form = normalise(text)
        if form is text:
            return _report(plain, ()) if plain else _CLEAN
        folded = self._matcher.hits(form, every=self._masked)
        return _report(plain, folded) if plain or folded else _CLEAN

    def inspect(self, texts: Sequence[str]) -> Verdict:
        """
        One verdict over all texts of a request. Raises `MatchError`.

        Several texts are also read as one, for injection only: an attack cut in two is put together again by the model.
        """
        reports = [self.scan(text) for text in texts]
        joined: list[Hit] = []
        if (
            self._matcher is not None
            and self._joins
            and len(texts) > 1
            and not any(report.injection for report in reports)
        ):
            joined = self._matcher.hits(normalise(" ".join(texts)), only="injection")
        if not joined and all(report is _CLEAN for report in reports):
            return PASS
        return self._verdict(texts, reports, joined)

    def _verdict(self, texts: Sequence[str], reports: Sequence[Report], joined: Sequence[Hit]) -> Verdict:
        kinds = {kind for report in reports for kind in report.kinds} | {hit.rule.kind for hit in joined}
        rules = tuple(
            dict.fromkeys([*(id for report in reports for id in report.rules), *(hit.rule.id for hit in joined)])
        )
        types: Counter[str] = Counter()
        for report in reports:
            types.update(report.pii)
        found = [kind for kind in _CODES if kind in kinds]
        reasons = tuple(_REASONS[kind] for kind in found)
        score = _score(len(rules))

        def verdict(outcome: Outcome, **more: object) -> Verdict:
            return Verdict(outcome, reasons=reasons, rules=rules, types=dict(types), score=score, **more)  # type: ignore[arg-type]

        to_mask: set[Kind] = {kind for kind in found if self._actions[kind] == "mask"}
        disguised = {hit.rule.kind for report in reports for hit in report.disguised}
        for kind in found:
            if self._actions[kind] == "block" or kind in to_mask & disguised:
                return verdict("block", code=_CODES[kind])
        if to_mask:
            placeholders = Placeholders.beside(texts)
            masked = tuple(
                placeholders.mask(text, [hit for hit in report.hits if hit.rule.kind in to_mask])
                for text, report in zip(texts, reports, strict=True)
            )
            return verdict("mask", texts=masked, replacements=placeholders.originals)
        return verdict("flag")


def _score(rules: int) -> float:
    return round(1.0 - 0.1**rules, 4)


def _report(plain: Sequence[Hit], folded: Sequence[Hit]) -> Report:
    hits = [*plain, *folded]
    values = tuple(hit for hit in plain if hit.start >= 0)
    folded_values = [hit for hit in folded if hit.start >= 0]
    counts = _counts(values)
    disguised: tuple[Hit, ...] = ()
    if folded_values:
        # Whether by a sign between its letters or by digits of another script: what shows up more often than before
        # was hidden.
        shown = Counter(normalise(hit.value) for hit in values)
        if any(count > shown[value] for value, count in Counter(hit.value for hit in folded_values).items()):
            disguised = tuple(folded_values)
        counts |= _counts(folded_values)
    rules = tuple(dict.fromkeys(hit.rule.id for hit in hits))
    kinds = frozenset(hit.rule.kind for hit in hits)
    return Report(
        pii=dict(counts),
        secrets=tuple(dict.fromkeys(hit.rule.id for hit in hits if hit.rule.kind == "secret")),
        injection="injection" in kinds,
        sql="sql" in kinds,
        rules=rules,
        score=_score(len(rules)),
        kinds=kinds,
        hits=values,
        disguised=disguised,
    )


def _counts(values: Sequence[Hit]) -> Counter[str]:
    """
    Values by type; one place counts once, whatever rules found it there. Secrets count beside personal data they
    hold.
    """
    secrets, data = ([hit for hit in values if (hit.rule.kind == "secret") is secret] for secret in (True, False))
    return Counter(span.type for span in (*spans(secrets), *spans(data)))
