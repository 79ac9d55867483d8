"""Decisions: questions and answers with probabilities (docs/reference/facts.md, 18.2)."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializeAsAny,
    ValidationError,
    field_validator,
    model_validator,
)

from parallel_integrations.models.basis import Citation
from parallel_integrations.models.fields import Items, Text, sendable
from parallel_integrations.models.shared import (
    ApiResponse,
    ApiVersion,
    RequestModel,
    ResponseModel,
    first_fault,
)
from parallel_integrations.models.tolerant_reading import read_items

MAX_QUESTIONS: Final = 100
MAX_QUESTION_CHARACTERS: Final = 5000

SLACK: Final = 0.001
"""By how much rounding may carry a probability past 0 or 1."""


def _probability(value: float) -> float:
    if not -SLACK <= value <= 1 + SLACK:  # NaN is not, either
        raise ValueError("a probability must be from 0 to 1")
    return min(max(value, 0.0), 1.0)


Probability: TypeAlias = Annotated[float, AfterValidator(_probability)]
Content: TypeAlias = str | dict[str, Any] | list[Any]
"""Text, a JSON object or a JSON array."""


class _Question(RequestModel):
    """What all kinds of question have."""

    instructions: Content
    """What is to be decided about the state."""

    @field_validator("instructions")
    @classmethod
    def _some(cls, value: Content) -> Content:
        if not value or (isinstance(value, str) and not value.strip()):
            raise ValueError("instructions must say what is to be decided")
        return sendable(value)

    @model_validator(mode="after")
    def _short_enough(self) -> "_Question":
        # The limit is one of instructions and criteria together, the names of labels included.
        fields = self.model_dump(mode="json", exclude={"type"}, exclude_none=True)
        count = sum(map(len, _texts(list(fields.values()))))
        if count > MAX_QUESTION_CHARACTERS:
            raise ValueError(
                f"instructions and criteria have {count} characters, the API takes "
                f"{MAX_QUESTION_CHARACTERS} a question; move material into the state"
            )
        return self


def _texts(value: Any) -> list[str]:
    """Every text in a JSON value, names of fields too."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for each in value for text in _texts(each)]
    if isinstance(value, dict):
        return [text for name, each in value.items() for text in [name, *_texts(each)]]
    return []


class NoulCriteria(RequestModel):
    """What the two outcomes of a `Noul` mean."""

    true: Any = None
    """What yes means."""
    false: Any = None
    """What no means."""


class Noul(_Question):
    """A yes-or-no question; its answer is the probability of yes."""

    type: Literal["noul"] = "noul"
    """Always `noul`."""
    criteria: NoulCriteria | None = None
    """What yes and no mean, where the instructions leave that open."""


class Choice(_Question):
    """Which one of 2 to 255 labels fits the state."""

    type: Literal["choice"] = "choice"
    """Always `choice`."""
    criteria: dict[str, Any] = Field(min_length=2, max_length=255)
    """Each label with its description, or None."""


class Score(_Question):
    """Where on a scale of 2 to 10 levels the state lies."""

    type: Literal["score"] = "score"
    """Always `score`."""
    criteria: list[Any] = Field(min_length=2, max_length=10)
    """The levels from the lowest, which is 0."""


Question: TypeAlias = Annotated[Noul | Choice | Score, Field(discriminator="type")]


class DecideRequest(RequestModel):
    """Questions about something, each answered with probabilities; 0.001 USD.

    Experimental: this API is known from the vendor's pages and one program of a third party alone.

    Raises:
        InvalidArgumentError: No question or too many, labels or levels that are too few or too
            many, a question that is too long.
    """

    state: Content
    """What the questions are about: text, an object or an array. With a question at most about
    32,000 tokens.
    """
    questions: dict[Annotated[str, Field(min_length=1)], Question] = Field(
        min_length=1, max_length=MAX_QUESTIONS
    )
    """1 to 100, by a name of your own."""
    include_excerpts: bool | None = None
    """Whether citations come with excerpts; True by default."""
    mode: str = "fast"
    """`fast`, the only one known."""

    @field_validator("state")
    @classmethod
    def _some_state(cls, value: Content) -> Content:
        if not value or (isinstance(value, str) and not value.strip()):
            raise ValueError("state must not be empty: it is what the questions are about")
        return sendable(value)

    def skus(self, version: ApiVersion) -> dict[str, int]:
        """One request, however many questions it has."""
        return {"decision": 1}


class DecisionAnswer(ResponseModel):
    """An answer of a kind that is unknown to this version, or that cannot be read.

    Attributes:
        type: Kind of answer.
        fault: What of it cannot be read; it is in `model_extra` then. Empty where only the kind is
            unknown.
    """

    type: Text = ""
    fault: str = ""


class NoulAnswer(DecisionAnswer):
    """The probability of yes, 0 to 1."""

    noul: Probability


class ChoiceAnswer(DecisionAnswer):
    """The label that fits best.

    Attributes:
        probabilities: Of each label.
        confidence: As the API sends it; None where it leaves it out, then see `certainty`.
    """

    choice: str
    probabilities: dict[str, Probability] = {}
    confidence: Probability | None = None

    @property
    def certainty(self) -> float:
        """The confidence, else the probability of the chosen label; 0 where neither is known."""
        return _first(self.confidence, self.probabilities.get(self.choice))


class ScoreAnswer(DecisionAnswer):
    """The expected level, which may lie between two.

    Attributes:
        legend: The levels by number.
        probabilities: Of each level, by number.
        confidence: As the API sends it; None where it leaves it out, then see `certainty`.
    """

    score: Annotated[float, Field(allow_inf_nan=False)]
    legend: dict[int, Any] = {}
    probabilities: dict[int, Probability] = {}
    confidence: Probability | None = None

    @property
    def certainty(self) -> float:
        """The confidence, else the probability of the likeliest level; 0 where none is known."""
        return _first(self.confidence, max(self.probabilities.values(), default=None))


class RefusalAnswer(DecisionAnswer):
    """The model refused to answer; what it says stays in `model_extra`."""

    @property
    def reason(self) -> str:
        """Its words, where it gives any."""
        said = (self.model_extra or {}).values()
        return next((each for each in said if isinstance(each, str) and each), "no reason given")


_KINDS: Final[Mapping[str, type[DecisionAnswer]]] = {
    "noul": NoulAnswer,
    "choice": ChoiceAnswer,
    "score": ScoreAnswer,
    "refusal": RefusalAnswer,
}


def _first(*values: float | None) -> float:
    return next((each for each in values if each is not None), 0.0)


def _read_answer(value: Any) -> Any:
    """An answer as its kind; one that cannot be read never costs the others."""
    if isinstance(value, DecisionAnswer):
        return value
    if not isinstance(value, dict):
        return DecisionAnswer.model_validate({"fault": "it is no object", "value": value})
    # Each kind has a field of its own name, by which one that names no kind is recognised.
    kind = value.get("type") or next((name for name in _KINDS if name in value), None)
    found = _KINDS.get(kind, DecisionAnswer) if isinstance(kind, str) else DecisionAnswer
    whole = {**value, "type": kind}
    try:
        return found.model_validate(whole)
    except ValidationError as error:
        kept = {"fault": first_fault(error), "unread": value}
    try:
        return read_items(found, deepcopy(whole)).model_copy(update=kept)
    except ValidationError:
        unread = {name: each for name, each in value.items() if name not in ("type", "fault")}
        return DecisionAnswer.model_validate({**unread, "type": str(kind), "fault": kept["fault"]})


Answer: TypeAlias = Annotated[SerializeAsAny[DecisionAnswer], BeforeValidator(_read_answer)]
Kind = TypeVar("Kind", bound=DecisionAnswer)


class DecideResponse(ApiResponse):
    """Answers to questions, and the pages that they rest on as a whole.

    Attributes:
        decision_id: The API's id.
        answers: By the names of their questions.
        citations: Of the request as a whole, not of a single answer.
    """

    decision_id: str | None = None
    mode: str | None = None
    answers: dict[str, Answer] = {}
    citations: Items[Citation] = []

    @property
    def nouls(self) -> dict[str, NoulAnswer]:
        """The answers to yes-or-no questions."""
        return self._of(NoulAnswer)

    @property
    def choices(self) -> dict[str, ChoiceAnswer]:
        """The labels chosen."""
        return self._of(ChoiceAnswer)

    @property
    def scores(self) -> dict[str, ScoreAnswer]:
        """The levels."""
        return self._of(ScoreAnswer)

    @property
    def refusals(self) -> dict[str, RefusalAnswer]:
        """What the model refused to answer."""
        return self._of(RefusalAnswer)

    def _of(self, kind: type[Kind]) -> dict[str, Kind]:
        return {name: each for name, each in self.answers.items() if isinstance(each, kind)}
