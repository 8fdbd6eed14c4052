"""The layer that lets nothing out without its verdicts, alone around a tiny app."""

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from middleware.coverage import CoverageMiddleware, UncoveredError
from middleware.record import RECORD, Decision, Layer, Outcome, Record
from middleware.refusal import DIALECT, OpenAIDialect
from tests.middleware.asgi import ask

LAYERS: tuple[Layer, ...] = ("input_guard", "safety", "output")


def deciding(*layers: Layer, status: int = 200, outcome: Outcome = "pass") -> ASGIApp:
    """Records these verdicts and answers."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        RECORD.require(scope).decisions += [Decision(layer, outcome) for layer in layers]
        await send({"type": "http.response.start", "status": status, "headers": [(b"x-inner", b"1")]})
        await send({"type": "http.response.body", "body": b"the ", "more_body": True})
        await send({"type": "http.response.body", "body": b"answer"})

    return app


def covered(app: ASGIApp, record: Record, layers: tuple[Layer, ...] = LAYERS) -> ASGIApp:
    layer = CoverageMiddleware(app, layers=layers)

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        RECORD.put(scope, record)
        DIALECT.put(scope, OpenAIDialect())
        await layer(scope, receive, send)

    return call


@pytest.mark.parametrize("outcome", ["pass", "flag", "mask", "off", "error"])
async def test_all_verdicts_let_it_out(outcome: Outcome) -> None:
    """Whatever they say: that they refuse, or let pass without a verdict, is the layers' own business."""
    record = Record("r", 0.0)
    reply = await ask(covered(deciding(*LAYERS, outcome=outcome), record))
    assert (reply.status, reply.body, reply.headers) == (200, b"the answer", {"x-inner": "1"})
    assert len(record.decisions) == 3


@pytest.mark.parametrize("missing", LAYERS)
async def test_one_missing_verdict_holds_it_back(missing: Layer) -> None:
    """503 in the route's dialect in place of the answer, of which nothing leaves; the record says what is missing."""
    record = Record("r", 0.0)
    reply = await ask(covered(deciding(*(layer for layer in LAYERS if layer != missing)), record))
    assert reply.status == 503
    assert reply.json()["error"]["code"] == "unavailable"
    assert reply.headers["retry-after"] == "1"
    assert "x-inner" not in reply.headers
    assert b"answer" not in reply.body
    assert record.decisions[-1] == Decision(missing, "error", "no_verdict")


@pytest.mark.parametrize("status", [400, 404, 422, 429, 499, 500, 502, 503])
async def test_what_is_no_success_passes(status: int) -> None:
    """A refusal needs no verdict of the layers behind it."""
    assert (await ask(covered(deciding(status=status), Record("r", 0.0)))).status == status


async def test_without_layers_everything_passes() -> None:
    """No layer is asked for, none is missing."""
    assert (await ask(covered(deciding(), Record("r", 0.0), layers=()))).status == 200


async def test_a_watched_answer_owes_its_verdict_at_the_end() -> None:
    """It may begin without; if the verdict does not come, it does not end."""
    record = Record("r", 0.0, watched={"output"})

    async def streams(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"the ", "more_body": True})
        if decides:
            RECORD.require(scope).decisions.append(Decision("output", "pass"))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    decides = True
    assert (await ask(covered(streams, record, ("output",)))).body == b"the "
    decides, sent = False, []
    record = Record("r", 0.0, watched={"output"})

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    with pytest.raises(UncoveredError):
        await covered(streams, record, ("output",))({"type": "http", "method": "POST"}, receive, send)
    assert [message.get("more_body") for message in sent] == [None, True]
    assert record.decisions == [Decision("output", "error", "no_verdict")]


async def test_only_the_watched_layer_may_wait() -> None:
    """That the answer is watched says nothing of the layers before it."""
    record = Record("r", 0.0, watched={"output"})
    assert (await ask(covered(deciding("safety"), record))).status == 503
    assert [decision.layer for decision in record.decisions] == ["safety", "input_guard"]


async def test_it_names_the_layer_it_misses() -> None:
    """Mounted without a record, it says so."""
    with pytest.raises(LookupError, match="mount RecordMiddleware outside"):
        await ask(CoverageMiddleware(deciding(), layers=LAYERS))
