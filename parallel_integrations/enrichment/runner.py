"""Entry point of enrichment: `enrich`, and the fingerprint of its settings."""

import json
from collections.abc import Sequence
from contextlib import closing
from hashlib import blake2b
from math import inf
from os import PathLike
from pathlib import Path
from typing import Final

from parallel_integrations._protocol.flow import Stream
from parallel_integrations._protocol.polling import check_deadline
from parallel_integrations.api.task_groups import runs_to_add
from parallel_integrations.enrichment.budget import Budget
from parallel_integrations.enrichment.engine import Engine, Limits
from parallel_integrations.enrichment.journal import SERVER, Journal
from parallel_integrations.enrichment.results import EnrichedRow, EnrichmentProgress
from parallel_integrations.enrichment.row_queue import RowQueue
from parallel_integrations.enrichment.rows import Rows, row_source
from parallel_integrations.errors import ArgumentTypeError, InvalidArgumentError
from parallel_integrations.models._validation import check_count, is_number
from parallel_integrations.models.task import CreateTaskRunRequest, TaskSettings, checked_settings
from parallel_integrations.models.task_group import MAX_RUNS_PER_CALL

ROWS_PER_GROUP: Final = 200
GROUPS_IN_FLIGHT: Final = 4
ENRICHMENT_DEADLINE_SECONDS: Final = 86_400.0
SETTLE_SECONDS: Final = 30.0


def enrich(
    rows: Rows,
    settings: TaskSettings | None = None,
    *,
    columns: Sequence[str] | None = None,
    limit: int | None = None,
    journal: str | PathLike[str] | None = None,
    max_cost_usd: float | None = None,
    price_per_row_usd: float | None = None,
    retry_failed: bool = False,
    rows_per_group: int = ROWS_PER_GROUP,
    groups_in_flight: int = GROUPS_IN_FLIGHT,
    deadline_seconds: float = ENRICHMENT_DEADLINE_SECONDS,
    settle_seconds: float = SETTLE_SECONDS,
    server: str | None = None,
) -> Stream[EnrichedRow | EnrichmentProgress]:
    """Enrich rows: research an output for each, in the order of the rows.

    Rows are sent in task groups, each with its number in its metadata. Equal rows are sent, and
    paid, once. With a journal the work survives the end of its process at any moment: the same call
    goes on where it was, sends nothing twice, and yields all rows.

    A row whose run failed is an `EnrichedRow` with an `error`; failed runs are not billed. An error
    that concerns all rows (401, 402, 403, 422 …) stops the run once the rows in flight are read;
    with a journal, the same call goes on later. Rows that can be iterated twice (a list, a file, a
    DataFrame) are checked whole before anything is sent, others as they are read.

    A rate limit or an outage is waited out where outputs are read, up to a quarter of an hour and
    the deadline. A row whose output cannot be read though it may be paid for (its group is gone,
    its output is damaged) is an `EnrichedRow` with an `error` too; each later run tries to read it
    again, which costs nothing.

    Args:
        rows: A file (`Path`) named `.csv`, `.tsv`, `.jsonl`, `.ndjson` or `.parquet`, any iterable
            of texts, objects or pydantic instances, or a DataFrame of pandas or polars.
        settings: Processor, output schema and so on; the same for all rows.
        columns: The fields of each row that are sent; None sends all. Rows that are equal in these
            are one run.
        limit: Rows at most, the first: a trial. With a journal, a call with more or without goes
            on from there, and pays nothing twice.
        journal: A file that this run alone writes to; None keeps nothing beyond the run.
        max_cost_usd: Rows are no longer submitted where one more could pass this, the journal's
            earlier runs included; they come with `submitted=False`.
        price_per_row_usd: The price of a run, for processors whose price is not known here.
        retry_failed: Whether rows that failed before are submitted again. Those whose output could
            not be read are read again first, and submitted where that fails: what may be paid for
            is paid again then, and counts for `max_cost_usd` twice.
        rows_per_group: Rows sent in one call, 1 to 1000; 200.
        groups_in_flight: Groups that are worked on at once; 4.
        deadline_seconds: How long to wait in all; a day. A last poll may take 5 seconds more, on
            a client with a timeout of its own as long as that.
        settle_seconds: How long a request without a response may still be on its way: rows that its
            group does not hold after this are sent again. 30; `inf` never sends again.
        server: Where the rows are sent (`client.settings.base_url`), so that a journal begun on
            one server, the sandbox say, is not continued on another.

    Returns:
        A stream for `ParallelClient.stream` or `astream` of one `EnrichedRow` a row, in order, and
        `EnrichmentProgress` in between.

    Raises:
        ValueError: An argument that cannot be right; a row that cannot be sent, by its number.
        JournalError: The journal is in use, damaged, of other work, or cannot be written.
        TaskTimeoutError: The deadline passed, or nothing could be read for a quarter of an hour;
            names the groups. The same call goes on.
        ParallelError: Any other error that stopped it, with `taskgroup_id` where it has one.

    Example:
        ```python
        from parallel_integrations import ParallelClient, TaskSettings
        from parallel_integrations.enrichment import EnrichedRow, enrich

        rows = [{"statement": "with"}, {"statement": "nonlocal"}]
        settings = TaskSettings(processor="lite", output_schema="What the statement does.")
        with ParallelClient() as client:
            for event in client.stream(enrich(rows, settings, max_cost_usd=0.01)):
                if isinstance(event, EnrichedRow):
                    print(event.number, event.error or event.output.content)
        ```
    """
    settings = checked_settings(settings)
    check_count("rows_per_group", rows_per_group, 1, MAX_RUNS_PER_CALL)
    check_count("groups_in_flight", groups_in_flight, 1)
    if limit is not None:
        check_count("limit", limit, 1)
    _check_columns(columns)
    check_deadline(deadline_seconds)
    if not (is_number(settle_seconds) and settle_seconds >= 0):
        raise InvalidArgumentError(
            f"settle_seconds={settle_seconds!r} must be a number of seconds, 0 or more"
        )
    # A text such as "no" would be taken for the consent to pay again.
    if not isinstance(retry_failed, bool):
        raise InvalidArgumentError(f"retry_failed={retry_failed!r:.100} must be True or False")
    if not isinstance(journal, str | PathLike | None):
        raise ArgumentTypeError(f"journal={journal!r:.100} must be a file's path")
    budget = Budget(settings.processor, price_per_row_usd, max_cost_usd)
    limits = Limits(
        rows_per_group, groups_in_flight, deadline_seconds, settle_seconds, limit or inf
    )
    path = None if journal is None else Path(journal)
    source = row_source(rows)

    # A generator of its own, so that arguments are refused at once and not when a client runs it.
    def steps() -> Stream[EnrichedRow | EnrichmentProgress]:
        with closing(Journal(path, fingerprint(settings, server))) as opened:
            queue = RowQueue(source, opened, settings.output_schema, columns, limit)
            engine = Engine(queue, opened, settings, budget, limits)
            try:
                yield from engine.steps(retry_failed=retry_failed)
            except BaseException as end:
                if path is None and not isinstance(end, Exception):
                    engine.log_unfinished()
                raise

    return steps()


def _check_columns(columns: Sequence[str] | None) -> None:
    if columns is None:
        return
    is_list = isinstance(columns, list | tuple) and all(isinstance(each, str) for each in columns)
    if not is_list or not columns or len(set(columns)) < len(columns) or "" in columns:
        raise InvalidArgumentError(
            f"columns={columns!r:.100} must be a list of column names, each once and none empty"
        )


def fingerprint(settings: TaskSettings, server: str | None = None) -> dict[str, str]:
    """Settings that must be the same for two runs to be of the same work; without secrets.

    Values are digests: a schema, a domain list or a tool server's address may be confidential.
    """
    bare = settings.model_copy(update={"output_schema": None, "input_schema": None})
    body = CreateTaskRunRequest.from_settings(bare, input="-").body("v1")
    body |= runs_to_add([], settings).body("v1")
    # Where the end is reported to does not change the work.
    for name in ("input", "inputs", "webhook"):
        body.pop(name, None)
    for tool_server in body.get("mcp_servers", ()):
        tool_server.pop("headers", None)  # tokens, which are renewed
    spec = body.pop("default_task_spec", {})
    marks = {"processor": body.pop("processor")}
    for name, value in sorted({**body, **spec}.items()):
        text = json.dumps(value, sort_keys=True, ensure_ascii=False)
        marks[name] = f"blake2b:{blake2b(text.encode(), digest_size=16).hexdigest()}"
    return marks | ({SERVER: server} if server else {})
