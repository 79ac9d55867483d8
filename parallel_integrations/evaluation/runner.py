"""Entry points of evaluation: `evaluate` and `tune_search`."""

import asyncio
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from itertools import product
from os import PathLike
from typing import Any, Final, TypeAlias

from pydantic import BaseModel

from parallel_integrations import errors
from parallel_integrations.client import ParallelClient
from parallel_integrations.errors import ArgumentTypeError, InvalidArgumentError
from parallel_integrations.evaluation.answers import answer_of
from parallel_integrations.evaluation.grading import QuestionResult, grade
from parallel_integrations.evaluation.journal import EvaluationJournal, journal_key
from parallel_integrations.evaluation.judges import judge_of
from parallel_integrations.evaluation.questions import Question, Source, questions_of
from parallel_integrations.evaluation.report import EvaluationReport, SearchTuning
from parallel_integrations.evaluation.systems import SearchSystem, asker, name_of
from parallel_integrations.models._validation import check_amount, check_count

SHARED_NAMES: Final = frozenset({"<lambda>", "partial"})
"""Names that say nothing about which system has them."""
CONCURRENCY: Final = 4
VARIED: Final = ("max_results", "max_chars_per_result", "mode")


class EvaluationProgress(BaseModel):
    """How far an evaluation has come.

    Attributes:
        finished: Questions that have a result, earlier runs' included.
        total: Questions in all.
        failed: Those whose system failed.
        usd: What they cost, where that is known.
    """

    finished: int = 0
    total: int = 0
    failed: int = 0
    usd: float | None = None


# What fails one question for these reasons fails all.
CONCERNS_ALL: Final = (
    errors.MissingKeyError,
    errors.AuthenticationError,
    errors.PaymentRequiredError,
    errors.PermissionDeniedError,
)

Graded: TypeAlias = tuple[QuestionResult, Exception | None]

Watcher = Callable[[EvaluationProgress], object]


def evaluate(
    system: Any,
    questions: Source | Sequence[Question],
    *,
    judge: Any = None,
    client: ParallelClient | None = None,
    journal: str | PathLike[str] | None = None,
    max_cost_usd: float | None = None,
    price_per_question_usd: float | None = None,
    concurrency: int = CONCURRENCY,
    name: str = "",
    on_progress: Watcher | None = None,
) -> EvaluationReport:
    """Ask a system questions and judge what it says by their facts.

    A question whose system fails is a result with an `error` and costs the others nothing; a
    missing or refused key, or an account without credit, ends the run, with what was finished. With
    a journal the same call goes on after an interruption: what it holds is neither asked nor judged
    again, except questions that failed.

    Args:
        system: What answers: a function of the question, a LangChain runnable or agent, a
            LlamaIndex engine, retriever or workflow agent, or `SearchSystem(client)` for a search
            alone.
        questions: A file (see `load_questions`), rows, or `Question`s.
        judge: A chat model, an LLM, a callable or a judge; None for the judge without a model.
        client: The client whose `usage` counts what the system spends.
        journal: A file that keeps results.
        max_cost_usd: No question is asked where its price could pass this, earlier runs in the
            journal included. Needs a price: a `SearchSystem`, `price_per_question_usd` or `client`.
            With a client alone the price of a question is the dearest so far, the first one is
            asked by itself, and those in flight may cost more than that.
        price_per_question_usd: What one question costs at most.
        concurrency: Questions that are asked at once; 4.
        name: What the run is called in journal and report; by default the system's name, which a
            lambda or a `partial` with a journal has to be given. Change it when the system changes,
            or a journal's old results are taken for it.
        on_progress: Called after each question.

    Returns:
        The report.

    Raises:
        InvalidArgumentError: A question that is none, an argument that cannot be right.
        JournalError: The journal cannot be read or written.
        ParallelError: The key is missing or refused, and no question was answered.

    Example:
        ```python
        from parallel_integrations import ParallelClient
        from parallel_integrations.evaluation import SearchSystem, evaluate

        rows = [{"question": "Which statement deletes a name?", "answer": "del"}]
        with ParallelClient() as client:
            report = evaluate(SearchSystem(client, max_results=3), rows)
        print(report.figures.evidence_recall)
        ```
    """
    run = _Run(
        system,
        questions,
        judge=judge,
        client=client,
        max_cost_usd=max_cost_usd,
        price_per_question_usd=price_per_question_usd,
        concurrency=concurrency,
        name=name,
        on_progress=on_progress,
    )
    return run.report(journal)


async def aevaluate(
    system: Any,
    questions: Source | Sequence[Question],
    *,
    journal: str | PathLike[str] | None = None,
    **settings: Any,
) -> EvaluationReport:
    """As `evaluate`, awaiting; coroutines of the system run in the running loop."""
    run = _Run(system, questions, loop=asyncio.get_running_loop(), **settings)
    return await asyncio.to_thread(run.report, journal)


def tune_search(
    client: ParallelClient,
    questions: Source | Sequence[Question],
    *,
    max_results: Sequence[int] = (5, 10),
    max_chars_per_result: Sequence[int] = (3000, 4000),
    mode: Sequence[str] = ("fast",),
    judge: Any = None,
    journal: str | PathLike[str] | None = None,
    max_cost_usd: float | None = None,
    concurrency: int = CONCURRENCY,
    on_progress: Watcher | None = None,
    **settings: Any,
) -> SearchTuning:
    """Search with every combination of settings, and compare what they find with what they cost.

    Args:
        client: Sends the searches.
        questions: As for `evaluate`.
        max_results: Numbers of results to try; the API's quickstart recommends 5 to 10.
        max_chars_per_result: Lengths of excerpts to try; it recommends 3,000 to 4,000.
        mode: Modes to try.
        judge: As for `evaluate`.
        journal: As for `evaluate`.
        max_cost_usd: Most that all of them may cost together.
        concurrency: As for `evaluate`.
        on_progress: As for `evaluate`, of all settings together.
        **settings: Other fields of `SearchRequest`, the same for all.

    Returns:
        A report for each combination, and the cheapest that is not significantly worse than the
        best.

    Raises:
        InvalidArgumentError: As `evaluate`, or an empty list of settings.
    """
    _check_kind(
        "client", client, is_right=isinstance(client, ParallelClient), what="a ParallelClient"
    )
    check_amount("max_cost_usd", max_cost_usd, optional=True)
    given = questions_of(questions)
    tried = (max_results, max_chars_per_result, mode)
    for setting, values in zip(VARIED, tried, strict=True):
        is_list = isinstance(values, Sequence) and not isinstance(values, str)
        if not is_list or not values or not all(isinstance(each, Hashable) for each in values):
            raise InvalidArgumentError(
                f"{setting}={values!r:.100} must be a list of at least one value to try"
            )
    systems = search_systems(client, *tried, **settings)
    total = EvaluationProgress(total=len(systems) * len(given), usd=0.0)
    reports: list[EvaluationReport] = []
    for system in systems:
        done, failed, usd = total.finished, total.failed, total.usd or 0.0

        def watch(
            progress: EvaluationProgress, done: int = done, failed: int = failed, usd: float = usd
        ) -> None:
            total.finished, total.failed = done + progress.finished, failed + progress.failed
            total.usd = usd + (progress.usd or 0.0)
            if on_progress is not None:
                on_progress(total.model_copy())

        reports.append(
            evaluate(
                system,
                given,
                judge=judge,
                journal=journal,
                max_cost_usd=None if max_cost_usd is None else max(0.0, max_cost_usd - usd),
                concurrency=concurrency,
                on_progress=watch,
            )
        )
    return SearchTuning(reports=reports)


def search_systems(
    client: ParallelClient, *tried: Sequence[Any], **settings: Any
) -> list[SearchSystem]:
    """A search with each combination of values; equal ones count once."""
    return [
        SearchSystem(client, **dict(zip(VARIED, values, strict=True)), **settings)
        for values in product(*map(dict.fromkeys, tried))
    ]


def _check_kind(name: str, value: object, *, is_right: bool, what: str) -> None:
    if not is_right:
        raise ArgumentTypeError(f"{name}={value!r:.100} must be {what}", field=name)


class _Run:
    """One evaluation: what is asked, what it cost and what came of it."""

    def __init__(
        self,
        system: Any,
        questions: Source | Sequence[Question],
        *,
        judge: Any = None,
        client: ParallelClient | None = None,
        max_cost_usd: float | None = None,
        price_per_question_usd: float | None = None,
        concurrency: int = CONCURRENCY,
        name: str = "",
        on_progress: Watcher | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        # A run that fails when its report is made has been paid by then.
        known = client is None or isinstance(client, ParallelClient)
        _check_kind("client", client, is_right=known, what="a ParallelClient")
        _check_kind("name", name, is_right=isinstance(name, str), what="a text")
        called = on_progress is None or callable(on_progress)
        _check_kind("on_progress", on_progress, is_right=called, what="callable")
        self.ask = asker(system, loop)
        self.questions = questions_of(questions)
        self.judge = judge_of(judge)
        self.name = name or name_of(system)
        self.is_named = bool(name) or self.name not in SHARED_NAMES
        self.settings = getattr(system, "settings", {}) if isinstance(system, SearchSystem) else {}
        self.usage = client.usage if client is not None else None
        self.counted_usd = self.usage.usd if self.usage is not None else 0.0
        self.price = price_per_question_usd
        if self.price is None and isinstance(system, SearchSystem):
            self.price = system.price_usd
        check_amount("max_cost_usd", max_cost_usd, optional=True)
        check_amount("price_per_question_usd", self.price, optional=True)
        if max_cost_usd is not None and self.price is None and self.usage is None:
            raise InvalidArgumentError(
                f"max_cost_usd={max_cost_usd!r} needs to know what a question costs: give "
                "price_per_question_usd=, or client= where the system spends through one"
            )
        check_count("concurrency", concurrency, 1)
        self.max_cost_usd = max_cost_usd
        self.concurrency = concurrency
        self.on_progress = on_progress
        self.results: dict[str, QuestionResult] = {}
        # Counted as results come: a sum over all of them for each would take quadratic time.
        self.num_finished = self.num_failed = 0
        self.known_usd: float | None = None
        self.max_usd = 0.0

    def report(self, journal: str | PathLike[str] | None) -> EvaluationReport:
        """Ask what the journal does not hold, and put the report together.

        Raises:
            InvalidArgumentError: Another system's results would be taken for this one's.
        """
        if journal is not None and not self.is_named:
            raise InvalidArgumentError(
                "name= is missing: a journal finds results by their system's name, and any other "
                f"{self.name} has the same: give this one a name of its own",
                field="name",
            )
        with closing(EvaluationJournal(journal)) as kept:
            # By all of a question: one whose facts were edited is judged again, not found in the
            # journal.
            keys = {
                each.id: journal_key(self.name, self.judge.name, each.model_dump_json())
                for each in self.questions
            }
            for question in self.questions:
                earlier = kept.find(keys[question.id])
                if earlier is not None:
                    self._record(earlier)
            self._notify()
            self._ask_all(
                [each for each in self.questions if each.id not in self.results],
                lambda result: kept.keep(keys[result.id], result),
            )
        return EvaluationReport(
            name=self.name,
            judge=self.judge.name,
            settings=self.settings,
            usd=self._usd(),
            results=[self.results[each.id] for each in self.questions],
        )

    def _ask_all(self, left: list[Question], keep: Callable[[QuestionResult], None]) -> None:
        # Taken from its end, so that questions go in their order without moving the others.
        waiting = list(reversed(left))
        fatal: Exception | None = None
        in_flight: set[Future[Graded]] = set()
        with ThreadPoolExecutor(self.concurrency, "parallel-evaluation") as threads:
            try:
                while waiting or in_flight:
                    while waiting and len(in_flight) < self.concurrency:
                        if fatal is not None or not self._affords(len(in_flight)):
                            if in_flight:
                                break  # what is in flight may turn out cheaper
                            self._leave(waiting, fatal)
                            return
                        in_flight.add(threads.submit(self._ask, waiting.pop()))
                    done, _ = wait(in_flight, return_when=FIRST_COMPLETED)
                    for future in done:
                        in_flight.remove(future)
                        error = self._take(future, keep)
                        fatal = error if isinstance(error, CONCERNS_ALL) else fatal
                        self._notify()
                # The last questions may fail for such a reason, too, when none is left to leave
                # out.
                if fatal is not None:
                    self._leave([], fatal)
            # Interrupted: what has not begun would be asked, and billed, while the pool is left;
            # what is in flight is billed, and kept.
            except BaseException:
                threads.shutdown(cancel_futures=True)
                with suppress(errors.ParallelError):  # the journal itself may be what failed
                    for future in in_flight:
                        if not future.cancelled():
                            self._take(future, keep)
                raise

    def _take(
        self, future: Future[Graded], keep: Callable[[QuestionResult], None]
    ) -> Exception | None:
        """Note what became of a question; returns why it failed."""
        result, error = future.result()
        result.usd = self._cost(result)
        if result.error is None:
            keep(result)  # before anybody hears of it: it is paid
        self._record(result)
        return error

    def _record(self, result: QuestionResult) -> None:
        self.results[result.id] = result
        self.num_finished += result.is_submitted
        self.num_failed += result.is_submitted and result.error is not None
        if result.usd is not None:
            self.known_usd = (self.known_usd or 0.0) + result.usd
            self.max_usd = max(self.max_usd, result.usd)

    def _ask(self, question: Question) -> Graded:
        # The judge is not timed: a slow one would make the system look slow.
        seconds: float | None = None
        start = time.monotonic()
        try:
            answer = answer_of(self.ask(question))
            seconds = time.monotonic() - start
            return grade(question, answer, self.judge).model_copy(update={"seconds": seconds}), None
        except Exception as error:  # noqa: BLE001 - what comes from outside may raise anything
            judged = "" if seconds is None else f"The judge {self.judge.name} failed: "
            result = QuestionResult(
                id=question.id,
                question=question.question,
                answerable=question.answerable,
                error=f"{judged}{type(error).__name__}: {error}",
                seconds=time.monotonic() - start if seconds is None else seconds,
            )
            return result, error

    def _cost(self, result: QuestionResult) -> float | None:
        """What a question cost.

        By a client's usage: what was spent since the question that ended before it. That is exact
        in sum, and for each question where one is asked at a time.
        """
        if self.usage is not None:
            before, self.counted_usd = self.counted_usd, self.usage.usd
            return self.counted_usd - before
        return self.price if result.error is None else None

    def _usd(self) -> float | None:
        if self.known_usd is None and self.price is None:
            return None
        return round(self.known_usd or 0.0, 6)

    def _affords(self, in_flight: int) -> bool:
        if self.max_cost_usd is None:
            return True
        price = self.price
        if price is None:
            # Asked by itself, the first question shows what one costs before others are in flight.
            if self.known_usd is None:
                return in_flight == 0 and self.max_cost_usd > 0
            price = self.max_usd
        # A cent's billionth: sums of binary fractions are not exact.
        return (self._usd() or 0.0) + price * (in_flight + 1) <= self.max_cost_usd + 1e-9

    def _leave(self, waiting: list[Question], fatal: Exception | None) -> None:
        if fatal is not None and not any(each.answer for each in self.results.values()):
            raise fatal  # there is nothing that a report could be made of
        for question in waiting:
            self._record(
                QuestionResult(
                    id=question.id,
                    question=question.question,
                    answerable=question.answerable,
                    is_submitted=False,
                )
            )
        self._notify()

    def _notify(self) -> None:
        if self.on_progress is not None:
            self.on_progress(
                EvaluationProgress(
                    finished=self.num_finished,
                    total=len(self.questions),
                    failed=self.num_failed,
                    usd=self._usd(),
                )
            )
