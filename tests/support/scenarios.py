"""What the cassettes show. One list drives recording, replaying and the price of recording live.

A scenario is a generator: it yields requests, is given what came back, and so runs the same way on
a blocking and on an awaiting client.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from parallel_integrations import (
    AuthenticationError,
    ChatRequest,
    ChatResponse,
    ExtractRequest,
    InvalidRequestError,
    ParallelClient,
    ParallelError,
    SearchRequest,
    SourcePolicy,
)
from parallel_integrations.api import chat, extract, search, stream_chat
from parallel_integrations.api.flow import Flow

Question: TypeAlias = SearchRequest | ExtractRequest | ChatRequest
Answer: TypeAlias = Any
"""A `SearchResponse` or `ExtractResponse`, a list of `ChatResponse`, or the expected error."""
Talk: TypeAlias = Generator[Any, Any, None]
"""Yields questions, is sent answers."""

OBJECTIVE: Final = "How does the with statement handle exceptions?"
READABLE_PAGE: Final = "https://docs.python.org/3/reference/compound_stmts.html"
MISSING_PAGE: Final = "https://docs.python.org/3/no-such-page.html"
FULL_PAGE: Final = "https://docs.python.org/3/reference/simple_stmts.html?topic=nonlocal#nonlocal"
QUESTION: Final = "What does the nonlocal statement do?"
FOLLOW_UP: Final = "And how does it differ from the global statement?"
ANSWER_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "statement": {"type": "string", "description": "The statement that is explained."},
        "explanation": {"type": "string", "description": "What it does, in one sentence."},
    },
    "required": ["statement", "explanation"],
    "additionalProperties": False,
}

_CHAT_USD: Final = {"speed": 0.005, "lite": 0.005, "base": 0.010, "core": 0.025}


@dataclass(frozen=True)
class Scenario:
    """One cassette.

    Attributes:
        name: `<topic>/<what_it_shows>`, the file's place.
        talk: Gives the requests.
        client: What the client is set up with, besides key and base URL.
        wrong_key: Whether a key is used that the API does not know.
        error: What the client raises, where that is what is shown.
    """

    name: str
    talk: Callable[[], Talk]
    client: tuple[tuple[str, Any], ...] = ()
    wrong_key: bool = False
    error: type[ParallelError] | None = None

    @property
    def expected(self) -> tuple[type[ParallelError], ...]:
        """The error as `except` wants it."""
        return () if self.error is None else (self.error,)

    def set_up(self, **connection: Any) -> ParallelClient:
        """A client as this scenario wants it."""
        return ParallelClient(**{"max_retries": 0, **dict(self.client), **connection})


def ask(*questions: Question) -> Callable[[], Talk]:
    """Questions that do not depend on the answers."""

    def talk() -> Talk:
        for question in questions:
            _ = yield question  # `yield from` would hand the answers to the tuple

    return talk


def said(question: str, **settings: Any) -> ChatRequest:
    """One user's turn."""
    return ChatRequest(messages=[{"role": "user", "content": question}], **settings)


def _conversation() -> Talk:
    answers: list[ChatResponse] = yield said(QUESTION)
    yield ChatRequest(
        messages=[
            {"role": "system", "content": "Answer in one sentence."},
            {"role": "user", "content": QUESTION},
            {"role": "assistant", "content": answers[0].text},
            {"role": "user", "content": FOLLOW_UP},
        ]
    )


def _continued_research() -> Talk:
    answers: list[ChatResponse] = yield said(QUESTION, model="lite")
    yield said(FOLLOW_UP, model="lite", previous_interaction_id=answers[0].interaction_id)


SCENARIOS: Final = (
    Scenario("search/by_objective", ask(SearchRequest(objective=OBJECTIVE))),
    Scenario(
        "search/by_queries",
        ask(SearchRequest(search_queries=["import system finders loaders"], mode="basic")),
    ),
    Scenario(
        "search/with_source_policy",
        ask(
            SearchRequest(
                objective=OBJECTIVE,
                source_policy=SourcePolicy(
                    include_domains=["docs.python.org"], after_date="2020-01-01"
                ),
            )
        ),
    ),
    Scenario(
        "search/excerpt_limits",
        ask(
            SearchRequest(
                objective=OBJECTIVE, max_results=3, max_chars_per_result=1000, max_chars_total=2000
            )
        ),
    ),
    Scenario(
        "search/older_generation",
        ask(SearchRequest(objective=OBJECTIVE, max_results=3)),
        client=(("api_version", "v1beta"),),
    ),
    Scenario(
        "search/oldest_generation",
        ask(SearchRequest(objective=OBJECTIVE, max_results=3, max_chars_per_result=1500)),
        client=(("api_version", "v1beta-processor"),),
    ),
    Scenario(
        "search/invalid_request",
        ask(SearchRequest(objective=OBJECTIVE, mode="clairvoyant")),
        error=InvalidRequestError,
    ),
    Scenario(
        "search/wrong_key",
        ask(SearchRequest(objective=OBJECTIVE)),
        wrong_key=True,
        error=AuthenticationError,
    ),
    Scenario(
        "extract/two_pages_one_missing",
        ask(ExtractRequest(urls=[READABLE_PAGE, MISSING_PAGE], objective=OBJECTIVE)),
    ),
    Scenario(
        "extract/full_content",
        ask(ExtractRequest(urls=[FULL_PAGE], full_content={"max_chars_per_result": 4000})),
    ),
    Scenario(
        "extract/older_generation",
        ask(ExtractRequest(urls=[READABLE_PAGE], objective=OBJECTIVE)),
        client=(("api_version", "v1beta"),),
    ),
    Scenario("chat/plain_answer", ask(said(QUESTION))),
    Scenario("chat/streamed_answer", ask(said(QUESTION, stream=True))),
    Scenario(
        "chat/json_schema",
        ask(
            said(
                QUESTION,
                response_format={
                    "type": "json_schema",
                    "json_schema": {"name": "explained", "schema": ANSWER_SCHEMA},
                },
            )
        ),
    ),
    Scenario("chat/research_with_basis", ask(said(QUESTION, model="lite"))),
    Scenario("chat/streamed_research", ask(said(QUESTION, model="lite", stream=True))),
    Scenario(
        "chat/older_path",
        ask(said(QUESTION)),
        client=(("chat_path", "/v1beta/chat/completions"),),
    ),
    Scenario("chat/conversation", _conversation),
    Scenario("chat/continued_research", _continued_research),
    Scenario(
        "chat/unknown_model",
        ask(said(QUESTION, model="oracle")),
        error=InvalidRequestError,
    ),
)
BY_NAME: Final = {scenario.name: scenario for scenario in SCENARIOS}


def run(scenario: Scenario, client: ParallelClient) -> list[Answer]:
    """Every answer of a scenario, blocking; the expected error is one, too."""
    answers: list[Answer] = []
    talk = scenario.talk()
    try:
        question = next(talk)
        while True:
            try:
                if isinstance(question, ChatRequest) and question.stream:
                    answer: Any = list(client.stream(stream_chat(question)))
                elif isinstance(question, ChatRequest):
                    answer = [client.run(chat(question))]
                else:
                    answer = client.run(_flow(question))
            except scenario.expected as error:
                answer = error
            answers.append(answer)
            question = talk.send(answer)
    except StopIteration:
        return answers


async def arun(scenario: Scenario, client: ParallelClient) -> list[Answer]:
    """Every answer of a scenario, awaiting."""
    answers: list[Answer] = []
    talk = scenario.talk()
    try:
        question = next(talk)
        while True:
            try:
                if isinstance(question, ChatRequest) and question.stream:
                    answer: Any = [chunk async for chunk in client.astream(stream_chat(question))]
                elif isinstance(question, ChatRequest):
                    answer = [await client.arun(chat(question))]
                else:
                    answer = await client.arun(_flow(question))
            except scenario.expected as error:
                answer = error
            answers.append(answer)
            question = talk.send(answer)
    except StopIteration:
        return answers


def price_usd(scenario: Scenario) -> float:
    """What the live API bills for recording this scenario, by its published prices."""
    if scenario.error is not None:
        return 0.0
    blank = [ChatResponse.model_validate({"interaction_id": "unknown"})]
    talk = scenario.talk()
    usd = 0.0
    try:
        question = next(talk)
        while True:
            usd += _price_usd(question)
            question = talk.send(blank)
    except StopIteration:
        return usd


def _price_usd(question: Question) -> float:
    if isinstance(question, ChatRequest):
        return _CHAT_USD[question.model]
    if isinstance(question, ExtractRequest):
        return 0.001 * len(question.urls)
    return 0.005 + 0.001 * max(0, question.max_results - 10)


def _flow(question: SearchRequest | ExtractRequest) -> Flow[Any]:
    return search(question) if isinstance(question, SearchRequest) else extract(question)
