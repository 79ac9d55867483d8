"""Documents in stores as people run them: ids that accumulate, a number to filter by, columns."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import numpy as np
import pytest

from parallel_integrations.langchain import ParallelSearchRetriever
from parallel_integrations.llama_index import ParallelReader
from parallel_integrations.sandbox import Sandbox

FIRST = [{"url": "https://a.example/", "excerpts": ["one", "both"]}]
SECOND = [
    {"url": "https://a.example/#part", "excerpts": ["both", "two"]},
    {
        "url": "https://b.example/",
        "publish_date": "2024-05-01",
        "excerpts": [{"text": "three", "start_char": 5, "end_char": 10}],
    },
]
SETTINGS = {"split": "excerpt", "published_day": True, "constant_keys": True}


class Stored(NamedTuple):
    """What every store takes."""

    id: str
    text: str
    metadata: dict[str, Any]

    @property
    def vector(self) -> list[float]:
        return [float(len(self.text)), 1.0]


class Store(Protocol):
    """What the tests need of a store."""

    def upsert(self, documents: list[Stored]) -> None: ...
    def texts(self) -> list[str]: ...
    def since(self, day: int) -> list[str]: ...


class Chroma:
    def __init__(self, path: Path) -> None:
        chromadb = needs("chromadb")
        self.client = chromadb.PersistentClient(
            str(path), chromadb.config.Settings(anonymized_telemetry=False)
        )
        self.collection = self.client.create_collection("pages", embedding_function=None)

    def upsert(self, documents: list[Stored]) -> None:
        self.collection.upsert(
            ids=[each.id for each in documents],
            documents=[each.text for each in documents],
            metadatas=[each.metadata for each in documents],
            embeddings=[each.vector for each in documents],
        )

    def texts(self) -> list[str]:
        return list(self.collection.get()["documents"])

    def since(self, day: int) -> list[str]:
        return list(self.collection.get(where={"published_day": {"$gte": day}})["documents"])


class Qdrant:
    def __init__(self, path: Path) -> None:
        self.qdrant = needs("qdrant_client")
        self.client = self.qdrant.QdrantClient(":memory:")
        models = self.qdrant.models
        size = models.VectorParams(size=2, distance=models.Distance.COSINE)
        self.client.create_collection("pages", vectors_config=size)

    def upsert(self, documents: list[Stored]) -> None:
        points = [
            self.qdrant.models.PointStruct(
                id=each.id, vector=each.vector, payload={"text": each.text, **each.metadata}
            )
            for each in documents
        ]
        self.client.upsert("pages", points)

    def texts(self) -> list[str]:
        return self.since(-1)

    def since(self, day: int) -> list[str]:
        models = self.qdrant.models
        later = models.FieldCondition(key="published_day", range=models.Range(gte=day))
        found, _ = self.client.scroll("pages", scroll_filter=models.Filter(must=[later]))
        return [each.payload["text"] for each in found]


class LanceDB:
    def __init__(self, path: Path) -> None:
        self.database = needs("lancedb").connect(str(path))
        self.table: Any = None

    def upsert(self, documents: list[Stored]) -> None:
        rows = [
            {"id": each.id, "text": each.text, "vector": each.vector, **each.metadata}
            for each in documents
        ]
        if self.table is None:  # the first batch fixes the columns
            self.table = self.database.create_table("pages", rows)
        else:
            merge = self.table.merge_insert("id").when_matched_update_all()
            merge.when_not_matched_insert_all().execute(rows)

    def texts(self) -> list[str]:
        return self.since(-1)

    def since(self, day: int) -> list[str]:
        found = self.table.search().where(f"published_day >= {day}").limit(100).to_list()
        return [each["text"] for each in found]


class Faiss:
    """FAISS keeps vectors under numbers; what they stand for is kept beside it."""

    def __init__(self, path: Path) -> None:
        faiss = needs("faiss")
        self.index = faiss.IndexIDMap2(faiss.IndexFlatL2(2))
        self.documents: dict[int, Stored] = {}

    def upsert(self, documents: list[Stored]) -> None:
        numbers = [UUID(each.id).int >> 65 for each in documents]
        self.index.remove_ids(np.array(numbers))
        vectors = np.array([each.vector for each in documents], dtype="float32")
        self.index.add_with_ids(vectors, np.array(numbers))
        self.documents |= dict(zip(numbers, documents, strict=True))

    def texts(self) -> list[str]:
        return self.since(-1)

    def since(self, day: int) -> list[str]:
        _, found = self.index.search(np.array([[0.0, 0.0]], dtype="float32"), self.index.ntotal)
        stored = [self.documents[number] for number in found[0]]
        return [each.text for each in stored if each.metadata["published_day"] >= day]


def needs(module: str) -> Any:
    return pytest.importorskip(
        module, reason=f"{module} is not installed: pip install --group stores"
    )


def by_langchain(sandbox: Sandbox) -> Iterable[Stored]:
    retriever = ParallelSearchRetriever(api_key=sandbox.api_key, base_url=sandbox.url, **SETTINGS)
    for each in retriever.invoke("a question"):
        assert each.id is not None
        yield Stored(each.id, each.page_content, each.metadata)


def by_llama_index(sandbox: Sandbox) -> Iterable[Stored]:
    reader = ParallelReader(api_key=sandbox.api_key, base_url=sandbox.url, **SETTINGS)
    for each in reader.load_data("a question"):
        yield Stored(each.id_, each.text, each.metadata)


@pytest.mark.parametrize("open_store", [Chroma, Qdrant, LanceDB, Faiss])
def test_what_different_questions_find_lives_in_one_store(
    sandbox: Sandbox, tmp_path: Path, open_store: Callable[[Path], Store]
) -> None:
    store = open_store(tmp_path)
    for search in (by_langchain, by_llama_index):  # one page has one id in both
        for results in (FIRST, SECOND):
            sandbox.faults.add(path="/v1/search", body={"search_id": "s", "results": results})
            store.upsert(list(search(sandbox)))
    assert sorted(store.texts()) == ["both", "one", "three", "two"]
    assert store.since(20240101) == ["three"]  # what has no date is not taken for new
    assert store.since(20240601) == []
