"""Suggestions of tasks: requests and responses (docs/reference/facts.md, 18.4)."""

from typing import Any

from pydantic import Field, model_validator

from parallel_integrations.models.output_schema import JsonSchema, OutputSchema, wire_schema
from parallel_integrations.models.shared import (
    ApiResponse,
    ApiVersion,
    Items,
    RequestModel,
    Text,
)
from parallel_integrations.models.task import TaskSettings, task_spec


class SuggestTaskRequest(RequestModel):
    """What is to be found out, in words, to be made a task of.

    Attributes:
        user_intent: What is wanted, e.g. `founding year and headquarters of companies`.
        input_schema: What goes in, where that is known: a JSON schema or a pydantic class.
    """

    user_intent: str = Field(min_length=1)
    input_schema: JsonSchema | None = None

    @model_validator(mode="before")
    @classmethod
    def _documented_body(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("previous_task"), dict):
            rest = {name: value for name, value in values.items() if name != "previous_task"}
            return {**values["previous_task"], **rest}
        return values

    def body(self, version: ApiVersion) -> dict[str, Any]:
        """The JSON body; the schema stands in `previous_task`."""
        body: dict[str, Any] = {"user_intent": self.user_intent}
        if self.input_schema is not None:
            body["previous_task"] = {"input_schema": _bare(wire_schema(self.input_schema))}
        return body


class SuggestedTask(ApiResponse):
    """A task as the API would ask it; meant to be looked at before it is run.

    Attributes:
        title: What it is called.
        output_schema: JSON schema of what comes back.
        input_schema: JSON schema of what goes in.
    """

    title: Text = ""
    output_schema: dict[str, Any] | None = None
    input_schema: dict[str, Any] | None = None

    def settings(self, processor: str) -> TaskSettings:
        """Settings for tasks of this kind on a processor.

        Raises:
            ValueError: No output schema came along.
        """
        if not self.output_schema:
            raise ValueError("the suggestion has no output_schema: say more about what is wanted")
        return TaskSettings(
            processor=processor,
            output_schema=_bare(self.output_schema),
            input_schema=_bare(self.input_schema) if self.input_schema else None,
        )


class SuggestProcessorRequest(RequestModel):
    """A task whose processor is to be chosen.

    Attributes:
        output_schema: What comes back, as in `TaskSettings`.
        input_schema: What goes in, likewise.
    """

    output_schema: OutputSchema
    input_schema: OutputSchema | None = None

    @model_validator(mode="before")
    @classmethod
    def _documented_body(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("task_spec"), dict):
            rest = {name: value for name, value in values.items() if name != "task_spec"}
            return {**values["task_spec"], **rest}
        return values

    def body(self, version: ApiVersion) -> dict[str, Any]:
        """The JSON body: a `task_spec`."""
        return {"task_spec": task_spec(self.output_schema, self.input_schema)}


class SuggestedProcessors(ApiResponse):
    """Processors for a task.

    Attributes:
        recommended_processors: Best first.
    """

    recommended_processors: Items[str] = []


def _bare(schema: Any) -> Any:
    """A JSON schema without the wire's frame around it."""
    if isinstance(schema, dict) and isinstance(schema.get("json_schema"), dict):
        return schema["json_schema"]
    return schema
