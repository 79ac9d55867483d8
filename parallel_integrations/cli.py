"""The command `parallel-integrations`."""

import sys
import time
from pathlib import Path
from typing import Annotated

try:
    import typer
except ModuleNotFoundError:
    sys.exit("The command needs its extra: pip install 'parallel-integrations[cli]'")

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    help="Parallel's web search and research APIs for LangChain and LlamaIndex.",
)
main = app


@app.command()
def demo(
    question: Annotated[
        str, typer.Argument(help="What to ask.")
    ] = "How does the with statement handle exceptions?",
) -> None:
    """Answer a question end to end, through LangChain and through LlamaIndex.

    Without PARALLEL_API_KEY it runs on the embedded sandbox, with it on the live API.
    """
    from parallel_integrations.api.errors import ParallelError
    from parallel_integrations.demo import run_demo

    try:
        run_demo(question)
    except (ParallelError, ValueError) as error:
        typer.secho(f"{type(error).__name__}: {error}", fg="red", err=True)
        raise typer.Exit(1) from error


@app.command()
def sandbox(
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8765,
    pages: Annotated[
        Path | None,
        typer.Option(help="Folder of Markdown, HTML or text to be the web; else Python's manual."),
    ] = None,
) -> None:
    """Play Parallel's API offline on this machine until Ctrl+C."""
    from parallel_integrations.sandbox import Sandbox

    try:
        running = Sandbox(pages=pages, port=port).start()
    except (OSError, ValueError) as error:
        typer.secho(f"The sandbox cannot start: {error}", fg="red", err=True)
        raise typer.Exit(1) from error
    typer.echo(
        "Sandbox: not Parallel's service, only its wire, answering from local pages.\n\n"
        f"  export PARALLEL_BASE_URL={running.url}\n"
        f"  export PARALLEL_API_KEY={running.api_key}\n\n"
        "Ctrl+C stops it."
    )
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        typer.echo("\nStopped.")
    finally:
        running.stop()


if __name__ == "__main__":
    main()
