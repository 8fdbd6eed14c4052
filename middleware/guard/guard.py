"""
The input guard: one verdict for the texts of a request, whatever route or place they come from.

Each text is read as it is and, where they differ, in its normalised and decoded forms. What is found in any counts;
masking is done on the text as it is, and a value that only another form shows is refused instead, because no part of
the original can be cut out for it.

Injections are found by rules, each sure of itself, and by a model that weighs the whole wording.
"""

import hashlib
import threading
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from secrets import token_bytes
from typing import Literal, get_args

from middleware.guard import warm_up
from middleware.guard.decode import Form, forms_and_readings
from middleware.guard.masking import Placeholders, spans
from middleware.guard.matcher import Hit, Matcher, encoded, matcher_of
from middleware.guard.model import Model, shipped
from middleware.guard.normalise import normalise, shortened
from middleware.guard.rule import Kind, Rule
from middleware.guard.slices import SLICE, slices

Action = Literal["block", "mask", "flag", "off"]
Outcome = Literal["pass", "flag", "mask", "block"]
Code = Literal["prompt_injection", "secret_detected", "pii_detected", "sql_injection", "content_policy_violation"]
Reason = Literal["prompt_injection", "secret", "pii", "sql", "own_pattern", "unread"]
Unread = Literal["image", "audio", "file", "tokens"]

_CODES: Mapping[Kind, Code] = {
    "injection": "prompt_injection",
    "secret": "secret_detected",
    "pii": "pii_detected",
    "sql": "sql_injection",
    "own": "content_policy_violation",
    "unread": "content_policy_violation",
}
"""In the order of precedence when several kinds are to be blocked: a refusal has one code."""

_REASONS: Mapping[Kind, Reason] = {
    "injection": "prompt_injection",
    "secret": "secret",
    "pii": "pii",
    "sql": "sql",
    "own": "own_pattern",
    "unread": "unread",
}


LIKENESS = Rule("injection-model", "injection", "")
"""What the model finds, under the name of a rule: it has no pattern and is in no matcher."""

_KINDS: tuple[Kind, ...] = ("injection", "secret", "pii", "sql")
"""Those with rules of the guard's own."""
_INJECTION: tuple[Kind, ...] = ("injection",)
_UNREAD: Mapping[str, Rule] = {kind: Rule(f"unread-{kind}", "unread", "") for kind in get_args(Unread)}

_JOINT = 240
"""Characters of each end of a text that are read together with its neighbours'."""
_SAID = 8_192
"""Characters of what was said in which its repetition is looked for."""

REMEMBERED = 20_000
"""Texts, some 100 bytes each: a digest keyed with a secret of the process, from which no text can be told."""
_DIGEST_KEY = token_bytes(32)


class _Clean:
    """Digests of the texts in which nothing was found, the oldest forgotten first. For many threads."""

    def __init__(self) -> None:
        self._digests: dict[bytes, None] = {}
        self._lock = threading.Lock()

    def knows(self, digest: bytes) -> bool:
        return digest in self._digests

    def add(self, digest: bytes) -> None:
        with self._lock:
            self._digests[digest] = None
            if len(self._digests) > REMEMBERED:
                del self._digests[next(iter(self._digests))]


@dataclass(frozen=True, slots=True)
class Report:
    """
    What one text holds. `pii` counts values by type; a secret counts there as `api_key` and has its rule in `secrets`.

    `score` grows with the number of different rules that hit, 0 for none, 0.9 for one, 0.99 for two: an order, not a
    probability.
    """

    pii: Mapping[str, int] = field(default_factory=dict)
    rules: tuple[str, ...] = ()
    kinds: frozenset[Kind] = frozenset()
    hits: tuple[Hit, ...] = field(default=(), repr=False)
    """Values in the text as it is, with their places."""
    disguised: tuple[Hit, ...] = field(default=(), repr=False)
    """Values of `form`, if that shows one that the text as it is does not."""
    form: str = field(default="", repr=False)
    """The last form of the text that shows such a value."""

    @property
    def injection(self) -> bool:
        return "injection" in self.kinds

    @property
    def sql(self) -> bool:
        return "sql" in self.kinds

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(rule for rule in self.rules if rule.startswith("secret-"))

    @property
    def score(self) -> float:
        return _score(len(self.rules))

    def masked(self, text: str) -> str:
        """
        The text of this report with its values replaced: all of a kind whose action is mask, else the first
        `MAX_VALUES` of each rule. If a value is disguised, the form of the text in which it can be.
        """
        if self.disguised:
            text = self.form
        hits = self.disguised or self.hits
        return Placeholders.beside([text]).mask(text, hits) if hits else text


_CLEAN = Report()


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    `code` only with outcome "block", and `reason`, what it is for. `reasons` are metric labels of all kinds that were
    found, in order of precedence; `rules` their ids; `types` counts values by type over all texts. With outcome "mask",
    `texts` are to be sent in place of the given ones, and `replacements` maps each placeholder to what it stands for;
    neither is ever to be logged.
    """

    outcome: Outcome = "pass"
    code: Code | None = None
    reason: Reason | None = None
    reasons: tuple[Reason, ...] = ()
    rules: tuple[str, ...] = ()
    types: Mapping[str, int] = field(default_factory=dict)
    score: float = 0.0
    texts: tuple[str, ...] = field(default=(), repr=False)
    replacements: Mapping[str, str] = field(default_factory=dict, repr=False)


PASS = Verdict()


class Guard:
    """
    Decides by rules and one file of weights; no state but which texts were clean, no I/O after it is made, time linear
    in the length of the texts.

    An action per kind; "off" leaves that kind's rules out altogether. `unread` is that for what no layer can read.
    `monitor`: what would be refused or masked is flagged instead. `allow`: values that are no finding, whatever their
    case. `patterns`: RE2 by name; a text that holds one is refused.

    Raises `ValueError` for an unknown action and for `mask` of injection, sql or unread: there is no value to take out.
    Raises `re2.error` for what is no pattern, and `ModelError` if there is to be a model, none is given, and the file's
    cannot be used.
    """

    def __init__(
        self,
        model: Model | None = None,
        /,
        *,
        injection: Action,
        pii: Action,
        secrets: Action,
        sql: Action,
        unread: Action = "flag",
        monitor: bool = False,
        allow: Sequence[str] = (),
        patterns: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._actions: Mapping[Kind, Action] = {"injection": injection, "secret": secrets, "pii": pii, "sql": sql}
        for kind, action in {**self._actions, "unread": unread}.items():
            if action not in get_args(Action):
                raise ValueError(f"{kind}: unknown action {action!r}")
        if "mask" in (injection, sql, unread):
            raise ValueError("injection, sql and unread can be blocked or flagged, not masked")
        self._actions = {**self._actions, "own": "block", "unread": unread}
        self._monitor = monitor
        self._allowed = frozenset(value.casefold() for value in allow)
        self._matchers = {kind: matcher_of(kind) for kind in _KINDS if self._actions[kind] != "off"}
        if patterns:
            self._matchers["own"] = Matcher([Rule(f"own-{name}", "own", pattern) for name, pattern in patterns])
        warm_up.decoding()
        self._values = tuple(kind for kind in self._matchers if kind != "injection")
        self._model = None if injection == "off" else model or shipped()
        self._clean = _Clean()

    def scan(self, text: str) -> Report:
        """
        What the text holds, of the kinds that are not off. Raises `MatchError` rather than leave a text unread.

        A text in which nothing was found is not read again for as long as it is remembered: of a long conversation,
        only what is new.
        """
        if not self._matchers:
            return _CLEAN
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=_DIGEST_KEY, digest_size=16).digest()
        if self._clean.knows(digest):
            return _CLEAN
        report = self._read(text)
        if report is _CLEAN:
            self._clean.add(digest)
        return report

    def _read(self, text: str) -> Report:
        plain = self._hits(text)
        if len(text) <= SLICE:
            return self._read_forms(text, plain)
        reports = [self._read_forms(part, None, told=_injected(plain)) for part in slices(shortened(text))]
        if not plain and all(report is _CLEAN for report in reports):
            return _CLEAN
        return _merged(plain, reports)

    def _read_forms(self, text: str, known: Sequence[Hit] | None, *, told: bool = False) -> Report:
        """
        `known` is what was found in the text as it is; None: nobody needs to be told of it.

        `told`: of an injection. A second one in another form would change nothing, so none is looked for, and no
        reading made.
        """
        plain = [*(known or ())]
        told = told or _injected(plain) or self._model is None
        others: list[tuple[Form, list[Hit]]] = []
        weighed = [Form(text)]
        (_, *made), readings = forms_and_readings(text)
        for form in made:
            values = () if form.guess else self._values
            others.append((form, self._hits(form.text, values if told else (*_INJECTION, *values))))
            told = told or _injected(others[-1][1])
            if not form.guess or form.undone != weighed[-1].undone:  # the model itself reads without accents
                weighed.append(form)
        if not told:
            for form in readings:
                others.append((form, self._hits(form.text, _INJECTION)))
                weighed.append(form)
                told = _injected(others[-1][1])
                if told:
                    break
        if not told and any(self._likely(form) for form in weighed):
            plain.append(Hit(LIKENESS))
        others = [(form, found) for form, found in others if found]
        if known is None and others:  # what is not disguised is not to be taken for it
            plain += self._hits(text)
        return _report(plain, others) if plain or others else _CLEAN

    def _hits(self, text: str, kinds: Collection[Kind] | None = None) -> list[Hit]:
        """Of the kinds given, all of which are looked for; else of all that are."""
        data = encoded(text)
        hits = [
            hit
            for kind in (self._matchers if kinds is None else kinds)
            for hit in self._matchers[kind].hits(text, data, every=self._actions[kind] == "mask")
        ]
        if self._allowed and hits:
            return [hit for hit in hits if hit.value.casefold() not in self._allowed]
        return hits

    def _likely(self, form: Form) -> bool:
        return self._model is not None and self._model.finds(form.text, disguised=form.disguised)

    def inspect(self, texts: Sequence[str], unread: Sequence[str] = ()) -> Verdict:
        """
        One verdict over all texts of a request, and the kinds of parts (`Unread`) that hold no text. Raises
        `MatchError`, and `KeyError` for an unknown kind.

        Several texts are also read as one, for injection only: an attack cut in two is put together again by the
        provider's model. Of long texts, the ends.
        """
        reports = [self.scan(text) for text in texts]
        joined: list[Hit] = []
        if self._model is not None and len(texts) > 1 and not any(report.injection for report in reports):
            seams = Form(normalise(_joints(texts)))
            joined = self._hits(seams.text, _INJECTION)
            if not joined and self._likely(seams):
                joined = [Hit(LIKENESS)]
        if self._actions["unread"] != "off":
            joined += [Hit(_UNREAD[kind]) for kind in unread]
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

        if self._monitor:
            return verdict("flag")
        to_mask: set[Kind] = {kind for kind in found if self._actions[kind] == "mask"}
        disguised = {hit.rule.kind for report in reports for hit in report.disguised}
        for kind in found:
            if self._actions[kind] == "block" or kind in to_mask & disguised:
                return verdict("block", code=_CODES[kind], reason=_REASONS[kind])
        if to_mask:
            placeholders = Placeholders.beside(texts)
            masked = tuple(
                placeholders.mask(text, [hit for hit in report.hits if hit.rule.kind in to_mask])
                for text, report in zip(texts, reports, strict=True)
            )
            return verdict("mask", texts=masked, replacements=placeholders.originals)
        return verdict("flag")


def _joints(texts: Sequence[str]) -> str:
    """What says the same as those right before it, as the parts of a message joined do, is no further evidence."""
    pieces: list[str] = []
    said = last = ""
    for text in texts:
        if len(text) > len(last) and said.endswith(text):
            continue
        last = text
        said = (said + text)[-_SAID:]
        pieces.append(text if len(text) <= 2 * _JOINT else f"{text[:_JOINT]}\n{text[-_JOINT:]}")
    return " ".join(pieces)


def _score(rules: int) -> float:
    return round(1.0 - 0.1**rules, 4)


def _report(plain: Sequence[Hit], others: Sequence[tuple[Form, Sequence[Hit]]]) -> Report:
    """`plain` are hits in the text as it is, `others` those in its other forms."""
    hits = [*plain, *(hit for _, found in others for hit in found)]
    values = tuple(hit for hit in plain if hit.start >= 0)
    counts = _counts(values)
    disguised: tuple[Hit, ...] = ()
    text = ""
    if any(hit.start >= 0 for _, found in others for hit in found):
        # Whether by a sign between its letters or by digits of another script: what shows up more often than before
        # was hidden.
        shown = Counter(form.text for hit in values for form in forms_and_readings(hit.value)[0] if not form.guess)
        for form, found in others:
            form_values = tuple(hit for hit in found if hit.start >= 0)
            if any(count > shown[value] for value, count in Counter(hit.value for hit in form_values).items()):
                disguised, text = form_values, form.text
            counts |= _counts(form_values)
    return Report(
        pii=dict(counts),
        rules=tuple(dict.fromkeys(hit.rule.id for hit in hits)),
        kinds=frozenset(hit.rule.kind for hit in hits),
        hits=values,
        disguised=disguised,
        form=text,
    )


def _merged(plain: Sequence[Hit], pieces: Sequence[Report]) -> Report:
    """Of a text by `plain`, its hits as a whole, which know the places of values, and of its pieces, which overlap."""
    whole = _report(plain, ())
    reports = (whole, *pieces)
    counts = Counter(whole.pii)
    for report in pieces:
        counts |= Counter(report.pii)
    disguised = next((report for report in pieces if report.disguised), whole)
    return replace(
        whole,
        pii=dict(counts),
        rules=tuple(dict.fromkeys(rule for report in reports for rule in report.rules)),
        kinds=frozenset().union(*(report.kinds for report in reports)),
        disguised=disguised.disguised,
        form=disguised.form,
    )


def _injected(hits: Sequence[Hit]) -> bool:
    return any(hit.rule.kind == "injection" for hit in hits)


def _counts(values: Sequence[Hit]) -> Counter[str]:
    """
    Values by type; one place counts once, whatever rules found it there. Secrets count beside personal data they
    hold.
    """
    secrets, data = ([hit for hit in values if (hit.rule.kind == "secret") is secret] for secret in (True, False))
    return Counter(span.type for span in (*spans(secrets), *spans(data)))
