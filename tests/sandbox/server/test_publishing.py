import pytest

from parallel_integrations.sandbox import Corpus, Page, Sandbox
from tests.sandbox.operations.monitor_calls import (
    NEWS,
    publish,
)


def test_publishing_concerns_this_sandbox_only(sandbox: Sandbox) -> None:
    pages = len(sandbox.corpus)
    with Sandbox() as other:
        publish(sandbox)
        publish(other, 1)
        assert len(sandbox.corpus) == len(other.corpus) == pages + 1
        assert other.corpus.get(NEWS) is None
        assert other.corpus.get(NEWS + "1") is not None
        other.reset()
        assert len(other.corpus) == pages
    sandbox.reset()
    assert len(sandbox.corpus) == pages
    with Sandbox() as third:
        assert third.corpus.get(NEWS) is None


def test_publishing_replaces_the_page_of_the_address() -> None:
    corpus = Corpus([Page("https://a.example/x", "A", "One.", aliases=("https://a.example/y",))])
    sandbox = Sandbox(corpus)
    publish(sandbox, url="https://a.example/y/", text="Two.")
    assert [page.text for page in sandbox.corpus] == ["Two."]

    with sandbox:
        publish(sandbox, url="http://A.example/y", text="Three.")
        assert [page.text for page in sandbox.corpus] == ["Three."]
    for wrong, words in (
        ({"url": " "}, r"page\['url'\]=' ' must be an address"),
        ({"url": "y"}, r"page\['url'\]='y' must be an address"),
        ({"text": " "}, "page has no content"),
        ({"published": "May"}, r"page\['published'\]='May' must be a date"),
    ):
        with pytest.raises(ValueError, match=words):
            publish(sandbox, **wrong)
