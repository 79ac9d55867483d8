"""Documents from cassettes, whole: text, id and every metadata key, for each generation."""

from collections.abc import Callable
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest

from parallel_integrations import ParallelError
from parallel_integrations.langchain import ParallelSearchRetriever
from parallel_integrations.llama_index import ParallelReader
from tests.support.cassettes import CASSETTES, REPLAY_KEY, Edit, loaded, parsed, replaying
from tests.support.contract import unknown_fields
from tests.support.scenario import Scenario, run
from tests.support.scenarios import BY_NAME, OBJECTIVE, SCENARIOS

OPENAI = {"*.object", "*.type"}
"""What chat has of OpenAI's shape and nobody reads."""
DATES = {
    "search/with_source_policy": "publish_date",
    "search/older_generation": "publish_date",
    "search/oldest_generation": "publish_date",
}
"""Each generation, and what its responses call a page's date."""
GENERATIONS = pytest.mark.parametrize("name", DATES)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.name)
def test_our_models_know_every_field_of_a_cassette(scenario: Scenario) -> None:
    with scenario.set_up(api_key=REPLAY_KEY) as client, replaying(scenario.name):
        results = run(scenario, client)
    unknown = set().union(*(unknown_fields(each) for each in results))
    assert unknown <= OPENAI


def documents(name: str, edit: Edit | None = None) -> list[tuple[Any, ...]]:
    """What both frameworks make of a search, or of an edited one: id, text, metadata."""
    request = BY_NAME[name].talk().send(None)
    fixed = {each: getattr(request, each) for each in request.model_fields_set}
    fixed = {key: fixed[key] for key in fixed if key not in ("objective", "search_queries")}
    settings = {"mode": None, **fixed}
    with BY_NAME[name].set_up(api_key=REPLAY_KEY) as client, loaded(name) as tape:
        with tape.replaying(edit=edit):
            chain = ParallelSearchRetriever(client=client, **settings).invoke(OBJECTIVE)
        with tape.replaying(edit=edit):
            index = ParallelReader(client=client, **settings).load_data(OBJECTIVE)
    found = [(each.id, each.page_content, each.metadata) for each in chain]
    return [*found, *((each.id_, each.text, each.metadata) for each in index)]


@GENERATIONS
def test_a_document_is_what_the_response_says_and_no_more(name: str) -> None:
    """The expectation is read from the file by hand, not by our models."""
    [interaction] = parsed((CASSETTES / f"{name}.yaml").read_text("utf-8"))["interactions"]
    chain, index = [], []
    for page in interaction["response"]["body"]["json"]["results"]:
        [text] = page["excerpts"]
        day = page.get(DATES[name])
        metadata = {"url": page["url"], "title": page["title"], "published_at": day}
        metadata["source"] = page["url"]
        key = str(uuid5(NAMESPACE_URL, page["url"].partition("#")[0]))
        chain.append((key, text, metadata))
        known = {each: value for each, value in metadata.items() if value is not None}
        index.append((key, text, known))
    assert documents(name) == [*chain, *index]


def _renamed(page: dict[str, Any], field: str) -> None:
    page[f"{field}_new"] = page.pop(field)


EDITS: dict[str, Callable[[dict[str, Any], str], Any]] = {
    "dropped": lambda page, field: page.pop(field),
    "renamed": _renamed,
    "null": lambda page, field: page.update({field: None}),
    "retyped": lambda page, field: page.update({field: {"other": 1}}),
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("field", ["url", "title", "date", "excerpts"])
@GENERATIONS
def test_an_edit_of_a_field_that_matters_is_noticed(name: str, field: str, edit: str) -> None:
    field = DATES[name] if field == "date" else field

    def change(body: Any) -> None:
        page = next(each for each in body["json"]["results"] if each.get(field))
        EDITS[edit](page, field)

    try:
        changed = documents(name, change)
    except ParallelError:
        return
    assert changed != documents(name)
