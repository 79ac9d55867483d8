"""The mode that each adapter states, on every route."""

from collections.abc import Callable
from typing import Any

import pytest

from parallel_integrations import InvalidArgumentError, ParallelClient, SearchMcp
from parallel_integrations.langchain import ParallelSearchRetriever, ParallelSearchTool
from parallel_integrations.llama_index import ParallelReader, ParallelRetriever, ParallelToolSpec
from parallel_integrations.sandbox import Sandbox
from tests.support.requests import QUESTION


def _tool_spec(question: str, **settings: Any) -> Any:
    return ParallelToolSpec(**settings).to_tool_list()[0](question)


ADAPTERS: dict[str, tuple[Callable[..., Any], str]] = {
    "LangChain tool": (
        lambda question, **settings: ParallelSearchTool(handle_tool_error=False, **settings).invoke(
            question
        ),
        "fast",
    ),
    "LangChain retriever": (
        lambda question, **settings: ParallelSearchRetriever(**settings).invoke(question),
        "advanced",
    ),
    "LlamaIndex tool": (_tool_spec, "fast"),
    "LlamaIndex retriever": (
        lambda question, **settings: ParallelRetriever(**settings).retrieve(question),
        "advanced",
    ),
    "LlamaIndex reader": (
        lambda question, **settings: ParallelReader(**settings).load_data(question),
        "advanced",
    ),
}
EVERY_ADAPTER = pytest.mark.parametrize(("search", "mode"), ADAPTERS.values(), ids=ADAPTERS)


@EVERY_ADAPTER
def test_the_mode_is_stated(
    sandbox: Sandbox, client: ParallelClient, search: Callable[..., Any], mode: str
) -> None:
    search(QUESTION, client=client)
    search(QUESTION, client=client, mode="turbo")
    search(QUESTION, client=client, mode=None)
    modes = [request.body.get("mode") for request in sandbox.requests]
    assert modes == [mode, "turbo", None]


@EVERY_ADAPTER
def test_a_route_without_modes_is_given_none_and_refuses_one_that_was_chosen(
    sandbox: Sandbox, search: Callable[..., Any], mode: str
) -> None:
    with ParallelClient(route=SearchMcp(url=sandbox.url + "/mcp")) as free:
        assert search(QUESTION, client=free)
        with pytest.raises(Exception, match=f"mode='{mode}' would be ignored") as caught:
            search(QUESTION, client=free, mode=mode)
    assert isinstance(caught.value.__cause__ or caught.value, InvalidArgumentError)
