"""Evaluation by facts, in the form of LlamaIndex's evaluators."""

import asyncio
from collections.abc import Sequence
from typing import Any, get_args

from llama_index.core.base.response.schema import RESPONSE_TYPE, AsyncStreamingResponse
from llama_index.core.evaluation import BaseEvaluator, EvaluationResult
from llama_index.core.prompts.mixin import PromptDictType

from parallel_integrations._documents.adapter import described
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.evaluation.answers import Answer, Passage, answer_of
from parallel_integrations.evaluation.figures import Figure, figures_of
from parallel_integrations.evaluation.functions import comment, question_of
from parallel_integrations.evaluation.grading import grade
from parallel_integrations.evaluation.judges import judge_of
from parallel_integrations.evaluation.questions import Question, Source, questions_of
from parallel_integrations.llama_index.arguments import as_text, as_texts
from parallel_integrations.models._validation import is_number


class ParallelFactEvaluator(BaseEvaluator):
    """Scores a response by the facts that it should state and the passages that hold them.

    Args:
        questions: Questions with their facts, found by their text; a file, rows or `Question`s. Not
            needed where `reference` is given with each call.
        figure: What the score is: `fact_accuracy` (facts stated and held by a cited passage),
            `fact_recall`, `evidence_recall`, `citation_recall`, …
        judge: A LlamaIndex `LLM` or another judge of `parallel_integrations.evaluation`; None for
            the judge without a model.
        min_score: The score from which a response passes.

    Example:
        ```python
        from parallel_integrations.llama_index import ParallelFactEvaluator

        rows = [{"question": "Who wrote Emma?", "answer": "Jane Austen"}]
        evaluator = ParallelFactEvaluator(rows, figure="fact_recall")
        print(evaluator.evaluate("Who wrote Emma?", "Jane Austen wrote Emma.").score)  # 1.0
        ```
    """

    def __init__(
        self,
        questions: Source | Sequence[Question] = (),
        *,
        figure: Figure = "fact_accuracy",
        judge: Any = None,
        min_score: float = 1.0,
    ) -> None:
        if figure not in get_args(Figure):
            known = ", ".join(get_args(Figure))
            raise InvalidArgumentError(f"figure={figure!r} is none of {known}", field="figure")
        if not is_number(min_score):
            raise InvalidArgumentError(f"min_score={min_score!r:.80} must be a number")
        given = [] if questions == () else questions_of(questions)
        self.questions = {_key(each.question): each for each in given}
        self.figure: Figure = figure
        self.judge = judge_of(judge)
        self.min_score = min_score

    def __repr__(self) -> str:
        return described(self, {"figure": self.figure, "min_score": self.min_score}.items())

    def _get_prompts(self) -> PromptDictType:
        return {}

    def _update_prompts(self, prompts_dict: PromptDictType) -> None:
        """Nothing is done: there are no prompts to change."""

    async def aevaluate(
        self,
        query: str | None = None,
        response: str | None = None,
        contexts: Sequence[str] | None = None,
        reference: Any = None,
        **kwargs: Any,
    ) -> EvaluationResult:
        """Score a text by the passages it was given.

        Args:
            query: The question.
            response: The answer.
            contexts: The passages; they count as cited where the answer has markers for them.
            reference: The facts, where `questions` does not have the query: a text, a dict with
                `answer`, or one with `facts`, or the facts alone.
            **kwargs: Ignored, as other evaluators do.

        Raises:
            InvalidArgumentError: There are no facts for the query.
        """
        passages = [Passage(text=each) for each in as_texts("contexts", contexts)]
        answer = answer_of({"answer": as_text("response", response), "documents": passages})
        return await asyncio.to_thread(self._score, query, answer, reference)

    # LlamaIndex's own hands over the texts of the source nodes alone, without their urls.

    def evaluate_response(
        self,
        query: str | None = None,
        response: RESPONSE_TYPE | None = None,
        reference: Any = None,
        **kwargs: Any,
    ) -> EvaluationResult:
        """Score a response by its source nodes, with their urls; a stream is read to its end."""
        return self._score(query, _read(response), reference)

    async def aevaluate_response(
        self,
        query: str | None = None,
        response: RESPONSE_TYPE | None = None,
        reference: Any = None,
        **kwargs: Any,
    ) -> EvaluationResult:
        """Score a response by its source nodes, awaiting; all else as in `evaluate_response`."""
        if isinstance(response, AsyncStreamingResponse):
            response = await response.get_response()
        # A stream and a judge, which may be a model, block.
        answer = await asyncio.to_thread(_read, response)
        return await asyncio.to_thread(self._score, query, answer, reference)

    def _score(self, query: str | None, answer: Answer, reference: Any) -> EvaluationResult:
        question = self.questions.get(_key(as_text("query", query)))
        if reference is not None:
            question = question_of(query, reference, needs_facts=True)
        if question is None:
            raise InvalidArgumentError(
                f"query={query!r:.200}: there are no facts for it; give it in questions=, or its "
                "facts as reference="
            )
        result = grade(question, answer, self.judge)
        score = getattr(figures_of([result]), self.figure)
        return EvaluationResult(
            query=query,
            response=answer.text,
            contexts=[passage.text for passage in answer.passages],
            score=score,
            passing=None if score is None else score >= self.min_score,
            feedback=comment(self.figure, result),
            invalid_result=score is None,
            invalid_reason="nothing could be decided" if score is None else None,
        )


def _read(response: RESPONSE_TYPE | None) -> Answer:
    return Answer(text="") if response is None else answer_of(response)


def _key(text: str) -> str:
    return " ".join(text.split()).casefold()
