"""Rows about TLS: a search through an adapter of its own for each call, as request handlers do."""

import shutil
from typing import Any

from benchmarks.certificate import certificate
from benchmarks.measure import KEY, QUESTION, Call, Row, row
from benchmarks.server import Server
from parallel_integrations.langchain import ParallelSearchRetriever
from parallel_integrations.llama_index import ParallelRetriever


def rows() -> list[Row]:
    """The rows of this file; none where there is no `openssl` to make a certificate with."""
    if shutil.which("openssl") is None:
        return []
    with certificate() as path, Server(path) as url:
        connection: dict[str, Any] = {"api_key": KEY, "base_url": f"{url}/60"}
        # Of other settings: with these it would share its client with those that come and go.
        langchain = ParallelSearchRetriever(**connection, timeout=60)
        llama_index = ParallelRetriever(**connection, timeout=60)
        ours: dict[str, tuple[Call, Call]] = {
            "LangChain": (
                lambda: langchain.invoke(QUESTION),
                lambda: ParallelSearchRetriever(**connection).invoke(QUESTION),
            ),
            "LlamaIndex": (
                lambda: llama_index.retrieve(QUESTION),
                lambda: ParallelRetriever(**connection).retrieve(QUESTION),
            ),
        }
        return [
            row(
                f"search through an adapter for each call, TLS, {framework}",
                1.1,
                ("one kept adapter", kept),
                new,
                {},
                calls=5,
                rounds=400,
            )
            for framework, (kept, new) in ours.items()
        ]
