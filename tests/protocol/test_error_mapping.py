"""Every error status has its class, and the server's words reach the user, but never the key."""

import json
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from parallel_integrations import ParallelClient, errors
from parallel_integrations.api import chat, search, stream_chat
from parallel_integrations.sandbox import Sandbox
from tests.support.raw_server import RawServer, Talk
from tests.support.requests import CHAT, SEARCH
from tests.support.scripted_operation import errors_of_all

KEY = "k3y-that-nobody-may-see"


@pytest.fixture
def impatient(sandbox: Sandbox) -> Iterator[ParallelClient]:
    """A client that tries once."""
    with ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url, max_retries=0) as client:
        yield client


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, errors.InvalidRequestError),
        (401, errors.AuthenticationError),
        (402, errors.PaymentRequiredError),
        (403, errors.PermissionDeniedError),
        (404, errors.NotFoundError),
        (408, errors.StatusError),
        (409, errors.ConflictError),
        (418, errors.StatusError),
        (422, errors.InvalidRequestError),
        (429, errors.RateLimitError),
        (500, errors.ServerError),
        (502, errors.ServerError),
        (503, errors.ServerError),
        (504, errors.ServerError),
        (599, errors.ServerError),
    ],
)
async def test_each_status_has_its_class(
    sandbox: Sandbox, impatient: ParallelClient, status: int, error: type[errors.StatusError]
) -> None:
    sandbox.faults.add(status=status, times=3)
    for caught in await errors_of_all(impatient, errors.StatusError):
        assert type(caught) is error
        assert caught.status == status
        assert f"{status} from POST" in str(caught)
        # The gateway that refuses a key gives no reference.
        assert bool(caught.ref_id) is (status != 401)
        assert (caught.ref_id or "") in str(caught)
        assert caught.message in str(caught)


@pytest.mark.parametrize(
    ("body", "message", "detail", "ref_id"),
    [
        (
            {"type": "error", "error": {"ref_id": "r1", "message": "too long", "detail": {"a": 1}}},
            "too long",
            {"a": 1},
            "r1",
        ),
        (
            {"detail": [{"loc": ["body", "mode"], "msg": "unknown", "type": "enum"}]},
            "mode: unknown",
            [{"loc": ["body", "mode"], "msg": "unknown", "type": "enum"}],
            None,
        ),
        ({"error": {"message": "no such thing", "detail": None}}, "no such thing", None, None),
        (
            {"error": {"message": "bad", "type": "invalid", "param": "model", "code": None}},
            "bad",
            None,
            None,
        ),
        ({"error": {"message": "bad", "details": {"b": 2}}}, "bad", {"b": 2}, None),
        ({"detail": "Not authenticated"}, "Not authenticated", "Not authenticated", None),
        ({"error": "plain words"}, "plain words", None, None),
        ("<html><h1>Bad  gateway</h1>\n</html>", "<html><h1>Bad gateway</h1> </html>", None, None),
        ("[1, 2]", "[1, 2]", None, None),
        ("", "", None, None),
        ('{"error": 7}', '{"error": 7}', {"error": 7}, None),
    ],
)
def test_each_of_the_known_bodies_is_understood(
    sandbox: Sandbox,
    impatient: ParallelClient,
    body: Any,
    message: str,
    detail: Any,
    ref_id: str | None,
) -> None:
    sandbox.faults.add(status=422, body=body, content_type="application/json")
    with pytest.raises(errors.InvalidRequestError) as caught:
        impatient.run(search(SEARCH))
    error = caught.value
    assert (error.message, error.detail, error.ref_id) == (message, detail, ref_id)
    assert message in str(error)


def test_an_endless_error_page_is_cut(sandbox: Sandbox, impatient: ParallelClient) -> None:
    sandbox.faults.add(status=500, body="<p>sorry</p>" * 9999, content_type="text/html")
    with pytest.raises(errors.ServerError) as caught:
        impatient.run(search(SEARCH))
    assert len(str(caught.value)) < 500


def test_an_error_names_its_remedy(sandbox: Sandbox) -> None:
    with (
        ParallelClient(api_key="wrong", base_url=sandbox.url) as client,
        pytest.raises(errors.AuthenticationError, match="PARALLEL_API_KEY"),
    ):
        client.run(search(SEARCH))


@pytest.mark.parametrize("status", ["301", "302", "303", "307", "308"])
async def test_a_redirect_is_refused_and_nothing_follows_it(status: str) -> None:
    """The key and the question would travel along."""
    with RawServer(lambda talk, _: talk.respond(b"{}")) as trap:
        location = f"location: {trap.url}/v1/search"
        with (
            RawServer(
                lambda talk, _: talk.respond(status=f"{status} Elsewhere", headers=(location,))
            ) as server,
            ParallelClient(api_key=KEY, base_url=server.url) as client,
        ):
            with pytest.raises(errors.StatusError, match="redirect") as caught:
                client.run(search(SEARCH))
            assert caught.value.status == int(status)
            assert trap.url in str(caught.value)
            with pytest.raises(errors.StatusError, match="redirect"):
                await client.arun(search(SEARCH))
            with pytest.raises(errors.StatusError, match="redirect"):
                list(client.stream(stream_chat(CHAT)))
            await client.aclose()
            assert len(server.requests) == 3
        assert trap.connections == 0


@pytest.mark.parametrize("status", ["300 Multiple Choices", "302 Found", "304 Not Modified"])
def test_a_status_that_leads_nowhere_is_no_redirect(status: str) -> None:
    with (
        RawServer(lambda talk, _: talk.respond(status=status)) as server,
        ParallelClient(api_key=KEY, base_url=server.url) as client,
        pytest.raises(errors.StatusError, match=f"{status[:3]} from POST /v1/search: {status[4:]}"),
    ):
        client.run(search(SEARCH))


def test_a_redirect_of_the_sandbox_is_refused(sandbox: Sandbox, impatient: ParallelClient) -> None:
    sandbox.faults.add(redirect=f"{sandbox.url}/v1/search")
    with pytest.raises(errors.StatusError) as caught:
        impatient.run(search(SEARCH))
    assert caught.value.status == 307
    assert len(sandbox.requests) == 1


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and everything it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def shown(error: BaseException) -> str:
    """Everything that printing, logging or storing an error can show of it."""
    notes = getattr(error, "__notes__", [])
    own = vars(error) if isinstance(error, errors.ParallelError) else {}
    return f"{error!s} {error!r} {error.args!r} {notes!r} {own!r}"


def _error_body(talk: Talk, key: str) -> None:
    talk.respond(json.dumps({"error": {"message": f"bad key {key}"}}).encode(), status="403 No")


def _detail(talk: Talk, key: str) -> None:
    body = {"detail": [{"loc": [key], "msg": key, "input": {key: key}}]}
    talk.respond(json.dumps(body).encode(), status="422 No")


def _text(talk: Talk, key: str) -> None:
    talk.respond(f"{'x' * 190} {key} denied".encode(), status="500 No", content_type="text/plain")


def _reason(talk: Talk, key: str) -> None:
    talk.respond(status=f"403 Key {key} refused")


def _location(talk: Talk, key: str) -> None:
    talk.respond(status="307 Go", headers=(f"location: https://a.example/?key={key}",))


def _content_type(talk: Talk, key: str) -> None:
    talk.respond(b"<html>", content_type=f"text/html; key={key}")


def _unreadable(talk: Talk, key: str) -> None:
    talk.respond(f"<html>{'x' * 180}{key}".encode(), content_type="text/html")


def _field(talk: Talk, key: str) -> None:
    talk.respond(json.dumps({"usage": {key: "many"}}).encode())


def _ref_id(talk: Talk, key: str) -> None:
    talk.respond(json.dumps({"error": {"ref_id": key, "message": "m"}}).encode(), status="409 No")


def _status_line(talk: Talk, key: str) -> None:
    talk.send(f"Hello {key}\r\n\r\n".encode())
    talk.finish()


def _header_line(talk: Talk, key: str) -> None:
    talk.send(f"HTTP/1.1 200 OK\r\n{key} without a colon\r\n\r\n".encode())
    talk.finish()


def _chunk_size(talk: Talk, key: str) -> None:
    talk.send(f"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{key}\r\n".encode())
    talk.finish()


def _retry_after(talk: Talk, key: str) -> None:
    talk.respond(status="429 Slow", headers=(f"retry-after: {key}",))


@pytest.mark.parametrize(
    "echo",
    [
        _error_body,
        _detail,
        _text,
        _reason,
        _location,
        _content_type,
        _unreadable,
        _field,
        _ref_id,
        _status_line,
        _header_line,
        _chunk_size,
        _retry_after,
    ],
)
async def test_no_error_shows_the_key_wherever_the_server_echoes_it(echo: Any) -> None:
    with RawServer(lambda talk, _: echo(talk, KEY)) as server:
        client = ParallelClient(api_key=KEY, base_url=server.url, max_retries=0)
        failures = []
        with pytest.raises(errors.ParallelError) as caught:
            client.run(search(SEARCH))
        failures.append(caught.value)
        with pytest.raises(errors.ParallelError) as caught:
            await client.arun(search(SEARCH))
        failures.append(caught.value)
        with pytest.raises(errors.ParallelError) as caught:
            list(client.stream(stream_chat(CHAT)))
        failures.append(caught.value)
        await client.aclose()
    assert all(KEY.encode() in request for request in server.requests)
    for error in failures:
        for each in chain(error):
            assert KEY not in shown(each)


def test_an_error_within_a_stream_does_not_show_the_key(
    sandbox: Sandbox, impatient: ParallelClient
) -> None:
    sandbox.faults.add(cut_after_events=1, error_event=True, echo_key=True)
    with pytest.raises(errors.StreamInterruptedError) as caught:
        list(impatient.stream(stream_chat(CHAT)))
    for each in chain(caught.value):
        assert sandbox.api_key not in shown(each)


@pytest.mark.parametrize("status", [401, 422, 429])
def test_an_error_survives_a_pickle(
    sandbox: Sandbox, impatient: ParallelClient, status: int
) -> None:
    sandbox.faults.add(status=status, retry_after=99)
    with pytest.raises(errors.StatusError) as caught:
        impatient.run(search(SEARCH))
    error = caught.value
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
    assert copy.retry_after == 99


@pytest.mark.parametrize(
    "error",
    [
        errors.UnexpectedAnswerError("text", status=200, content_type="text/html", body="<html>"),
        errors.StreamInterruptedError("text", partial="so far"),
    ],
)
def test_other_errors_survive_a_pickle(error: errors.ParallelError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), "text", vars(error))


def test_a_chat_model_nobody_has_is_an_invalid_request(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    with pytest.raises(errors.InvalidRequestError, match="oracle") as caught:
        client.run(chat(CHAT.model_copy(update={"model": "oracle"})))
    assert caught.value.status == 422
    assert len(sandbox.requests) == 1
