"""Adapter: client settings, and no unknown arguments."""

import copy
import pickle
from typing import Any

import pytest
from pydantic import AliasChoices, Field, SecretStr

from parallel_integrations import MissingKeyError, ParallelClient
from parallel_integrations._documents.adapter import Adapter
from parallel_integrations.api import search
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.sandbox import Sandbox
from tests.support.requests import SEARCH

SECRET = "s3cret-that-nobody-may-see"


class Finder(Adapter):
    """An adapter as both frameworks have them."""

    k: int = Field(default=10, ge=1, validation_alias=AliasChoices("k", "max_results"))


def test_an_adapter_connects(sandbox: Sandbox) -> None:
    finder = Finder(api_key=sandbox.api_key, base_url=f"{sandbox.url}/", timeout=7, max_retries=0)
    assert finder.resolved_client().run(search(SEARCH)).results
    settings = finder.resolved_client().settings
    assert (settings.base_url, settings.timeout, settings.max_retries) == (sandbox.url, 7, 0)


def test_adapters_with_equal_settings_share_a_client(sandbox: Sandbox) -> None:
    before = sandbox.connections
    # A timeout of its own: connections of earlier adapters with these settings may still be open.
    connection: Any = {"api_key": sandbox.api_key, "base_url": sandbox.url, "timeout": 41}
    finders = [Finder(**connection, k=k) for k in (1, 2, 3)]
    for finder in finders:
        finder.resolved_client().run(search(SEARCH))
    assert len({id(finder.resolved_client()) for finder in finders}) == 1
    assert sandbox.connections - before == 1
    other = Finder(api_key=sandbox.api_key, base_url=sandbox.url, timeout=3)
    assert other.resolved_client() is not finders[0].resolved_client()


def test_a_given_client_is_used(client: ParallelClient) -> None:
    assert Finder(client=client).resolved_client() is client


def test_a_changed_setting_changes_the_connection(sandbox: Sandbox) -> None:
    finder = Finder(api_key="wrong", base_url=sandbox.url)
    finder.resolved_client()
    finder.api_key = SecretStr(sandbox.api_key)
    assert finder.resolved_client().run(search(SEARCH)).results


def test_the_environment_is_read_when_the_adapter_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARALLEL_API_KEY", "one-key")
    monkeypatch.setenv("PARALLEL_BASE_URL", "https://a.example")
    finder = Finder()
    assert finder.api_key is not None
    assert finder.api_key.get_secret_value() == "one-key"
    assert finder.resolved_client().settings.base_url == "https://a.example"


def test_later_adapters_read_the_environment_as_it_is_then(monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ("https://a.example", "https://b.example"):
        monkeypatch.setenv("PARALLEL_BASE_URL", address)
        assert Finder(api_key="one-key").resolved_client().settings.base_url == address
    connection: Any = {"api_key": "one-key", "base_url": "http://c.internal"}
    monkeypatch.setenv("PARALLEL_PLAIN_HTTP_HOSTS", "c.internal")
    finder = Finder(**connection)
    assert finder.resolved_client().settings.base_url == "http://c.internal"


@pytest.mark.parametrize("timeout", [True, "5", [5]])
def test_a_setting_that_became_wrong_is_named_at_the_next_call(timeout: Any) -> None:
    Finder(api_key="one-key", timeout=1).resolved_client()  # which equals True
    finder = Finder(api_key="one-key", timeout=2)
    finder.resolved_client()
    finder.timeout = timeout
    with pytest.raises(InvalidArgumentError, match="timeout="):
        finder.resolved_client()


def test_a_missing_key_is_an_error_at_the_first_call_only(sandbox: Sandbox) -> None:
    finder = Finder(base_url=sandbox.url)
    with pytest.raises(MissingKeyError, match="PARALLEL_API_KEY"):
        finder.resolved_client().run(search(SEARCH))


@pytest.mark.parametrize(
    ("name", "hint"),
    [("api_keys", "'api_key'"), ("max_result", "'max_results'"), ("whatever", "no argument")],
)
def test_an_unknown_argument_is_refused_with_a_hint(name: str, hint: str) -> None:
    arguments: dict[str, Any] = {"api_key": SECRET, name: 1}
    with pytest.raises((TypeError, ValueError), match=hint) as caught:
        Finder(**arguments)
    assert name in str(caught.value)
    assert SECRET not in str(caught.value)


def test_each_name_of_an_argument_is_known() -> None:
    assert Finder(k=3).k == Finder(max_results=3).k == 3


@pytest.mark.parametrize(
    "arguments",
    [
        {"k": 0},
        {"timeout": -1},
        {"timeout": 0},
        {"max_retries": -1},
        {"base_url": "http://a.example"},
        {"client": "not a client"},
    ],
)
def test_a_wrong_value_is_refused_by_name_without_the_key(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match=next(iter(arguments))) as caught:
        Finder(api_key=SECRET, **arguments)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "key", [f"{SECRET}\n{SECRET}", f"{SECRET} twice", SecretStr(f"{SECRET}\n1")]
)
def test_a_wrong_key_is_refused_without_showing_it(key: Any) -> None:
    with pytest.raises(Exception, match="api_key") as caught:
        Finder(api_key=key)
    assert SECRET not in str(caught.value)


def test_a_password_in_the_url_is_not_shown() -> None:
    with pytest.raises(Exception, match="user name") as caught:
        Finder(api_key="some-key", base_url=f"https://user:{SECRET}@a.example")
    assert SECRET not in str(caught.value)


def test_a_key_is_in_nothing_an_adapter_shows_or_stores() -> None:
    finder = Finder(api_key=SECRET)
    finder.resolved_client()
    shown = [repr(finder), str(finder), str(finder.model_dump()), finder.model_dump_json()]
    assert not [text for text in shown if SECRET in text]
    assert SECRET.encode() not in pickle.dumps(finder)


def test_a_pickled_adapter_reads_the_key_again(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = pickle.dumps(Finder(api_key=SECRET, base_url=sandbox.url, k=3))
    monkeypatch.setenv("PARALLEL_API_KEY", sandbox.api_key)
    loaded = pickle.loads(data)
    assert loaded.k == 3
    assert loaded.resolved_client().run(search(SEARCH)).results


@pytest.mark.parametrize("duplicate", [copy.deepcopy, copy.copy, Finder.model_copy])
def test_a_copied_adapter_keeps_its_key(sandbox: Sandbox, duplicate: Any) -> None:
    finder = Finder(api_key=sandbox.api_key, base_url=sandbox.url)
    finder.resolved_client().run(search(SEARCH))
    other = duplicate(finder)
    assert other.resolved_client().run(search(SEARCH)).results
    assert other == finder
