"""What `enrich --describe` comes to: a schema and a processor, proposed by the API."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from parallel_integrations.api.tasks import suggest_processor, suggest_task
from parallel_integrations.client import ParallelClient
from parallel_integrations.errors import NotFoundError
from parallel_integrations.models.prices import PRICES_USD, task_sku
from parallel_integrations.models.task import (
    SuggestProcessorRequest,
    SuggestTaskRequest,
    TaskSettings,
)


@dataclass(slots=True)
class Proposal:
    """A schema and a processor for what was described.

    Attributes:
        path: Where it is kept once it is agreed to, so that the same command goes on with the same
            schema: beside the journal.
        describe: What is to be found out, in words.
        processor: Decides price and depth.
        schema: JSON schema of what is found out.
        is_agreed: Whether it was agreed to, in an earlier run.
    """

    path: Path
    describe: str
    processor: str
    schema: dict[str, Any]
    is_agreed: bool = False

    @classmethod
    def of(
        cls, client: ParallelClient, describe: str, journal: Path, processor: str | None
    ) -> Self:
        """The one kept beside a journal, or a new one from the API.

        Raises:
            ParallelError: The API cannot make one.
            ValueError: The journal is about something else, or nothing was proposed.
        """
        path = journal.with_name(journal.name + ".task.json")
        if path.exists():
            kept = _kept(path)
            if kept["describe"] != describe or processor not in (None, kept["processor"]):
                raise ValueError(
                    f"{path} was made for --describe {kept['describe']!r} with processor "
                    f"{kept['processor']}: repeat them, or take another --journal"
                )
            return cls(path, describe, kept["processor"], kept["schema"], is_agreed=True)
        try:
            task = client.run(suggest_task(SuggestTaskRequest(user_intent=describe)))
            schema = task.settings("lite").output_schema
            assert isinstance(schema, dict)  # noqa: S101 - says `settings`
            if processor is None:
                wanted = SuggestProcessorRequest(output_schema=schema)
                found = client.run(suggest_processor(wanted)).recommended_processors
                processor = found[0] if found else "lite"
        except NotFoundError as error:
            raise ValueError(
                "This server makes no proposals (they are experimental): give --output-schema "
                "instead of --describe"
            ) from error
        return cls(path, describe, processor, schema)

    @property
    def settings(self) -> TaskSettings:
        """For the rows' tasks."""
        return TaskSettings(processor=self.processor, output_schema=self.schema)

    def keep(self) -> None:
        """Write it beside the journal."""
        kept = {"describe": self.describe, "processor": self.processor, "schema": self.schema}
        self.path.write_text(json.dumps(kept, indent=2, ensure_ascii=False), encoding="utf-8")

    def __str__(self) -> str:
        price = PRICES_USD.get(task_sku(self.processor))
        cost = "unknown" if price is None else f"{price:g} USD a row"
        schema = json.dumps(self.schema, indent=2, ensure_ascii=False)
        return f"Proposed schema:\n{schema}\nProcessor: {self.processor}, {cost}."


def _kept(path: Path) -> dict[str, Any]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(kept, dict) or not isinstance(kept["schema"], dict):
            raise TypeError
        return {**kept, "describe": str(kept["describe"]), "processor": str(kept["processor"])}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read: remove it to have another proposal") from error
