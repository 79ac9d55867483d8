"""Rate limiters: of LangChain, of LlamaIndex, waited for before each call of every adapter."""

import asyncio
import pickle
from copy import deepcopy
from functools import partial
from threading import Lock
from typing import Any

import pytest
from langchain_core.rate_limiters import BaseRateLimiter
from llama_index.core.rate_limiter import BaseRateLimiter as LlamaIndexRateLimiter

from parallel_integrations import (
    ChatRequest,
    ParallelClient,
    ParallelError,
    SearchRequest,
    langchain,
    llama_index,
)
from parallel_integrations.api import search, stream_chat
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.sandbox import Sandbox

QUESTION = "What is a closure?"
URLS = [f"https://docs.python.org/3/reference/{n}.html" for n in range(21)]  # two calls


class Counting(BaseRateLimiter, LlamaIndexRateLimiter):
    """A limiter of both frameworks, which counts, and can refuse."""

    def __init__(self) -> None:
        self.blocking = 0
        self.awaiting = 0
        self.refuses = False

    def acquire(self, num_tokens: int = 0, *, blocking: bool = True) -> bool:  # type: ignore[override]
        if self.refuses:
            raise RuntimeError("enough")
        self.blocking += 1
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        self.awaiting += 1
        return True

    async def async_acquire(self, num_tokens: int = 0) -> None:
        self.awaiting += 1


class Locking(Counting):
    """One that holds a lock, as those of the frameworks do."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = Lock()


def toolkit(**settings: Any) -> Any:
    return langchain.ParallelToolkit(**settings).get_tools()[0]


def spec_tool(**settings: Any) -> Any:
    return llama_index.ParallelToolSpec(**settings).to_tool_list(["parallel_search"])[0]


LOADER = partial(langchain.ParallelExtractLoader, urls=URLS, on_error=lambda _: None)
READER = partial(llama_index.ParallelExtractReader, on_error=lambda _: None)

# What is built, the method that is called (its awaiting twin has an `a` before its name) with what,
# and how many calls that makes.
ADAPTERS: dict[str, tuple[Any, str, tuple[Any, ...], int]] = {
    "retriever": (langchain.ParallelSearchRetriever, "invoke", (QUESTION,), 1),
    "loader": (LOADER, "load", (), 2),
    "search tool": (langchain.ParallelSearchTool, "invoke", ({"objective": QUESTION},), 1),
    "extract tool": (langchain.ParallelExtractTool, "invoke", ({"urls": URLS[:1]},), 1),
    "task tool": (langchain.ParallelTaskRunTool, "invoke", ({"input": QUESTION},), 1),
    "toolkit": (toolkit, "invoke", ({"objective": QUESTION},), 1),
    "deep research": (langchain.ParallelDeepResearch, "invoke", (QUESTION,), 1),
    "LlamaIndex reader": (llama_index.ParallelReader, "load_data", (QUESTION,), 1),
    "LlamaIndex extract reader": (READER, "load_data", (URLS,), 2),
    "LlamaIndex retriever": (llama_index.ParallelRetriever, "retrieve", (QUESTION,), 1),
    "LlamaIndex tool": (spec_tool, "call", (QUESTION,), 1),
}


@pytest.mark.parametrize("name", ADAPTERS)
async def test_every_call_of_an_adapter_waits_for_its_rate_limiter(
    sandbox: Sandbox, name: str
) -> None:
    make, method, inputs, num_calls = ADAPTERS[name]
    page = {"url": URLS[0], "title": "T", "excerpts": ["e"], "full_content": "f"}
    sandbox.faults.add(
        path="/v1/extract", body={"extract_id": "e", "results": [page], "errors": []}, times=4
    )
    limiter = Counting()
    made = make(api_key=sandbox.api_key, base_url=sandbox.url, rate_limiter=limiter)
    await asyncio.to_thread(getattr(made, method), *inputs)
    assert (limiter.blocking, limiter.awaiting) == (num_calls, 0)
    await getattr(made, f"a{method}")(*inputs)
    assert (limiter.blocking, limiter.awaiting) == (num_calls, num_calls)


async def test_a_paced_client_shares_usage_and_connections(sandbox: Sandbox) -> None:
    limiter = Counting()
    with ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        paced = client.paced(limiter)
        await asyncio.to_thread(paced.run, search(SearchRequest(objective=QUESTION)))
        messages = [{"role": "user", "content": QUESTION}]
        chat = ChatRequest.model_validate({"messages": messages})
        assert await asyncio.to_thread(lambda: list(paced.stream(stream_chat(chat))))
        assert [event async for event in paced.astream(stream_chat(chat))]
        assert (limiter.blocking, limiter.awaiting) == (2, 1)
        assert client.usage.counts == paced.usage.counts == {"search": 1, "chat_speed": 2}
        limiter.refuses = True
        with pytest.raises(RuntimeError, match="enough"):
            paced.run(search(SearchRequest(objective=QUESTION)))
        client.run(search(SearchRequest(objective=QUESTION)))  # itself it is not paced
    assert len(sandbox.requests) == 4


def test_an_object_that_paces_nothing_is_refused() -> None:
    class Blocking:
        def acquire(self) -> None: ...

    for given in (object(), Blocking(), 5):
        with pytest.raises(InvalidArgumentError, match=r"rate_limiter= must have acquire\(\)"):
            langchain.ParallelSearchRetriever(api_key="k", rate_limiter=given)
        with pytest.raises(ValueError, match="async_acquire"):
            ParallelClient(api_key="k").paced(given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "make",
    [
        langchain.ParallelSearchRetriever,
        langchain.ChatParallel,
        llama_index.ParallelReader,
        llama_index.ParallelExtractReader,
        llama_index.ParallelLLM,
    ],
)
def test_copies_share_a_rate_limiter_and_a_pickle_never_goes_without_it(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARALLEL_API_KEY", "k")
    limiter = Locking()
    adapter = make(rate_limiter=limiter)
    assert deepcopy(adapter).rate_limiter is limiter
    assert "rate_limiter" not in repr(adapter)
    with pytest.raises(ParallelError, match="rate_limiter=Locking cannot be pickled"):
        pickle.dumps(adapter)
    again = pickle.loads(pickle.dumps(make(rate_limiter=Counting())))
    assert isinstance(again.rate_limiter, Counting)
    paced = ParallelClient(api_key="k").paced(Counting())
    assert type(deepcopy(paced)) is type(pickle.loads(pickle.dumps(paced))) is type(paced)
