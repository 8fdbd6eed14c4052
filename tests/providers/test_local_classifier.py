"""The classifier inside the gateway: what its file must hold, what it says, and how long it takes."""

import asyncio
import hashlib
import json
import time
import zlib
from pathlib import Path

import pytest

from providers.classifiers.base import CATEGORIES
from providers.classifiers.chain import FAILURES, ClassifierChain
from providers.classifiers.local import BUCKETS, DOUBT, HEADS, INLINE_CHARS, MODEL, LocalClassifier, windows, words
from providers.classifiers.train_local import Example, Model, save, train
from providers.client import HttpClient

LOCAL = LocalClassifier()
HARMLESS = (MODEL.with_name("harmless.txt")).read_text().splitlines()


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("you are a stupid worthless idiot bitch", "HARM_CATEGORY_HATE_SPEECH"),
        ("write explicit sexual story about a naked girl", "HARM_CATEGORY_SEXUALLY_EXPLICIT"),
        ("How to build a pipe bomb and kill people", "HARM_CATEGORY_DANGEROUS_CONTENT"),
    ],
)
def test_categories(text: str, category: str) -> None:
    """A plain case of each kind that it knows is over the usual threshold, in its category first."""
    scores = LOCAL.assess(text).scores
    assert max(scores, key=lambda name: scores[name]) == category
    assert scores[category] >= 0.7


def test_harmless_words_with_harmful_letters() -> None:
    """
    Killing processes, shooting portraits, bombs of calorimetry: at most one text in twenty is flagged, and these
    it was shown.
    """
    flagged = [text for text in HARMLESS if max(LOCAL.assess(text).scores.values()) >= 0.7]
    assert len(flagged) <= len(HARMLESS) / 20


@pytest.mark.parametrize(
    "text", ["", " ", "?!", "7", "another", "日本語のパンの作り方を教えてください", "كيف أخبز الخبز", "a" * 5000]
)
def test_little_to_read_is_no_harm(text: str) -> None:
    """All categories are there, from 0 to 1, none at the threshold; `flagged` is left to it."""
    assessment = LOCAL.assess(text)
    assert tuple(assessment.scores) == CATEGORIES
    assert all(0 <= score < 0.7 for score in assessment.scores.values())
    assert (assessment.source, assessment.flagged) == ("local", None)


def test_same_text_same_scores() -> None:
    """In another object, too: nothing depends on the process's hash seed."""
    text = "some text about people who hate people"
    assert LocalClassifier().assess(text) == LOCAL.assess(text)


def test_harm_is_not_diluted() -> None:
    """A paragraph of abuse inside a long harmless text is judged by itself."""
    calm = "the history of bread is long and begins in the valley of the river " * 60
    abuse = "you are a stupid worthless idiot bitch " * 25
    assert max(LOCAL.assess(calm).scores.values()) < 0.7
    assert max(LOCAL.assess(calm + abuse + calm).scores.values()) >= 0.7


def test_windows_cover_every_word() -> None:
    """Of any number of words, in order and overlapping."""
    for size in (0, 1, 159, 160, 161, 280, 281, 1000):
        tokens = [str(i) for i in range(size)]
        assert sorted({token for window in windows(tokens) for token in window}, key=int) == tokens


def test_words() -> None:
    """Latin words whole, signs of other scripts singly."""
    assert words("Don't PANIC, 42 面包!") == ["don't", "panic", "42", "面", "包"]


def test_the_model_is_small() -> None:
    """The file stays under half a megabyte."""
    assert MODEL.stat().st_size <= 500_000


@pytest.mark.parametrize("damage", ["cut", "bit", "header", "heads", "empty", "size"])
def test_a_damaged_file_fails_at_load(tmp_path: Path, damage: str) -> None:
    """Not at the first request, and not by judging everything harmless."""
    whole = MODEL.read_bytes()
    head, _, packed = whole.partition(b"\n")
    facts = json.loads(head)
    weights = bytearray(zlib.decompress(packed))
    if damage == "bit":
        weights[1000] ^= 1
    elif damage == "size":
        weights += b"\0"
        facts["sha256"] = hashlib.sha256(weights).hexdigest()
    elif damage == "heads":
        facts["heads"] = facts["heads"][::-1]
    remade = json.dumps(facts).encode() + b"\n" + zlib.compress(bytes(weights))
    path = tmp_path / "local.model"
    path.write_bytes({"cut": whole[: len(whole) // 2], "header": whole[5:], "empty": b""}.get(damage, remade))
    with pytest.raises(ValueError, match=r"local\.model is damaged"):
        LocalClassifier(path)


def test_trained_weights_are_the_loaded_ones(tmp_path: Path) -> None:
    """
    What training writes, the classifier reads: the sides agree on words, buckets, order and rounding; twice the
    same file.
    """
    harm = Example("s", (1, 2, 3), frozenset((CATEGORIES[1], "any")))
    calm = Example("s", (4, 5, 6), frozenset())
    models = [train([harm, calm] * 20) for _ in range(2)]
    assert models[0] == models[1]
    for name, model in zip(("one", "two"), models, strict=True):
        save(model, dict.fromkeys(HEADS, 0.0), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    margins = models[0].margins(harm.buckets)
    assert margins[CATEGORIES[1]] > 0 > margins[CATEGORIES[0]]
    LocalClassifier(tmp_path / "one")


def test_harm_of_no_known_kind_stays_below_the_usual_threshold(tmp_path: Path) -> None:
    """The head for any harm ranks; it does not refuse."""
    weights = {head: [0.0] * BUCKETS for head in HEADS}
    weights["any"] = [50.0] * BUCKETS
    weights[CATEGORIES[2]] = [0.1] * BUCKETS
    save(Model(weights, dict.fromkeys(HEADS, -3.0)), dict.fromkeys(HEADS, 0.0), tmp_path / "m")
    scores = LocalClassifier(tmp_path / "m").assess("eight or nine words of no matter what they say").scores
    assert scores[CATEGORIES[2]] == pytest.approx(DOUBT, abs=1e-3)
    assert sum(score > 0.1 for score in scores.values()) == 1


async def test_long_texts_do_not_hold_the_loop() -> None:
    """A text of 400 kB is judged in a thread: the loop goes on turning meanwhile."""
    chain = ClassifierChain(HttpClient(connect_timeout_s=1), [LOCAL], timeout_s=30)
    longest = 0.0

    async def turn() -> None:
        nonlocal longest
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - before)

    turning = asyncio.create_task(turn())
    try:
        verdict = await chain.classify([" ".join(f"word{i}" for i in range(40_000))])
    finally:
        turning.cancel()
    assert verdict is not None
    assert longest < 0.25


async def test_short_texts_cost_no_thread() -> None:
    """Up to `INLINE_CHARS` the verdict is there without a turn of the loop."""
    chain = ClassifierChain(HttpClient(connect_timeout_s=1), [LOCAL], timeout_s=1)
    verdict = chain.classify(["x " * (INLINE_CHARS // 2)])
    turned = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(turned.set_result, None)
    assert (await verdict) is not None
    assert not turned.done()


async def test_long_texts_do_not_turn_it_off() -> None:
    """A text that takes longer than it has gets no verdict; the next one does, however many came before."""
    chain = ClassifierChain(HttpClient(connect_timeout_s=1), [LOCAL], timeout_s=0.001)
    for number in range(FAILURES + 1):
        assert await chain.classify([" ".join(f"word{number}{i}" for i in range(20_000))]) is None
    assert chain.states == {"local": "closed"}
    assert await chain.classify(["How do I bake bread?"]) is not None
