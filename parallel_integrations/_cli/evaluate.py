"""Command `evaluate`: compares settings of a search on questions with known facts."""

from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from parallel_integrations._cli.clients import sandbox_client
from parallel_integrations._cli.files import check_apart, check_output, files_of_journal
from parallel_integrations._cli.terminal import printable
from parallel_integrations._counted import counted
from parallel_integrations.client import ParallelClient
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.evaluation import (
    EvaluationProgress,
    SearchTuning,
    built_in_pages,
    built_in_questions,
    load_questions,
    tune_search,
)
from parallel_integrations.evaluation.report import cell
from parallel_integrations.evaluation.runner import search_systems

SEARCHES: Final = ("search", "searches")
SOME_FAILED: Final = 3
SOME_NOT_SUBMITTED: Final = 4


def run(
    questions: Path | None,
    *,
    max_results: str,
    max_chars: str,
    mode: str,
    max_cost_usd: float | None,
    journal: Path | None,
    output: Path | None,
    html: Path | None,
    concurrency: int,
) -> int:
    """Search with every combination of settings and print how they compare.

    Returns:
        The exit status.

    Raises:
        InvalidArgumentError: A question or a setting that is none.
        OSError: A file cannot be read or written.
        ParallelError: There is no key, or the journal cannot be used.
    """
    results = _numbers("--max-results", max_results)
    chars = _numbers("--max-chars", max_chars)
    modes = _parts("--mode", mode)
    if questions is not None and not questions.is_file():
        raise InvalidArgumentError(f"There is no file {questions}")
    given = built_in_questions() if questions is None else load_questions(questions)
    outputs = {"the JSON report": output, "the HTML report": html}
    named = {role: path for role, path in outputs.items() if path is not None}
    for each in named.values():
        check_output(each)
    read = {} if questions is None else {"the questions": questions}
    check_apart(read | named | ({} if journal is None else files_of_journal(journal)))
    errors, console = Console(stderr=True, highlight=False), Console(highlight=False)
    with ParallelClient() if questions else sandbox_client(pages=built_in_pages()) as client:
        systems = search_systems(client, results, chars, modes)
        price = len(given) * sum(each.price_usd for each in systems)
        limit = "" if max_cost_usd is None else f", at most {max_cost_usd:g} by --max-cost"
        before = "" if journal is None else " without what the journal holds"
        errors.print(
            f"{counted(len(given), 'question')} with {counted(len(systems), 'setting')}: "
            f"{counted(len(given) * len(systems), *SEARCHES)}, {price:.3f} USD{before}{limit}.",
            soft_wrap=True,
        )
        if questions is None:
            errors.print("A fictional town on an embedded sandbox: nothing is sent or paid.")
        bar = Progress(
            BarColumn(),
            TextColumn("{task.completed}/{task.total} searches, {task.fields[usd]:.3f} USD"),
            console=errors,
            disable=not errors.is_terminal,
        )
        with bar:
            task = bar.add_task("", total=None, usd=0.0)

            def show(progress: EvaluationProgress) -> None:
                bar.update(
                    task, completed=progress.finished, total=progress.total, usd=progress.usd or 0
                )

            tuning = tune_search(
                client,
                given,
                max_results=results,
                max_chars_per_result=chars,
                mode=modes,
                max_cost_usd=max_cost_usd,
                journal=journal,
                concurrency=concurrency,
                on_progress=show,
            )
    console.print(_table(tuning))
    for path, write in ((output, tuning.write_json), (html, tuning.write_html)):
        if path is not None:
            write(path)
            errors.print(f"Report: {path}", soft_wrap=True)
    return _status(tuning, errors)


def _table(tuning: SearchTuning) -> Table:
    rows = tuning.rows()
    table = Table("results", "characters", "mode", "evidence recall", "context", "USD each", "")
    names = ("max_results", "max_chars_per_result", "mode", "evidence_recall")
    for row in rows:
        table.add_row(
            *(printable(cell(name, row[name])) for name in names),
            cell("context_characters", row["context_characters"]),
            cell("usd_per_question", row["usd_per_question"]),
            "recommended" if row["recommended"] else "",
        )
    return table


def _status(tuning: SearchTuning, errors: Console) -> int:
    figures = [report.figures for report in tuning.reports]
    undecided = max(each.undecided_share or 0.0 for each in figures)
    if undecided:
        errors.print(f"Up to {undecided:.0%} of the facts could not be decided without a model.")
    failed = sum(each.failed for each in figures)
    left = sum(each.not_submitted for each in figures)
    if failed:
        reasons = {each.error for report in tuning.reports for each in report.results if each.error}
        errors.print(
            printable(f"{counted(failed, *SEARCHES)} failed: {sorted(reasons)[0]}"), soft_wrap=True
        )
    if left:
        errors.print(
            f"{counted(left, 'search was', 'searches were')} not sent because of --max-cost."
        )
        return SOME_NOT_SUBMITTED
    return SOME_FAILED if failed else 0


def _parts(option: str, text: str) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise InvalidArgumentError(f"{option}={text!r} must be values with commas between")
    return parts


def _numbers(option: str, text: str) -> list[int]:
    try:
        return [int(part) for part in _parts(option, text)]
    except ValueError:
        raise InvalidArgumentError(
            f"{option}={text!r} must be whole numbers, such as 3,5,10"
        ) from None
