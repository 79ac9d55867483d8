"""Commands `search` and `ask`: results, or an answer with its sources, in the terminal."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from parallel_integrations._cli.clients import sandbox_client
from parallel_integrations._cli.sources import (
    readable_excerpt,
    show,
    show_citations,
    show_source,
)
from parallel_integrations._cli.terminal import printable
from parallel_integrations._documents.answers import (
    AnyRequest,
    answer_chunks,
    evidence_in,
    sources_in,
)
from parallel_integrations._documents.evidence import cited
from parallel_integrations._documents.queries import readable, search_fields
from parallel_integrations._protocol.routes import KEYS_AT
from parallel_integrations._protocol.search_mcp import SearchMcp
from parallel_integrations._protocol.settings import (
    BASE_URL_VARIABLE,
    KEY_VARIABLE,
    key_from_environment,
)
from parallel_integrations.api.searches import search
from parallel_integrations.client import ParallelClient
from parallel_integrations.errors import InvalidArgumentError, MissingKeyError
from parallel_integrations.models.basis import Citation
from parallel_integrations.models.chat import ChatRequest
from parallel_integrations.models.page_facts import page_title, published_at
from parallel_integrations.models.response import RESPONSES_MODEL, RespondRequest
from parallel_integrations.models.search import DEFAULT_RESULTS, SearchRequest


def run_search(
    question: str, *, max_results: int, mode: str | None, as_json: bool, sandbox: bool
) -> bool:
    """Search, and print the pages.

    Returns:
        Whether anything was found.

    Raises:
        InvalidArgumentError: A mode, or more than 10 results, and no account; nothing is sent.
    """
    errors = Console(stderr=True, highlight=False)
    with _opened(errors, sandbox=sandbox, needs_key=False) as client:
        given = search_fields(question)
        if not isinstance(client.settings.route, SearchMcp):
            given["mode"] = mode or "fast"
        elif mode is not None:
            raise _needs_account(f"--mode {mode}")
        elif max_results > DEFAULT_RESULTS:
            raise _needs_account(f"--max-results {max_results} (above {DEFAULT_RESULTS})")
        request = SearchRequest(max_results=max_results, **given)
        response = client.run(search(request))
    if as_json:
        print(response.model_dump_json(indent=2))
        return bool(response.results)
    console = Console(highlight=False)
    for number, page in enumerate(response.results, 1):
        excerpt = readable_excerpt(question, page.text)
        date = published_at(page.publish_date)
        show_source(console, number, page_title(page), page.url, excerpt, date)
    for warning in response.warnings:
        errors.print(printable(f"Warning: {warning.message}"), soft_wrap=True)
    if not response.results:
        errors.print("Nothing was found.")
    _say_cost(errors, client)
    return bool(response.results)


def _needs_account(option: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"{option} needs an account: leave it out, or set {KEY_VARIABLE} (keys: {KEYS_AT})"
    )


def run_ask(question: str, *, model: str, as_json: bool, sandbox: bool) -> bool:
    """Answer a question, and print the answer with its sources.

    Returns:
        Whether there is an answer.
    """
    errors, console = Console(stderr=True, highlight=False), Console(highlight=False)
    question = readable(question)  # of a terminal with another encoding
    parts: list[str] = []
    citations: dict[str, Citation] = {}
    with _opened(errors, sandbox=sandbox, needs_key=True) as client:
        for part in _answer(client, question, model, citations):
            parts.append(part)
            if not as_json:
                show(console, part, end="", markup=False, soft_wrap=True)
    text = "".join(parts)
    if as_json:
        shown = [each.model_dump(mode="json") for each in citations.values()]
        answer = {"answer": text, "citations": shown, "usd": client.usage.usd}
        print(json.dumps(answer, indent=2, ensure_ascii=False))
        return bool(text.strip())
    console.print()
    if citations and "\nSources:\n" not in text:  # an answer may end in a list of its own
        console.print("\nSources", style="bold")
        show_citations(console, question, citations.values())
    _say_cost(errors, client)
    return bool(text.strip())


def _answer(
    client: ParallelClient, question: str, model: str, citations: dict[str, Citation]
) -> Iterator[str]:
    """An answer piece by piece; its citations are added by their pages, the first of each."""
    request: AnyRequest = (
        RespondRequest(input=question)
        if model == RESPONSES_MODEL
        else ChatRequest(model=model, messages=[{"role": "user", "content": question}])
    )
    for chunk in client.stream(answer_chunks(request)):
        yield chunk.text
        if chunk.response is not None:
            for _, citation in cited(sources_in(evidence_in(chunk.response))):
                citations.setdefault(citation.url, citation)


@contextmanager
def _opened(errors: Console, *, sandbox: bool, needs_key: bool) -> Iterator[ParallelClient]:
    """A client: of an embedded sandbox, with the key, or over the route that needs no account."""
    if sandbox:
        with sandbox_client() as client:
            errors.print("Sandbox: over Python's manual on this machine; nothing is billed.")
            yield client
    elif key_from_environment():
        with ParallelClient() as client:
            yield client
    elif os.environ.get(BASE_URL_VARIABLE, "").strip():
        raise MissingKeyError(
            f"{KEY_VARIABLE} is not set, and the address in {BASE_URL_VARIABLE} needs a key (keys: "
            f"{KEYS_AT}). To search without an account, unset {BASE_URL_VARIABLE}."
        )
    elif needs_key:
        raise MissingKeyError(
            f"{KEY_VARIABLE} is not set (keys: {KEYS_AT}). --sandbox answers from Python's manual; "
            "`parallel-integrations search` needs no account."
        )
    else:
        errors.print(f"{KEY_VARIABLE} is not set: searching without an account, with low limits.")
        with ParallelClient(route=SearchMcp()) as client:
            yield client


def _say_cost(errors: Console, client: ParallelClient) -> None:
    errors.print(f"{client.usage.usd:.3f} USD", style="dim")
