"""Responses of which nothing can be read: an error, and never an empty result."""

from collections.abc import Callable
from typing import Any

import pytest

from parallel_integrations import (
    AddTaskGroupRunsRequest,
    CreateTaskRunRequest,
    IngestFindallRequest,
    SuggestProcessorRequest,
)
from parallel_integrations.api import (
    add_task_group_runs,
    ingest_findall,
    retrieve_task_run_input,
    suggest_processor,
)
from parallel_integrations.errors import UnexpectedAnswerError
from tests.support.scripted_operation import ScriptPlayer

Make = Callable[[], Any]

OPERATIONS: dict[str, tuple[Make, dict[str, Any]]] = {
    "a schema": (
        lambda: ingest_findall(IngestFindallRequest(objective="x")),
        {"objective": 5, "entity_type": [], "match_conditions": [5, "x"]},
    ),
    "a choice": (
        lambda: suggest_processor(SuggestProcessorRequest(output_schema="x")),
        {"recommended_processors": [["lite"]]},
    ),
    "runs that were added": (
        lambda: add_task_group_runs(
            "tgrp_1",
            AddTaskGroupRunsRequest(inputs=[CreateTaskRunRequest(input="x", processor="lite")]),
        ),
        {"run_ids": [5], "status": {}},
    ),
    "an input": (lambda: retrieve_task_run_input("trun_1"), {"input": 5, "processor": []}),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_lost_all_that_it_held_is_an_error(name: str) -> None:
    make, body = OPERATIONS[name]
    with pytest.raises(UnexpectedAnswerError):
        ScriptPlayer([body]).play(make())


def test_what_was_empty_as_it_came_is_a_result() -> None:
    wanted = SuggestProcessorRequest(output_schema="x")
    found = ScriptPlayer([{"recommended_processors": []}]).play(suggest_processor(wanted))
    assert found.recommended_processors == []


def test_a_part_that_can_be_read_is_a_result() -> None:
    wanted = SuggestProcessorRequest(output_schema="x")
    body = {"recommended_processors": [["lite"], "core"]}
    found = ScriptPlayer([body]).play(suggest_processor(wanted))
    assert found.recommended_processors == ["core"]
    assert not found.is_readable
