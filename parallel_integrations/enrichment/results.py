"""What an enrichment yields: finished rows, and its progress."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from parallel_integrations.models.notebook import model_html
from parallel_integrations.models.output_schema import parse_output
from parallel_integrations.models.task import TaskOutput


class EnrichedRow(BaseModel):
    """A row with its output, or with the reason why there is none.

    Attributes:
        number: Which row of the input, from 0.
        input: The row as it was given, with the columns that were not sent.
        output: Content and basis; None where there is an error.
        error: Why there is no output: the API's reason, or that the row was not submitted.
        submitted: False where `max_cost_usd` kept the row from being submitted.
        taskgroup_id: The group that may hold an output which could not be read.
        parsed: The output as an instance of the class given as `output_schema`.
        validation_error: Why the output, which is kept, is no instance of that class.
    """

    number: int
    input: Any
    output: TaskOutput | None = None
    error: str | None = None
    submitted: bool = True
    run_id: str | None = None
    taskgroup_id: str | None = None
    parsed: Any = Field(default=None, exclude=True)
    validation_error: str | None = None

    def fit(self, schema: object) -> "EnrichedRow":
        """Fill `parsed` or `validation_error` for a class; anything else changes nothing."""
        if self.output is not None:
            self.parsed, self.validation_error = parse_output(self.output.content, schema)
        return self

    def _repr_html_(self) -> str:
        return model_html(self)


class EnrichmentProgress(BaseModel):
    """How far an enrichment has come; reported at the start, after every poll and at the end.

    Attributes:
        finished: Rows that have an output or an error.
        failed: Those of them that have an error.
        not_submitted: Those that `max_cost_usd` keeps from being submitted; they are not finished.
        total: Rows in all; None while that is not known.
        in_flight: Runs that the API is working on.
        remaining_runs: Those in flight, and those that are still to be submitted as far as
            `max_cost_usd` allows; None while the number of rows is not known.
        cost_usd: What completed runs cost; None where the price is not known.
        reserved_usd: What the runs in flight will cost if all of them complete, and those whose
            outputs could not be read.
        max_usd: What it costs at most once every row is done, `max_cost_usd` considered; None
            where the number of rows or the price is not known.
        waiting_reason: Why outputs cannot be read at the moment, such as `ServerError 503`; reading
            is repeated.
    """

    type: Literal["enrichment.progress"] = "enrichment.progress"
    finished: int = 0
    failed: int = 0
    not_submitted: int = 0
    total: int | None = None
    in_flight: int = 0
    remaining_runs: int | None = None
    cost_usd: float | None = None
    reserved_usd: float | None = None
    max_usd: float | None = None
    waiting_reason: str | None = None

    def _repr_html_(self) -> str:
        return model_html(self)
