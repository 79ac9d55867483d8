"""A scenario: what one cassette shows, how it is carried out, and what recording it live costs.

It is a generator: it yields requests, is given what came back, and so runs alike on a blocking and
on an awaiting client.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from parallel_integrations import CloudflareGateway, ParallelClient, ParallelError, models
from parallel_integrations.api import chat, extract, search, stream_chat


@dataclass(frozen=True)
class Step:
    """An operation on something that an earlier response named.

    Attributes:
        make: Makes the operation; called once the earlier responses are there.
        usd: What the live API bills for it.
        stream: Whether it is a stream, whose events are the response.
    """

    make: Callable[[], Any]
    usd: float = 0.0
    stream: bool = False


Question: TypeAlias = models.SearchRequest | models.ExtractRequest | models.ChatRequest
Result: TypeAlias = Any
"""What came back: a result, a list of events or `ChatResponse`, or the expected error."""
Talk: TypeAlias = Generator[Any, Any, None]
"""Yields questions and steps, is sent what came back."""

_CHAT_USD: Final = {"speed": 0.005, "lite": 0.005, "base": 0.010, "core": 0.025}


def gateway_route(server: str | None = None) -> CloudflareGateway:
    """The route through a gateway, Cloudflare's or the server that stands in for it."""
    base = {} if server is None else {"base": f"{server}/v1"}
    return CloudflareGateway(account_id="account", gateway_id="gateway", **base)


@dataclass(frozen=True)
class Scenario:
    """One cassette.

    Attributes:
        name: `<topic>/<what_it_shows>`, the file's place.
        talk: Gives the requests.
        client: What the client is set up with, besides key and base URL.
        wrong_key: Whether a key is used that the API does not know.
        error: What the client raises, where that is what is shown.
        sandbox: What the sandbox that it is recorded from is set up with.
        faults: The faults that are injected.
        sandbox_only: Why it cannot be recorded live; empty where it can.
        full: Whether it is recorded live with FULL=1 only, because it is dear or goes on by itself.
        gateway: Whether it goes through Cloudflare's gateway, for which the sandbox stands in.
    """

    name: str
    talk: Callable[[], Talk]
    client: tuple[tuple[str, Any], ...] = ()
    wrong_key: bool = False
    error: type[ParallelError] | None = None
    sandbox: tuple[tuple[str, Any], ...] = ()
    faults: tuple[Mapping[str, Any], ...] = ()
    sandbox_only: str = ""
    full: bool = False
    gateway: bool = False

    @property
    def expected(self) -> tuple[type[ParallelError], ...]:
        """The error as `except` wants it."""
        return () if self.error is None else (self.error,)

    def set_up(self, **connection: Any) -> ParallelClient:
        """A client as this scenario wants it."""
        settings = {"max_retries": 0, **dict(self.client), **connection}
        if self.gateway:
            settings["route"] = gateway_route(settings.pop("base_url", None))
        return ParallelClient(**settings)


AS_IN_QUICKSTART: Final[dict[str, Any]] = {
    "client": (("api_version", "v1beta"),),
    "sandbox_only": "the live API was never seen to respond so",
}
"""Settings of a scenario for a sandbox with `quickstart`."""


def ask(*questions: Question) -> Callable[[], Talk]:
    """Questions that do not depend on what came back."""

    def talk() -> Talk:
        for question in questions:
            _ = yield question  # `yield from` would hand them to the tuple

    return talk


def said(question: str, **settings: Any) -> models.ChatRequest:
    """One user's turn."""
    return models.ChatRequest(messages=[{"role": "user", "content": question}], **settings)


def run(scenario: Scenario, client: ParallelClient) -> list[Result]:
    """Every result of a scenario, blocking; the expected error is one, too."""
    results: list[Result] = []
    for step in _steps(scenario, results):
        try:
            operation = step.make()
            result = list(client.stream(operation)) if step.stream else client.run(operation)
        except scenario.expected as error:
            result = error
        results.append(result)
    return results


async def arun(scenario: Scenario, client: ParallelClient) -> list[Result]:
    """Every result of a scenario, awaiting."""
    results: list[Result] = []
    for step in _steps(scenario, results):
        try:
            if step.stream:
                result: Any = [event async for event in client.astream(step.make())]
            else:
                result = await client.arun(step.make())
        except scenario.expected as error:
            result = error
        results.append(result)
    return results


def _steps(scenario: Scenario, results: list[Result]) -> Iterator[Step]:
    """The operations of a scenario, each once the last one's result is among the results."""
    talk = scenario.talk()
    question = next(talk)
    while True:
        yield _step(question)
        is_whole = isinstance(question, models.ChatRequest) and not question.stream
        if is_whole and not isinstance(results[-1], ParallelError):
            results[-1] = [results[-1]]  # as a stream's
        try:
            question = talk.send(results[-1])
        except StopIteration:
            return


def _step(question: Question | Step) -> Step:
    if isinstance(question, models.SearchRequest):
        return Step(lambda: search(question))
    if isinstance(question, models.ExtractRequest):
        return Step(lambda: extract(question))
    if isinstance(question, models.ChatRequest):
        make = stream_chat if question.stream else chat
        return Step(lambda: make(question), stream=question.stream)
    return question


def price_usd(scenario: Scenario) -> float:
    """What the live API bills for recording this scenario, by its published prices."""
    if scenario.error is not None:
        return 0.0
    blank: Any = [models.ChatResponse.model_validate({"interaction_id": "unknown"})]
    talk = scenario.talk()
    usd = 0.0
    try:
        question = next(talk)
        while True:
            usd += _price_usd(question)
            question = talk.send(blank)
    except StopIteration:
        return usd


def _price_usd(question: Question | Step) -> float:
    if isinstance(question, Step):
        return question.usd
    if isinstance(question, models.ChatRequest):
        return _CHAT_USD[question.model]
    if isinstance(question, models.ExtractRequest):
        return 0.001 * len(question.urls)
    return 0.005 + 0.001 * max(0, question.max_results - 10)
