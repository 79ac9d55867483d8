"""Task groups as a LlamaIndex metadata extractor."""

import json
import logging
from collections.abc import Sequence
from contextlib import aclosing, closing
from copy import deepcopy
from math import inf
from pathlib import Path
from typing import Any, Final

from llama_index.core.extractors import BaseExtractor
from llama_index.core.schema import BaseNode, Document, TextNode
from pydantic import Field, field_serializer

from parallel_integrations._documents.queries import readable
from parallel_integrations._protocol.flow import Stream
from parallel_integrations._protocol.polling import DEADLINE_SECONDS, DeadlineSeconds
from parallel_integrations.enrichment import EnrichedRow, EnrichmentProgress, enrich
from parallel_integrations.enrichment.runner import SETTLE_SECONDS
from parallel_integrations.errors import ParallelError, TaskFailedError
from parallel_integrations.llama_index.arguments import as_given_nodes
from parallel_integrations.llama_index.base import Component
from parallel_integrations.models.basis import FieldBasis
from parallel_integrations.models.output_schema import OutputSchema, wire_schema
from parallel_integrations.models.policies import McpServer
from parallel_integrations.models.task import TaskOutput, TaskSettings

# The API advises at most this much for research, and refuses 25,000 together with the schema.
MAX_INPUT_CHARS: Final = 15_000

log = logging.getLogger("parallel_integrations")


class ParallelExtractor(Component, TaskSettings, BaseExtractor):
    """Researches something about every node on the web and adds it to the node's metadata.

    The nodes of one call are sent in task groups of 200; equal inputs are sent once. For each
    field of the output schema a node's metadata gains the value under the field's name (lists and
    objects as JSON text), and under that name with `_sources` the urls cited for it, one a line,
    with `_confidence` and with `_reasoning`, where there are any. The three are hidden from
    embeddings, reasoning and confidence from the LLM too. A field named like metadata that is there
    already replaces it.

    A node whose task failed gains nothing, with a warning in the log; when all fail, that is an
    error. Each task is billed (0.010 USD with `processor="base"`); failed ones are not.

    Besides the connection (`api_key`, `base_url`, `timeout`, `max_retries`, 2 by default, for
    calls that cannot be billed twice; `client`), the settings of a task (`processor`,
    `source_policy`, `input_schema`, `mcp_servers` …) and what every LlamaIndex extractor has
    (`metadata_mode`, `in_place`, `disable_template_rewrite`, `raise_on_error` …) it takes:

    Attributes:
        output_schema: The fields to research: a pydantic class, a JSON schema, or a description of
            a text, which goes under `answer_key`.
        input_keys: Metadata to send, as an object; by default the node's text is sent. Nodes that
            have none of these, or no value for any, are skipped.
        answer_key: Name of the metadata where the output is one text; `"answer"`.
        max_input_chars: Most characters of a node's text to send; 15,000.
        deadline_seconds: How long to wait in all; 3600.
        journal: A file that records what is paid for: after the process ended at any moment, the
            same call resumes. One run at a time; other nodes need another file.

    Raises:
        ParallelError: From a run of the pipeline, with `taskgroup_id` once the group was created.
        InvalidArgumentError: A setting past its limit, or no output schema.
        TypeError: An unknown argument.

    Example:
        ```python
        from llama_index.core.schema import TextNode
        from parallel_integrations.llama_index import ParallelExtractor
        from pydantic import BaseModel

        class Statement(BaseModel):
            purpose: str

        extractor = ParallelExtractor(output_schema=Statement, processor="lite")
        nodes = extractor([TextNode(text="The with statement")])
        print(nodes[0].metadata["purpose"], nodes[0].metadata["purpose_sources"])
        ```
    """

    output_schema: OutputSchema
    """The fields to research: a pydantic class, a JSON schema, or a description of a text, which
    goes under `answer_key`.
    """
    input_keys: list[str] | None = Field(default=None, min_length=1)
    """Metadata to send, as an object; by default the node's text is sent. Nodes that have none of
    these, or no value for any, are skipped.
    """
    answer_key: str = Field(default="answer", min_length=1)
    """Name of the metadata where the output is one text; `"answer"`."""
    max_input_chars: int = Field(default=MAX_INPUT_CHARS, ge=1)
    """Most characters of a node's text to send; 15,000."""
    deadline_seconds: DeadlineSeconds = DEADLINE_SECONDS
    """How long to wait in all; 3600."""
    journal: Path | str | None = None
    """A file that records what is paid for: after the process ended at any moment, the same call
    resumes. One run at a time; other nodes need another file.
    """

    @classmethod
    def class_name(cls) -> str:
        """The name under which LlamaIndex serializes this class."""
        return "ParallelExtractor"

    @field_serializer("output_schema", "input_schema")
    def _write_schema(self, schema: OutputSchema | None) -> Any:
        """A class as the schema that is sent for it; the pipeline's cache key contains it."""
        return wire_schema(schema) if isinstance(schema, type) else schema

    @field_serializer("mcp_servers")
    def _write_servers(self, servers: list[McpServer] | None) -> Any:
        """Tool servers without their headers, which hold tokens."""
        if servers is None:
            return None
        return [server.model_dump(mode="json", exclude={"headers"}) for server in servers]

    def extract(self, nodes: Sequence[BaseNode]) -> list[dict[str, Any]]:
        """Research every node.

        Args:
            nodes: What to research; they are not changed.

        Returns:
            The metadata to add, one dict a node.
        """
        inputs = self._inputs(nodes)
        rows: list[EnrichedRow] = []
        try:
            with closing(self.resolved_client().stream(self._run(inputs))) as events:
                for event in events:
                    if isinstance(event, EnrichedRow):
                        rows.append(event)  # noqa: PERF401 - kept should an error follow
        except ParallelError as error:
            self._log_or_raise(error, rows)
        return self._found(inputs, rows)

    async def aextract(self, nodes: Sequence[BaseNode]) -> list[dict[str, Any]]:
        """Research every node, awaiting; everything else as in `extract`."""
        inputs = self._inputs(nodes)
        rows: list[EnrichedRow] = []
        try:
            async with aclosing(self.resolved_client().astream(self._run(inputs))) as events:
                async for event in events:
                    if isinstance(event, EnrichedRow):
                        rows.append(event)  # noqa: PERF401 - kept should an error follow
        except ParallelError as error:
            self._log_or_raise(error, rows)
        return self._found(inputs, rows)

    # LlamaIndex's own `process_nodes` runs the awaiting form in a new event loop, and repeats
    # billed tasks where `max_retries` is set.

    def process_nodes(
        self,
        nodes: Sequence[BaseNode],
        excluded_embed_metadata_keys: list[str] | None = None,
        excluded_llm_metadata_keys: list[str] | None = None,
        **kwargs: Any,
    ) -> list[BaseNode]:
        """Research nodes and add what was found to their metadata.

        Args:
            nodes: The nodes; changed in place unless `in_place=False`.
            excluded_embed_metadata_keys: Further metadata to hide from embeddings.
            excluded_llm_metadata_keys: Further metadata to hide from the LLM.
            **kwargs: Ignored, as in every extractor.

        Returns:
            The nodes.
        """
        hidden = (excluded_embed_metadata_keys or [], excluded_llm_metadata_keys or [])
        return self._added(nodes, self.extract(nodes), *hidden)

    async def aprocess_nodes(
        self,
        nodes: Sequence[BaseNode],
        excluded_embed_metadata_keys: list[str] | None = None,
        excluded_llm_metadata_keys: list[str] | None = None,
        **kwargs: Any,
    ) -> list[BaseNode]:
        """Research nodes and add what was found, awaiting; all else as in `process_nodes`."""
        hidden = (excluded_embed_metadata_keys or [], excluded_llm_metadata_keys or [])
        return self._added(nodes, await self.aextract(nodes), *hidden)

    def _run(self, inputs: Sequence[Any]) -> Stream[EnrichedRow | EnrichmentProgress]:
        # Nodes of equal text share a run, which is billed once.
        return enrich(
            list(_distinct(inputs).values()),
            self,
            journal=self.journal,
            deadline_seconds=self.deadline_seconds,
            # Without a journal, nobody could fetch a result that arrives after this run.
            settle_seconds=SETTLE_SECONDS if self.journal else inf,
            server=self.resolved_client().settings.base_url,
        )

    def _inputs(self, nodes: Sequence[BaseNode]) -> list[Any]:
        """The input of each node; None where it has none."""
        return [self._input(node) for node in as_given_nodes(nodes)]

    def _input(self, node: BaseNode) -> Any:
        if self.input_keys is not None:
            found = {key: node.metadata.get(key) for key in self.input_keys}
            return {key: value for key, value in found.items() if value not in (None, "")}
        # A reader's Document is no TextNode, though it holds text.
        if self.is_text_node_only and not isinstance(node, TextNode | Document):
            return None
        if not node.get_content().strip():
            return None
        return readable(node.get_content(self.metadata_mode))[: self.max_input_chars]

    def _log_or_raise(self, error: ParallelError, rows: Sequence[EnrichedRow]) -> None:
        if self.raise_on_error:
            raise error
        log.warning("research stopped (%s); only %d inputs have a result", error, len(rows))

    def _found(self, inputs: Sequence[Any], rows: Sequence[EnrichedRow]) -> list[dict[str, Any]]:
        # Fewer rows than inputs where an error ended the run and `raise_on_error` is False.
        by_input = dict(zip(_distinct(inputs), rows, strict=False))
        failed = [row for row in rows if row.error]
        for row in failed:
            log.warning("task run %s has no result: %s", row.run_id, row.error)
        # One that failed beside others costs them nothing; where all did, the nodes would silently
        # stay without metadata.
        if failed and len(failed) == len(rows) and self.raise_on_error:
            error = TaskFailedError(f"No task of {len(rows)} succeeded: {failed[0].error}")
            error.run_id, error.taskgroup_id = failed[0].run_id, failed[0].taskgroup_id
            raise error
        found = (by_input.get(_key(one)) if one else None for one in inputs)
        return [self._metadata(row.output) if row and row.output else {} for row in found]

    def _metadata(self, output: TaskOutput) -> dict[str, Any]:
        content = output.content
        fields = content if isinstance(content, dict) else {self.answer_key: content}
        found: dict[str, Any] = {}
        named = any(_is_of(one, name) for one in output.basis for name in fields)
        for name, value in fields.items():
            # Of a text, or where no field is named as in the content, everything was cited for it.
            all_of_it = not named or not isinstance(content, dict)
            own = [one for one in output.basis if all_of_it or _is_of(one, name)]
            only = own[0] if all_of_it and len(own) == 1 else None
            exact = next((one for one in own if one.field == name), only)
            urls = dict.fromkeys(cited.url for one in own for cited in one.citations)
            facts = {
                "": _flat(value),
                "_sources": "\n".join(urls),
                "_confidence": exact.confidence if exact else None,
                "_reasoning": exact.reasoning if exact else None,
            }
            found |= {name + end: fact for end, fact in facts.items() if fact not in (None, "")}
        return found

    def _added(
        self,
        nodes: Sequence[BaseNode],
        found: Sequence[dict[str, Any]],
        hidden_from_embedding: list[str],
        hidden_from_llm: list[str],
    ) -> list[BaseNode]:
        added = list(nodes) if self.in_place else [deepcopy(node) for node in nodes]
        for node, metadata in zip(added, found, strict=True):
            node.metadata.update(metadata)
            node.excluded_embed_metadata_keys += hidden_from_embedding + _hidden(
                metadata, "_sources", "_confidence", "_reasoning"
            )
            node.excluded_llm_metadata_keys += hidden_from_llm + _hidden(
                metadata, "_confidence", "_reasoning"
            )
            if not self.disable_template_rewrite and isinstance(node, TextNode):
                node.text_template = self.node_text_template
        return added


def _is_of(basis: FieldBasis, name: str) -> bool:
    """Whether a basis is of a field, or of a part of it (`name.part`, `name[0]`)."""
    return basis.field == name or basis.field.startswith((f"{name}.", f"{name}["))


def _flat(value: Any) -> str | int | float | None:
    if isinstance(value, str | int | float | None):
        return value
    return json.dumps(value, ensure_ascii=False)


def _distinct(inputs: Sequence[Any]) -> dict[str, Any]:
    return {_key(one): one for one in inputs if one}


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _hidden(metadata: dict[str, Any], *ends: str) -> list[str]:
    """The names that were added to those of fields; a field may end like one."""
    return [name + end for name in metadata for end in ends if name + end in metadata]
