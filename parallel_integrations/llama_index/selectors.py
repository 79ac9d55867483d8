"""Parallel's Decisions as a LlamaIndex selector; experimental."""

from collections.abc import Sequence
from typing import Any, Final, Never, Unpack

from llama_index.core.base.base_selector import BaseSelector, SelectorResult, SingleSelection
from llama_index.core.prompts.mixin import PromptDictType
from llama_index.core.schema import QueryBundle
from llama_index.core.tools.types import ToolMetadata

from parallel_integrations._documents.adapter import (
    Adapter,
    ConnectionOptions,
    described,
    refuse_unknown,
)
from parallel_integrations._documents.decisions import answer_of
from parallel_integrations._documents.queries import readable
from parallel_integrations.api import decide
from parallel_integrations.errors import InvalidArgumentError, UnexpectedAnswerError
from parallel_integrations.llama_index.arguments import as_choices, as_query, checking
from parallel_integrations.models._validation import by_name, is_number
from parallel_integrations.models.basis import Citation
from parallel_integrations.models.decision import (
    Choice,
    ChoiceAnswer,
    DecideRequest,
    DecideResponse,
    Noul,
    NoulAnswer,
)

QUESTION: Final = "choice"
INSTRUCTIONS: Final = "Which choice is the best one to answer the query in the state?"
EACH_INSTRUCTIONS: Final = "Is this choice useful to answer the query in the state?"


class ParallelSelection(SelectorResult):
    """The selected choices, the likeliest first.

    Attributes:
        probabilities: Of each selection, in their order.
        citations: The pages that the decision rests on.
        decision_id: The API's id; None where nothing had to be decided.
    """

    probabilities: list[float] = []
    citations: list[Citation] = []
    decision_id: str | None = None


@checking("choices", 1, as_choices, "select", "aselect")
@checking("query", 2, as_query, "select", "aselect")
class ParallelSelector(BaseSelector):
    """Selects which tool, index or engine answers a query, for `RouterQueryEngine`; 0.001 USD each.

    Experimental: this API is known from the vendor's pages and one program of a third party alone.

    A single choice is selected without a request.

    Args:
        multi: True selects every choice whose probability reaches `threshold`, and at least the
            likeliest one; at most 100 choices. False selects one of at most 255.
        threshold: From 0 to 1.
        instructions: What is to be decided, instead of which choice answers the query best.
        **connection: `api_key`, `base_url`, `timeout` in seconds (60), `max_retries` (2), `client`.

    Raises:
        ParallelError: From `select` and `aselect`; `UnexpectedAnswerError` where the model refuses
            to decide.
        ValueError: No choice, too many or too long ones, a threshold outside 0 to 1.
        TypeError: An unknown argument.

    Example:
        ```python
        from parallel_integrations.llama_index import ParallelSelector

        choices = ["Statements of the language: with, import.", "Types: numbers, strings."]
        selection = ParallelSelector().select(choices, "What does the with statement do?")
        print(selection.ind, selection.reason)
        ```
    """

    def __init__(
        self,
        *unnamed: Never,
        multi: bool = False,
        threshold: float = 0.5,
        instructions: str | None = None,
        **connection: Unpack[ConnectionOptions],
    ) -> None:
        if unnamed:
            raise by_name(type(self).__name__, "multi")
        refuse_unknown(type(self), connection, ConnectionOptions.__annotations__)
        if not is_number(threshold) or not 0 <= threshold <= 1:
            raise InvalidArgumentError(f"threshold={threshold!r} must be from 0 to 1")
        self._multi = multi
        self._threshold = threshold
        self._instructions = instructions or (EACH_INSTRUCTIONS if multi else INSTRUCTIONS)
        self._settings = Adapter(**connection)

    def __repr__(self) -> str:
        return described(self, {"multi": self._multi, "threshold": self._threshold}.items())

    def _get_prompts(self) -> dict[str, Any]:
        return {}

    def _update_prompts(self, prompts_dict: PromptDictType) -> None:
        """There are no prompts."""

    def _select(self, choices: Sequence[ToolMetadata], query: QueryBundle) -> SelectorResult:
        if (request := self._request(choices, query)) is None:
            return _ONLY
        return self._read(choices, self._settings.resolved_client().run(decide(request)))

    async def _aselect(self, choices: Sequence[ToolMetadata], query: QueryBundle) -> SelectorResult:
        if (request := self._request(choices, query)) is None:
            return _ONLY
        return self._read(choices, await self._settings.resolved_client().arun(decide(request)))

    def _request(self, choices: Sequence[ToolMetadata], query: QueryBundle) -> DecideRequest | None:
        """The decision; None where there is but one choice."""
        if not choices:
            raise InvalidArgumentError("there is no choice to select")
        if len(choices) == 1:
            return None
        text = readable(query.query_str)
        if not text.strip():
            raise InvalidArgumentError("the query is blank; give a question", field="query")
        named = {_label(number): _described(each) for number, each in enumerate(choices)}
        questions: dict[str, Any]
        if not self._multi:
            questions = {QUESTION: Choice(instructions=self._instructions, criteria=named)}
        else:
            # A question each: the probabilities of one choice add up to 1, and two that fit would
            # share it.
            questions = {
                label: Noul(instructions={"question": self._instructions, "choice": text})
                for label, text in named.items()
            }
        return DecideRequest(state={"query": text}, questions=questions)

    def _read(self, choices: Sequence[ToolMetadata], response: DecideResponse) -> SelectorResult:
        found: dict[int, float] = {}
        if self._multi:
            shares = {
                number: answer_of(response, _label(number), NoulAnswer).noul
                for number in range(len(choices))
            }
            ranked = sorted(shares, key=lambda number: -shares[number])
            chosen = [each for each in ranked if shares[each] >= self._threshold] or ranked[:1]
            found = {number: shares[number] for number in chosen}
        else:
            answer = answer_of(response, QUESTION, ChoiceAnswer)
            labels = {_label(number): number for number in range(len(choices))}
            if answer.choice not in labels:
                raise UnexpectedAnswerError(
                    f"The decision {response.decision_id or 'without an id'} chose "
                    f"{answer.choice!r}, which was no choice"
                )
            found = {labels[answer.choice]: answer.certainty}
        return ParallelSelection(
            selections=[
                SingleSelection(index=number, reason=_reason(share))
                for number, share in found.items()
            ],
            probabilities=list(found.values()),
            citations=response.citations,
            decision_id=response.decision_id,
        )


_ONLY: Final = ParallelSelection(
    selections=[SingleSelection(index=0, reason="It is the only choice")], probabilities=[1.0]
)


def _reason(share: float) -> str:
    return f"Selected with a probability of {share:.2f}" if share else "Selected"


def _label(number: int) -> str:
    return f"choice_{number + 1}"  # names of tools may be missing, or the same


def _described(choice: ToolMetadata) -> str:
    text = f"{choice.name}: {choice.description}" if choice.name else choice.description
    return readable(text)
