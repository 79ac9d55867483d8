"""Rows about the sandbox: how long a test that uses it waits for it."""

import time
from collections.abc import Callable, Iterator
from tempfile import TemporaryDirectory

from benchmarks.measure import QUESTION, Call, Row, per_call, quick
from parallel_integrations import (
    AddTaskGroupRunsRequest,
    CreateTaskRunRequest,
    ParallelClient,
    SearchRequest,
)
from parallel_integrations.api import (
    add_task_group_runs,
    create_task_group,
    search,
    task_group_runs,
)
from parallel_integrations.sandbox import Sandbox


def rows() -> list[Row]:
    """The rows of this file."""
    with (
        TemporaryDirectory() as folder,
        Sandbox(task_seconds=0) as sandbox,
        ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url) as client,
        ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url, cache=folder) as cached,
    ):
        request = SearchRequest(objective=QUESTION)
        numbers = iter(range(1000))
        return [
            _row("sandbox: start, first search, stop", 500, _begin_and_end, rounds=5),
            _row("sandbox: a search", 20, lambda: client.run(search(request)), rounds=20),
            _found_in_cache(
                lambda: client.run(search(request)), lambda: cached.run(search(request))
            ),
            _row("sandbox: publish a page", 1000, lambda: _publish(sandbox, numbers), rounds=5),
            _row("sandbox: a group of 1,000 tasks", 5000, lambda: _group(client), rounds=3),
        ]


def _row(what: str, bar: float, call: Call, *, rounds: int) -> Row:
    call()
    return Row(what, bar, quick(_seconds(call) for _ in range(rounds)) * 1e3, " ms")


def _found_in_cache(call: Call, cached: Call) -> Row:
    cost = per_call({"call": call, "cached": cached}, calls=5, rounds=40, clock=time.perf_counter)
    what = "sandbox: a search found in the cache"
    base = f"the search itself, {cost['call'] * 1e3:.2f} ms"
    return Row(what, 0.1, cost["cached"] / cost["call"], base=base)


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _begin_and_end() -> None:
    with (
        Sandbox() as sandbox,
        ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url) as client,
    ):
        client.run(search(SearchRequest(objective=QUESTION)))


def _publish(sandbox: Sandbox, numbers: Iterator[int]) -> None:
    url = f"https://example.com/{next(numbers)}"
    sandbox.publish(url=url, title="Zebra", text="A new zebra crossing.")


def _group(client: ParallelClient) -> None:
    group = client.run(create_task_group())
    tasks = [CreateTaskRunRequest(input=f"row {n}", processor="lite") for n in range(1000)]
    request = AddTaskGroupRunsRequest(inputs=tasks, output_schema="x")
    client.run(add_task_group_runs(group.taskgroup_id, request))
    for _ in client.stream(task_group_runs(group.taskgroup_id, include_output=True)):
        pass
