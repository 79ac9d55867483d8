"""Commands of `parallel-integrations`: options, errors and exit status of each."""

import errno
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

from parallel_integrations._cli.terminal import printable
from parallel_integrations._install import install_command
from parallel_integrations._protocol.routes import SEARCH_MCP_URL

try:
    import typer
except ModuleNotFoundError:
    sys.exit(f"The command needs its extra: {install_command('cli')}")

# Each command imports what it needs: the help must not load a framework first.
app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",  # which breaks docstrings' paragraphs into lines of the terminal's
    pretty_exceptions_show_locals=False,
    help="Parallel's web search and research APIs for LangChain and LlamaIndex.",
)
main = app


def _print_version(*, wanted: bool) -> None:
    if wanted:
        from parallel_integrations import __version__

        typer.echo(f"parallel-integrations {__version__}")
        raise typer.Exit


def _number(kind: type[int] | type[float], low: int, high: int | None = None) -> Any:
    """An option's parser, whose error names the range; typer's own are pydantic's sentences."""

    def number(text: str) -> float:
        with suppress(ValueError):
            value = kind(text)
            if low <= value <= (sys.maxsize if high is None else high):
                return value
        name = "whole number" if kind is int else "number"
        span = f"of {low} or more" if high is None else f"from {low} to {high}"
        message = f"{text!r} is no {name} {span}"
        raise typer.BadParameter(message)

    return number


def _words(text: str) -> str:
    if not text.strip():
        message = "it is empty: write it in quotes"
        raise typer.BadParameter(message)
    return text


@app.callback()
def _prepare(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    if isinstance(sys.stdout, TextIOWrapper):  # a terminal's encoding may lack characters of a page
        sys.stdout.reconfigure(errors="backslashreplace")


def _stopped(reason: str, status: int = 1) -> typer.Exit:
    typer.secho(printable(reason), fg="red", err=True)
    return typer.Exit(status)


@contextmanager
def _errors_shown() -> Iterator[None]:
    """Make a line and an exit status of what a user can mend; a traceback is for the rest.

    The status is 2 for arguments that cannot be right, as typer's own is, and 1 for the rest.
    """
    from parallel_integrations.errors import InvalidArgumentError, ParallelError

    try:
        yield
    except BrokenPipeError:  # nobody reads on: typer ends without a message
        raise
    except (ParallelError, ValueError, OSError) as error:
        reason = f"{type(error).__name__}: {error}"
        if isinstance(error, OSError) and error.filename:
            reason = f"{error.filename}: {error.strerror}"
        raise _stopped(reason, 2 if isinstance(error, InvalidArgumentError) else 1) from error


@app.command(epilog="Example: parallel-integrations demo 'What does nonlocal do?'")
def demo(
    question: Annotated[
        str, typer.Argument(help="The question.", parser=_words)
    ] = "How does the with statement handle exceptions?",
    *,
    web: Annotated[
        bool, typer.Option("--web", help="Search the web and read a page, without an account.")
    ] = False,
    web_url: Annotated[
        str, typer.Option(help="The MCP server of --web, e.g. a sandbox's /mcp.")
    ] = SEARCH_MCP_URL,
) -> None:
    """Search and answer one question, with sources, through the frameworks that are installed.

    Without PARALLEL_API_KEY it runs on the embedded sandbox, with it on the live API. With --web
    it searches the web without an account (a key is used if there is one). The exit status is 1 if
    nothing was found.
    """
    from parallel_integrations._cli.demo import run_demo, run_web_demo

    with _errors_shown():
        found = run_web_demo(question, web_url) if web else run_demo(question)
    if not found:
        raise typer.Exit(1)


_JSON = typer.Option("--json", help="Print JSON.")
_SANDBOX = typer.Option("--sandbox", help="Use an embedded sandbox over Python's manual.")
_MAX_COST = typer.Option(
    parser=_number(float, 0), help="USD that must never be passed, the journal's included."
)


@app.command(epilog="Example: parallel-integrations search 'fusion power news' --max-results 5")
def search(
    question: Annotated[str, typer.Argument(help="What to find out.", parser=_words)],
    *,
    max_results: Annotated[
        int, typer.Option(parser=_number(int, 1, 40), help="How many pages, 1 to 40.")
    ] = 5,
    mode: Annotated[
        str | None,
        typer.Option(help="fast (0.001 USD), basic or advanced (0.005).", show_default="fast"),
    ] = None,
    as_json: Annotated[bool, _JSON] = False,
    sandbox: Annotated[bool, _SANDBOX] = False,
) -> None:
    """Search the web and print pages with the sentences that matter.

    Without PARALLEL_API_KEY it searches without an account. The exit status is 1 if nothing was
    found.
    """
    from parallel_integrations._cli.search import run_search

    with _errors_shown():
        found = run_search(
            question, max_results=max_results, mode=mode, as_json=as_json, sandbox=sandbox
        )
    if not found:
        raise typer.Exit(1)


@app.command(epilog="Example: parallel-integrations ask 'Who runs the ECB?' --model base")
def ask(
    question: Annotated[str, typer.Argument(help="The question.", parser=_words)],
    *,
    model: Annotated[
        str,
        typer.Option(
            help="speed (no citations), lite, base, core, or parallel for the Responses API."
        ),
    ] = "base",
    as_json: Annotated[bool, _JSON] = False,
    sandbox: Annotated[bool, _SANDBOX] = False,
) -> None:
    """Answer a question from the web, with its sources.

    Needs PARALLEL_API_KEY, or --sandbox.
    """
    from parallel_integrations._cli.search import run_ask

    with _errors_shown():
        answered = run_ask(question, model=model, as_json=as_json, sandbox=sandbox)
    if not answered:
        raise typer.Exit(1)


@app.command(epilog="Example: parallel-integrations doctor --offline")
def doctor(
    *,
    offline: Annotated[
        bool, typer.Option("--offline", help="Check this machine only; send nothing.")
    ] = False,
) -> None:
    """Check key, address, proxy, certificates, clock and versions; say what to do.

    With a key it makes one search (0.001 USD). The exit status is 1 if anything failed.
    """
    from parallel_integrations._cli.doctor import examine

    colors = {"ok": "green", "warn": "yellow", "fail": "red"}
    failed = False
    with _errors_shown():
        for finding in examine(offline=offline):
            typer.secho(printable(finding), fg=colors.get(finding.status))
            failed = failed or finding.status == "fail"
    if failed:
        raise typer.Exit(1)


@app.command(
    epilog="Example: parallel-integrations enrich companies.csv --output-schema 'The year of "
    "foundation' --journal work.db -o founded.csv --max-cost 1 --limit 5"
)
def enrich(
    *,
    rows: Annotated[Path, typer.Argument(help="Rows: a .csv, .tsv, .jsonl or .parquet file.")],
    output_schema: Annotated[
        str | None,
        typer.Option(
            help="What to find out: a JSON schema or its file, or a description of a text."
        ),
    ] = None,
    describe: Annotated[
        str | None,
        typer.Option(
            parser=_words,
            help="Instead: what to find out, in words; schema, processor and price are proposed.",
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Go on with what --describe comes to, unasked.")
    ] = False,
    journal: Annotated[
        Path, typer.Option(help="File that records what is paid for; the same one goes on.")
    ],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="A .jsonl, .csv, .tsv or .parquet file, one row each."),
    ],
    columns: Annotated[
        str | None, typer.Option(help="Columns that are submitted, e.g. name,city; else all.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            parser=_number(int, 1),
            help="Rows at most, as a trial; they count when the rest follows.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the rows and show the price; submit nothing.")
    ] = False,
    processor: Annotated[
        str | None,
        typer.Option(help="Decides price and depth; lite, or with --describe the recommended."),
    ] = None,
    max_cost: Annotated[float | None, _MAX_COST] = None,
    price_per_row: Annotated[
        float | None,
        typer.Option(
            parser=_number(float, 0), help="USD a row, where the processor's price is not known."
        ),
    ] = None,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed",
            help="Submit failed rows again; those that could not be read may be paid twice.",
        ),
    ] = False,
    groups_in_flight: Annotated[
        int,
        typer.Option(parser=_number(int, 1), help="Groups of 200 rows that are worked on at once."),
    ] = 4,
    deadline: Annotated[
        float, typer.Option(parser=_number(float, 0), help="Seconds to wait in all.")
    ] = 86_400,
) -> None:
    """Research every row of a file; killed at any moment, the same command goes on.

    Exit status: 0 all rows have an output, 1 an error stopped it, 2 an argument or a file cannot be
    right, 3 some rows failed (the output says why), 4 --max-cost kept some from being submitted,
    128 and its number where a signal ended it (130 for Ctrl+C).
    """
    from parallel_integrations._cli.enrich import run

    with _errors_shown():
        status = run(
            rows,
            output_schema,
            journal,
            output,
            processor,
            describe=describe,
            is_agreed=yes,
            is_dry_run=dry_run,
            columns=None if columns is None else [each.strip() for each in columns.split(",")],
            limit=limit,
            max_cost_usd=max_cost,
            price_per_row_usd=price_per_row,
            retry_failed=retry_failed,
            groups_in_flight=groups_in_flight,
            deadline_seconds=deadline,
        )
    raise typer.Exit(status)


@app.command(
    epilog="Example: parallel-integrations evaluate questions.jsonl --max-results 3,5,10 "
    "--max-cost 1 --html report.html"
)
def evaluate(
    *,
    questions: Annotated[
        Path | None,
        typer.Argument(
            help="Questions with their facts: .jsonl, .ndjson or .csv. Without it: the built-in "
            "set, on an embedded sandbox."
        ),
    ] = None,
    max_results: Annotated[str, typer.Option(help="Numbers of results, e.g. 3,5,10.")] = "5,10",
    max_chars: Annotated[
        str, typer.Option(help="Characters of excerpts a result, e.g. 1500,4000.")
    ] = "3000,4000",
    mode: Annotated[str, typer.Option(help="Search modes, e.g. fast,advanced.")] = "fast",
    max_cost: Annotated[float | None, _MAX_COST] = None,
    journal: Annotated[
        Path | None, typer.Option(help="File that keeps results; the same one goes on.")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="JSON report.")] = None,
    html: Annotated[Path | None, typer.Option(help="HTML report, one file.")] = None,
    concurrency: Annotated[
        int, typer.Option(parser=_number(int, 1), help="Questions at once.")
    ] = 4,
) -> None:
    """Compare search settings by the facts that their excerpts hold, and by what they cost.

    Exit status: 0 every question was searched, 1 an error stopped it, 2 an argument cannot be
    right, 3 some searches failed, 4 --max-cost kept some from being sent.
    """
    from parallel_integrations._cli.evaluate import run

    with _errors_shown():
        status = run(
            questions,
            max_results=max_results,
            max_chars=max_chars,
            mode=mode,
            max_cost_usd=max_cost,
            journal=journal,
            output=output,
            html=html,
            concurrency=concurrency,
        )
    raise typer.Exit(status)


@app.command(epilog="Example: parallel-integrations sandbox --pages docs --port 0")
def sandbox(
    port: Annotated[
        int,
        typer.Option(parser=_number(int, 0, 65_535), help="Port to listen on; 0 takes a free one."),
    ] = 8765,
    pages: Annotated[
        Path | None,
        typer.Option(help="Folder of Markdown, HTML or text to search; else Python's manual."),
    ] = None,
) -> None:
    """Simulate Parallel's API offline on this machine until Ctrl+C."""
    from parallel_integrations.sandbox import Sandbox

    try:
        running = Sandbox(pages=pages, port=port).start()
    except (ValueError, FileNotFoundError, NotADirectoryError) as error:
        raise _stopped(f"The sandbox cannot start: {error}", 2) from error
    except OSError as error:
        taken = f"port {port} is taken: stop what uses it, or take --port 0 for a free one"
        reason = taken if error.errno == errno.EADDRINUSE else error
        raise _stopped(f"The sandbox cannot start: {reason}") from error
    try:
        with _errors_shown():
            typer.echo(
                "Sandbox: not Parallel's service, only its protocol, over local pages.\n\n"
                f"  export PARALLEL_BASE_URL={running.url}\n"
                f"  export PARALLEL_API_KEY={running.api_key}\n\n"
                "Ctrl+C stops it."
            )
            while True:
                time.sleep(3600)
    except KeyboardInterrupt:
        typer.echo("\nStopped.")
    finally:
        running.stop()


if __name__ == "__main__":
    main()
