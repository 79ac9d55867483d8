"""Parallel's Decisions as a LangChain decision model; experimental."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from langchain_core import __version__ as core_version
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from pydantic import Field

from parallel_integrations._documents.adapter import Adapter
from parallel_integrations._documents.decisions import answer_of
from parallel_integrations.api import decide
from parallel_integrations.errors import InvalidArgumentError, UnexpectedAnswerError
from parallel_integrations.langchain.errors import model_errors
from parallel_integrations.models import decision
from parallel_integrations.models.basis import Citation
from parallel_integrations.models.decision import DecideRequest, DecideResponse

try:
    from langchain_core.decisions import (
        BaseDecisionModel,
        Choice,
        ClassifierResponse,
        Question,
        State,
    )
    from langchain_core.exceptions import ModelRefusalError
except ImportError as error:
    raise ImportError(
        f"ParallelDecisions needs langchain-core 1.8 or newer, and {core_version} is installed: "
        "pip install -U 'langchain-core>=1.8'"
    ) from error

KINDS: Final[Mapping[str, tuple[type[Any], type[Any]]]] = {
    "noul": (decision.Noul, decision.NoulAnswer),
    "choice": (decision.Choice, decision.ChoiceAnswer),
    "score": (decision.Score, decision.ScoreAnswer),
}
ROLES: Final = {"human": "user", "ai": "assistant"}
MEDIA: Final = frozenset({"image", "audio", "video", "file", "image_url", "input_audio"})


class DecisionRefusedError(UnexpectedAnswerError, ModelRefusalError):
    """The model refused to answer a question."""


class ParallelClassifierResponse(ClassifierResponse):
    """The answers, and the pages that they rest on."""

    citations: list[Citation] = []
    """Of the request as a whole, not of a single answer."""


class ParallelDecisions(Adapter, BaseDecisionModel):
    """Answers typed questions with probabilities, checked against the web; 0.001 USD a request.

    Experimental: this API is known from the vendor's pages and one program of a third party alone.

    It takes up to 100 questions: `Noul`, `Choice` of 2 to 255 labels, `Score` of 2 to 10 levels.
    `confidence`, which the API may leave out, is then the probability of the chosen label or of the
    likeliest level. Besides the connection (`api_key`, `base_url`, `timeout` in seconds, 60 by
    default, `max_retries`, `client`) it takes:

    Attributes:
        model: The API's mode; `fast` is the only one known.
        include_excerpts: Whether citations come with excerpts.

    Raises:
        ImportError: langchain-core is older than 1.8.
        DecisionRefusedError: The model refused to answer a question; also langchain_core's
            `ModelRefusalError`.
        ParallelError: From `invoke` and `ainvoke`, at the same time one of langchain_core's
            `Model…Error` classes.
        ValueError: A `Box` question, media in the state, or what `DecideRequest` refuses, before
            anything is sent.

    Example:
        ```python
        from langchain_core.decisions import Noul
        from parallel_integrations.langchain import ParallelDecisions

        response = ParallelDecisions().invoke(
            {
                "state": "The with statement swallowed my exception.",
                "questions": {"bug": Noul(instructions="Does the message report a bug?")},
            }
        )
        print(response.nouls["bug"].noul, [page.url for page in response.citations])
        ```
    """

    model: str = Field(default="fast", min_length=1)
    """The API's mode; `fast` is the only one known."""
    include_excerpts: bool = True
    """Whether citations come with excerpts."""

    @property
    def _provider(self) -> str:
        return "parallel"

    def _classify(self, state: State, questions: dict[str, Question]) -> ClassifierResponse:
        with model_errors():
            request = self._request(state, questions)
            response = self.resolved_client().run(decide(request))
            return _read(response, questions, self.model)

    async def _aclassify(self, state: State, questions: dict[str, Question]) -> ClassifierResponse:
        with model_errors():
            request = self._request(state, questions)
            response = await self.resolved_client().arun(decide(request))
            return _read(response, questions, self.model)

    def _request(self, state: State, questions: dict[str, Question]) -> DecideRequest:
        return DecideRequest(
            state=_plain(state),
            questions={name: _question(name, each) for name, each in questions.items()},
            include_excerpts=None if self.include_excerpts else False,
            mode=self.model,
        )


def _question(name: str, question: Any) -> Any:
    if question.type not in KINDS:
        raise InvalidArgumentError(
            f"questions[{name!r}] is a {question.type!r}: Parallel's Decisions answer noul, choice "
            "and score, and look at no images"
        )
    kind, _ = KINDS[question.type]
    return kind(**_plain(question.model_dump(exclude_none=True)))


def _read(
    response: DecideResponse, questions: dict[str, Question], model: str
) -> ParallelClassifierResponse:
    for name, refusal in response.refusals.items():
        if name in questions:
            raise DecisionRefusedError(f"The question {name!r} was refused: {refusal.reason}")
    answers = {}
    for name, question in questions.items():
        _, kind = KINDS[question.type]
        answer = answer_of(response, name, kind)
        if isinstance(question, Choice) and answer.choice not in question.criteria:
            raise UnexpectedAnswerError(
                f"The answer to {name!r} is {answer.choice!r}, which is no label of it"
            )
        answers[name] = answer.model_dump(include=set(kind.model_fields) - {"fault"})
        if not isinstance(answer, decision.NoulAnswer):
            answers[name]["confidence"] = answer.certainty
    return ParallelClassifierResponse.model_validate(
        {
            "model": model,
            "answers": answers,
            "request_id": response.decision_id,
            "citations": response.citations,
        }
    )


def _plain(value: Any) -> Any:
    """A state as plain JSON: messages as objects with role and text.

    Raises:
        ValueError: It holds media.
    """
    if isinstance(value, BaseMessage):
        return _message(value)
    if isinstance(value, Mapping):
        kind = value.get("type")
        if isinstance(kind, str) and kind in MEDIA and len(value) > 1:
            raise InvalidArgumentError(
                f"the state holds a block of type {kind!r}; Parallel's Decisions take text only"
            )
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(each) for each in value]
    return value


def _message(message: BaseMessage) -> dict[str, Any]:
    _plain([each for each in message.content if isinstance(each, dict)])  # refuses media
    plain: dict[str, Any] = {
        "role": ROLES.get(message.type, message.type),
        "content": message.text,
    }
    if message.name:
        plain["name"] = message.name
    if isinstance(message, AIMessage) and message.tool_calls:
        plain["tool_calls"] = [
            {"id": call["id"], "name": call["name"], "args": call["args"]}
            for call in message.tool_calls
        ]
    if isinstance(message, ToolMessage):
        plain["tool_call_id"] = message.tool_call_id
    return plain
