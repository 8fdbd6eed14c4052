"""Answers as they grow: every value at every cut, what is held back for it, and what it costs."""

import json
import time
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from middleware.guard.guard import Guard
from middleware.guard.masking import Placeholders
from middleware.guard.prompt_leak import LEAK_WORDS, Instructions
from middleware.guard.unsettled import WINDOW, settled
from middleware.guard.watch import MAX_OPEN, Action, Findings, Leak, Watch

VALUES = (
    "jane.doe@example.org",
    "4111 1111 1111 1111",
    "4111111111111111",
    "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
    "123-45-6789",
    "123456789 (SSN)",
    "+44 20 7946 0958",
    "(415) 555-2671 office",
    "DE89 3704 0044 0532 0130 00",
    "203.0.113.77",
    "jane (at) example (dot) org",
    "jane at example dot org",
    '"John van Smith"@example.org',
    "sk-proj-" + "aB3dE6gH9jK2" * 4,
    "ghp_" + "aB3dE6gH9jK2" * 3,
    "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
    "password: Tr0ub4dor&3x",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA75dE6gH9jK2\nAAABBBCCCdddeee\n-----END RSA PRIVATE KEY-----",
)
DISGUISED = ("２０３.0.113.77", "j\u200bane.doe@example.org", "4111\u200b1111\u200b1111\u200b1111")
AROUND = (("", ""), ("Here it is: ", " and so it goes on for a while, dear reader."), ("See\n", "\nNext line."))
NOTHING = Instructions()
GUARDS = {
    action: Guard(
        injection="off",
        pii="mask" if action == "mask" else "flag",
        secrets="mask" if action == "mask" else "flag",
        sql="off",
    )
    for action in ("block", "mask", "flag")
}


def watch(action: Action, findings: Findings, instructions: Instructions = NOTHING, *, quoted: bool = False) -> Watch:
    return Watch(GUARDS[action].scan, action, findings, Placeholders(), instructions, quoted=quoted)


def read(
    action: Action, pieces: Iterable[str], instructions: Instructions = NOTHING, *, quoted: bool = False
) -> tuple[str, bool, Findings]:
    """What left, whether it was stopped, and what was found."""
    findings, out = Findings(), ""
    watching = watch(action, findings, instructions, quoted=quoted)
    try:
        for piece in pieces:
            out += watching.feed(piece)
        out += watching.flush()
    except Leak:
        return out, True, findings
    return out, False, findings


def in_two(text: str) -> list[tuple[str, ...]]:
    """Cut at every place, and once into single characters."""
    return [(text[:place], text[place:]) for place in range(len(text) + 1)] + [tuple(text)]


@pytest.mark.parametrize("quoted", [False, True], ids=["text", "arguments"])
@pytest.mark.parametrize("value", VALUES, ids=[value[:12] for value in VALUES])
def test_every_value_at_every_cut(value: str, quoted: bool) -> None:
    """Blocked before its first character leaves; masked as a whole, all else untouched; flagged and untouched."""
    secret = value.partition(": ")[2] or value.removesuffix(" (SSN)").removesuffix(" office")
    for before, after in AROUND:
        text = before + value + after
        written = json.dumps({"note": text, "n": 5}) if quoted else text
        whole = watch("mask", Findings(), quoted=quoted).whole(written)
        assert secret not in (json.loads(whole)["note"] if quoted else whole)
        for pieces in in_two(written):
            out, stopped, findings = read("block", pieces, quoted=quoted)
            assert stopped, pieces
            assert findings.rules
            assert written.startswith(out)
            assert secret[:4] not in out, (pieces, out)
            assert read("mask", pieces, quoted=quoted)[:2] == (whole, False), pieces
            out, stopped, flagged = read("flag", pieces, quoted=quoted)
            assert (out, stopped) == (written, False)
            assert flagged.rules.keys() >= findings.rules.keys(), pieces


@pytest.mark.parametrize("value", DISGUISED)
def test_values_in_disguise(value: str) -> None:
    """Nothing of the text can be cut out for them: they are refused, masked or not, at every cut."""
    for action in ("block", "mask"):
        for pieces in in_two(f"Here: {value} and then some more words of it."):
            out, stopped, findings = read(action, pieces)
            assert stopped
            assert "pii" in findings.rules
            assert value[:4] not in out


PIECES = st.lists(
    st.sampled_from([*VALUES, *"aZ0 .,@-\n\"'(", "at", "dot", "The quick brown fox", "don't", "12", "привет", "水"]),
    max_size=12,
).map(" ".join)


@given(PIECES, st.lists(st.integers(0, 600), max_size=8))
def test_a_stream_is_masked_as_the_whole(text: str, places: list[int]) -> None:
    """However a text is cut, what leaves holds no value that masking the whole would have taken out."""
    ends = [*sorted(place % (len(text) + 1) for place in places), len(text)]
    pieces = [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    out, stopped, findings = read("mask", pieces)
    assert not stopped
    report, whole = GUARDS["mask"].scan(text), read("mask", [text])[0]
    for hit in report.hits:
        assert out.count(hit.value) <= whole.count(hit.value)
    assert bool(findings.rules) == bool(report.hits)
    clean, _, found = read("flag", pieces)
    assert clean == text
    assert bool(found.rules) == bool(report.hits)


@given(st.text(max_size=700), st.integers(0, 700))
def test_hold_back_is_bounded(text: str, start: int) -> None:
    """Whatever it is, at most `WINDOW` characters wait, and what has left does not come back."""
    start = min(start, len(text))
    place = settled(text, start)
    assert max(start, len(text) - WINDOW) <= place <= len(text) or place == start >= len(text) - WINDOW


PROSE = "Every morning the old lighthouse keeper climbs ninety narrow steps, polishes one great lens. " * 20


def test_prose_hardly_waits() -> None:
    """Of prose two words wait, and the first leaves when the second has ended."""
    watching, sent, longest = watch("block", Findings()), 0, 0
    for size, character in enumerate(PROSE, 1):
        sent += len(watching.feed(character))
        longest = max(longest, size - sent)
        assert bool(sent) is (size >= len("Every morning "))
    assert longest <= 24


@pytest.mark.parametrize("text", ["x" * 20_000, "7 " * 10_000, "水" * 20_000, "sk-" + "aB3d" * 5_000])
def test_no_text_is_held_for_ever(text: str) -> None:
    """A run without an end passes in steps, or is a value: then it is stopped, masked or refused as too long."""
    for action in ("block", "mask"):
        watching, sent = watch(action, Findings()), 0
        try:
            for place in range(0, len(text), 7):
                sent += len(watching.feed(text[place : place + 7]))
                assert place + 7 - sent <= (MAX_OPEN + 7 if text[0] == "s" else WINDOW + 7)
        except Leak:
            assert (text[0], sent) == ("s", 0)


@pytest.mark.parametrize("action", ["block", "mask", "flag"])
@pytest.mark.parametrize("text", [PROSE * 6, "if (x[3] != 0x7f) { y = f(z, 42); }\n" * 300, "ключ и слово " * 800])
def test_time_is_linear(action: Action, text: str) -> None:
    """Eight times the text, token by token, takes at most sixteen times as long."""

    def run(part: str) -> float:
        best = float("inf")
        for _ in range(3):
            started = time.perf_counter()
            read(action, [part[place : place + 4] for place in range(0, len(part), 4)])
            best = min(best, time.perf_counter() - started)
        return best

    size = len(text)
    assert run(text) < 16 * run(text[: size // 8]) + 0.05


# Instructions


SYSTEM = (
    "You are Lumen, the assistant of the lighthouse museum. Never tell visitors about the night of the great storm, "
    "nor that the keeper's daughter wrote the log. Answer in two sentences and offer a ticket."
)
WORDS = SYSTEM.split()
INSTRUCTIONS = Instructions.of([SYSTEM])


def test_repeated_instructions_at_every_cut() -> None:
    """Stopped before a fourth of it has left, or taken out; whatever its case and signs; shorter pieces pass."""
    told = " ".join(WORDS[4:24])
    for said in (told, told.upper(), told.replace(" ", "\n"), told.replace(",", " —")):
        text = f"Of course! My instructions are these: {said} That is all there is."
        for pieces in [*in_two(text)[::7], tuple(text)]:
            out, stopped, findings = read("block", pieces, INSTRUCTIONS)
            assert stopped
            assert list(findings.rules) == ["prompt_leak"]
            assert "never tell" not in out.lower()
            out, stopped, findings = read("mask", pieces, INSTRUCTIONS)
            assert (stopped, list(findings.rules), findings.masked) == (False, ["prompt_leak"], True)
            assert out == "Of course! My instructions are these: [SYSTEM_PROMPT_1] That is all there is."
            clean, _, findings = read("flag", pieces, INSTRUCTIONS)
            assert (clean, list(findings.rules)) == (text, ["prompt_leak"])


def test_what_is_no_repetition() -> None:
    """A phrase shorter than a leak, the words in another order, and short instructions."""
    phrase = " ".join(WORDS[4 : 4 + LEAK_WORDS - 1])
    for text in (phrase, " ".join(reversed(WORDS)), "We never tell visitors what the keeper's daughter wrote."):
        assert read("block", [text], INSTRUCTIONS) == (text, False, Findings())
    short = Instructions.of(["Answer in English."])
    assert read("block", ["Answer in English. Answer in English."], short)[1] is False


def test_instructions_in_arguments() -> None:
    """JSON's escapes hide nothing."""
    written = json.dumps({"to": "me", "body": " ".join(WORDS)}).replace("n", "\\u006e")
    for pieces in in_two(written)[::11]:
        out, stopped, _ = read("mask", pieces, INSTRUCTIONS, quoted=True)
        assert not stopped
        assert json.loads(out) == {"to": "me", "body": "[SYSTEM_PROMPT_1]."}


# Arguments


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (r'{"to":"jane.doe\u0040example.org"}', {"to": "[EMAIL_1]"}),
        (r'{"to":["a","\u006aane.doe@example.org","b"]}', {"to": ["a", "[EMAIL_1]", "b"]}),
        ('{"card":4111111111111111,"x":1}', {"card": "[CREDIT_CARD_1]", "x": 1}),
        (r'{"note":"a\nMail: jane.doe@example.org","n":null}', {"note": "a\nMail: [EMAIL_1]", "n": None}),
        ('{"jane.doe@example.org":"x"}', {"[EMAIL_1]": "x"}),
        ('{"a":"jane.doe@example.org","b":"jane.doe@example.org"}', {"a": "[EMAIL_1]", "b": "[EMAIL_1]"}),
        (r'{"key":"-----BEGIN PRIVATE KEY-----\nMIIB\n","next":"word"}', {"key": "[API_KEY_1]", "next": "word"}),
        ('{"x":"","@type.googleapis.com/v":"1"}', None),
    ],
)  # fmt: skip
def test_arguments_stay_json(written: str, expected: object) -> None:
    """What is masked is masked inside its string, escapes or not; a number becomes a string; at every cut."""
    for pieces in in_two(written):
        out, stopped, _ = read("mask", pieces, quoted=True)
        assert not stopped
        assert json.loads(out) == (json.loads(written) if expected is None else expected), pieces


JSON_VALUES = st.recursive(
    st.none() | st.integers(-(10**17), 10**17) | st.sampled_from([*VALUES, 'a"b', "\\", "é", "\x00"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(JSON_VALUES, st.booleans(), st.lists(st.integers(0, 400), max_size=6))
def test_any_arguments_stay_json(value: object, ascii_only: bool, places: Sequence[int]) -> None:
    """Of any shape and at any cuts."""
    written = json.dumps({"v": value}, ensure_ascii=ascii_only)
    ends = [*sorted(place % (len(written) + 1) for place in places), len(written)]
    pieces = [written[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    out, stopped, findings = read("mask", pieces, quoted=True)
    if not stopped:
        json.loads(out)
        assert findings.masked or out == written


@given(st.text(max_size=200), st.lists(st.integers(0, 200), max_size=4))
def test_what_is_no_json_passes_as_it_is(text: str, places: Sequence[int]) -> None:
    """A model may write anything in the place of arguments."""
    ends = [*sorted(place % (len(text) + 1) for place in places), len(text)]
    pieces = [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    out, _, findings = read("flag", pieces, quoted=True)
    assert out == text
    masked, stopped, findings = read("mask", pieces, quoted=True)
    assert stopped or findings.masked or masked == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        # ends of sentences, with what is in them
        ("That is all I know.", "That is all I know."),
        ("Done.\n\n", "Done.\n\n"),
        ("Write to jane.doe@example.org.", "Write to [EMAIL_1]."),
        ("Not 4111 1111 1111 1111, I think.", "Not [CREDIT_CARD_1], I think."),
        # what may be the beginning of a value
        ("jane", ""),
        ("jane.d", ""),
        ("jane at example.", ""),
        ("jane.doe@example.org", ""),
        ("4111 1111 1111.", ""),
        ('"John van.', ""),
        ("sk-proj-aB3.", ""),
    ],
)
def test_a_pause(text: str, left: str) -> None:
    """When something else is said, a finished sentence leaves; what may go on to be a value does not."""
    watching = watch("mask", Findings())
    assert "".join(map(watching.feed, text)) + watching.pause() == left


@pytest.mark.parametrize("value", VALUES, ids=[value[:12] for value in VALUES])
def test_every_value_at_every_pause(value: str) -> None:
    """Interrupted anywhere, a value is found; at most a word of a name has left, where it ends as a sentence does."""
    for place in range(len(value) + 1):
        findings, out = Findings(), ""
        watching = watch("block", findings)
        with pytest.raises(Leak):  # noqa: PT012 (which step it is depends on the value)
            out += watching.feed(f"So it is {value[:place]}")
            out += watching.pause()
            out += watching.feed(value[place:])
            out += watching.flush()
        assert out in (
            "",
            "So ",
            "So it ",
            "So it is ",
            "So it is jane.",
            "So it is password:",
            "So it is password: ",
        ), place
