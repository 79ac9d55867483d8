"""Reports of an evaluation: figures, tables, JSON and a page of HTML."""

import json
from html import escape
from os import PathLike
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, Field, computed_field

from parallel_integrations.evaluation.figures import (
    Comparison,
    Figure,
    Figures,
    compare,
    figures_of,
)
from parallel_integrations.evaluation.grading import FactResult, PassageVerdict, QuestionResult
from parallel_integrations.evaluation.judges import describe

MAX_SHOWN_CHARACTERS: Final = 600
"""Of an excerpt in the HTML report, around what holds the fact."""


class EvaluationReport(BaseModel):
    """What came of an evaluation.

    Attributes:
        name: The run's.
        judge: Name of the judge.
        settings: Those of a search, where a search was evaluated.
        usd: What it cost, earlier runs in the journal included; None where that is not known.
        results: One for each question, in order.
    """

    name: str
    judge: str = "text"
    settings: dict[str, Any] = Field(default_factory=dict)
    usd: float | None = None
    results: list[QuestionResult] = Field(default_factory=list)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def figures(self) -> Figures:
        """The figures of all its questions."""
        return figures_of(self.results, self.usd)

    @property
    def usd_per_question(self) -> float | None:
        """What a question cost on average."""
        submitted = sum(each.is_submitted for each in self.results)
        return None if self.usd is None or not submitted else self.usd / submitted

    def compare(self, other: "EvaluationReport", figure: Figure = "evidence_recall") -> Comparison:
        """How much another run differs from this one, on the questions that both have."""
        return compare(self.results, other.results, figure)

    def write_json(self, path: str | PathLike[str]) -> None:
        """Write everything as JSON."""
        Path(path).write_text(self.model_dump_json(indent=2), encoding="utf-8")

    def write_html(self, path: str | PathLike[str]) -> None:
        """Write a page that needs no other file: figures, and each fact with what holds it."""
        Path(path).write_text(_page(self.name, [self], ""), encoding="utf-8")

    def __str__(self) -> str:
        return "\n".join([f"{self.name} (judge: {self.judge})", *_lines(self.figures)])


class SearchTuning(BaseModel):
    """Search settings side by side.

    Attributes:
        reports: One for each combination.
    """

    reports: list[EvaluationReport]

    @property
    def best(self) -> EvaluationReport:
        """The one with the highest evidence recall; of equal ones the cheapest."""
        return min(self.reports, key=lambda each: (-_recall(each), *_cost(each)))

    @property
    def recommended(self) -> EvaluationReport:
        """The cheapest that is not significantly worse than the best.

        Cheaper is fewer US dollars a question, then fewer characters of context.
        """
        best = self.best
        for report in sorted(self.reports, key=_cost):
            if report is best:
                break
            try:
                comparison = best.compare(report)
            except ValueError:  # no question in common: one of them was never asked
                continue
            if not (comparison.is_significant and comparison.difference < 0):
                return report
        return best

    def rows(self) -> list[dict[str, Any]]:
        """One row for each combination: its settings, evidence recall, context and cost."""
        recommended = self.recommended
        rows = []
        for each in self.reports:
            figures = each.figures
            rows.append(
                {
                    **each.settings,
                    "evidence_recall": figures.evidence_recall,
                    "undecided_share": figures.undecided_share,
                    "context_characters": round(figures.context_characters),
                    "usd_per_question": each.usd_per_question,
                    "questions": figures.questions,
                    "failed": figures.failed,
                    "recommended": each is recommended,
                }
            )
        return rows

    def write_json(self, path: str | PathLike[str]) -> None:
        """Write the rows and every report as JSON."""
        reports = [json.loads(each.model_dump_json()) for each in self.reports]
        text = json.dumps({"rows": self.rows(), "reports": reports}, indent=2, ensure_ascii=False)
        Path(path).write_text(text, encoding="utf-8")

    def write_html(self, path: str | PathLike[str]) -> None:
        """Write a page that needs no other file: the table, and each report below it."""
        Path(path).write_text(_page("Search settings", self.reports, _table(self.rows())), "utf-8")


def _recall(report: EvaluationReport) -> float:
    return report.figures.evidence_recall or 0.0


def _cost(report: EvaluationReport) -> tuple[float, float]:
    return report.usd_per_question or 0.0, report.figures.context_characters


def percent(value: float | None) -> str:
    """A share as people read it; a dash for none."""
    return "–" if value is None else f"{value:.0%}"  # noqa: RUF001 - a dash in a table


def _lines(figures: Figures) -> list[str]:
    """The figures that there are, one a line."""
    lines = []
    for name, value in figures.model_dump().items():
        if value is None or (
            value == 0 and name in ("failed", "not_submitted", "invalid_verdicts")
        ):
            continue
        label = name.replace("_", " ")
        if isinstance(value, float) and name not in ("usd", "context_characters", "seconds"):
            lines.append(f"  {label}: {percent(value)}")
        elif name == "usd":
            lines.append(f"  {label}: {value:.4g}")
        else:
            lines.append(
                f"  {label}: {value:,.1f}" if isinstance(value, float) else f"  {label}: {value}"
            )
    return lines


_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { text-align: left; padding: .25rem .75rem; border-bottom: 1px solid #8884; }
details { margin: .5rem 0; } summary { cursor: pointer; }
blockquote { margin: .25rem 0 .75rem; padding-left: .75rem; border-left: 3px solid #8886;
  overflow-wrap: anywhere; }
mark { background: #fd6; color: #000; }
.state { font-size: .85em; padding: 0 .4em; border: 1px solid #8888; border-radius: .5em;
  white-space: nowrap; }
"""


def _page(title: str, reports: list[EvaluationReport], table: str) -> str:
    sections = "".join(_section(each, is_open=len(reports) == 1) for each in reports)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{table}{sections}"
        "<p>A judge without a model compares words and numbers; it verifies nothing.</p>"
        "</body></html>"
    )


def _section(report: EvaluationReport, *, is_open: bool) -> str:
    figures = [line.strip().partition(": ")[::2] for line in _lines(report.figures)]
    heading = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in figures)
    body = "".join(_question(each) for each in report.results)
    return (
        f"<details{' open' if is_open else ''}><summary><b>{escape(report.name)}</b> "
        f"(judge: {escape(report.judge)})</summary><table>{heading}</table>{body}</details>"
    )


def _question(result: QuestionResult) -> str:
    parts = [f"<h3>{escape(result.question)}</h3>"]
    if result.error is not None:
        parts.append(f"<p>Failed: {escape(result.error)}</p>")
    if not result.is_submitted:
        parts.append("<p>Not asked: the cost limit was reached.</p>")
    if result.answer is not None and result.answer.text is not None:
        parts.append(f"<blockquote>{escape(result.answer.text) or '(empty)'}</blockquote>")
        if result.has_abstained:
            parts.append("<p>It says that it does not know.</p>")
    parts += [_fact(result, fact) for fact in result.facts]
    for claim in result.claims:
        parts.append(f"<p>{_tag(claim.state)} {escape(claim.text)}</p>")
    return "".join(parts)


def _fact(result: QuestionResult, fact: FactResult) -> str:
    state = (
        fact.state
        or {True: "retrieved", False: "not retrieved", None: "undecided"}[fact.is_retrieved]
    )
    stated = f" <small>answer: {escape(describe(fact.stated))}</small>" if fact.stated else ""
    held = "".join(_excerpt(result, each) for each in fact.evidence)
    return f"<p>{_tag(state)} {escape(fact.fact)}{stated}</p>{held}"


def _excerpt(result: QuestionResult, evidence: PassageVerdict) -> str:
    answer, at = result.answer, evidence.passage
    if answer is None or at is None:
        return ""
    text, verdict = answer.passages[at].text, evidence.verdict
    start, end = verdict.start or 0, verdict.end or 0
    first = max(0, start - MAX_SHOWN_CHARACTERS // 2)
    last = max(end, start + MAX_SHOWN_CHARACTERS // 2)
    shown = (
        ("…" if first else "")
        + escape(text[first:start])
        + f"<mark>{escape(text[start:end])}</mark>"
        + escape(text[end:last])
        + ("…" if last < len(text) else "")
    )
    url = escape(evidence.url, quote=True)
    link = f'<a href="{url}">{url}</a>' if evidence.url.startswith(("http://", "https://")) else url
    return f"<blockquote>{_tag(verdict.support)} {link}<br>{shown}</blockquote>"


def _tag(state: str) -> str:
    return f'<span class="state">{escape(state.replace("_", " "))}</span>'


def _table(rows: list[dict[str, Any]]) -> str:
    names = list(rows[0])
    heading = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell(name, row[name]))}</td>" for name in names) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{heading}</tr>{body}</table>"


def cell(name: str, value: Any) -> str:
    """A value of a row of settings as people read it."""
    if name in ("evidence_recall", "undecided_share"):
        return percent(value)
    if isinstance(value, bool):
        return "yes" if value else ""
    if value is None:
        return "–"  # noqa: RUF001
    return (
        f"{value:.4f}"
        if isinstance(value, float)
        else f"{value:,}"
        if isinstance(value, int)
        else str(value)
    )
