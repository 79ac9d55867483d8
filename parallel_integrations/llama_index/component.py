"""What every serializable LlamaIndex class of this room adds to the shared adapter."""

from typing import Any

from llama_index.core.schema import BaseComponent
from pydantic import model_validator

from parallel_integrations.adapter import Adapter


class Component(Adapter, BaseComponent):
    """An adapter that LlamaIndex can write down, load again and send to another process."""

    @model_validator(mode="before")
    @classmethod
    def _own_class_name(cls, values: Any) -> Any:
        """Take back what `model_dump` and `to_dict` add; any other name stays unknown."""
        if isinstance(values, dict) and values.get("class_name") == cls.class_name():
            return {name: value for name, value in values.items() if name != "class_name"}
        return values

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """Everything but the key and the client, as plain JSON values.

        Args:
            **kwargs: As for pydantic's `model_dump`.

        Returns:
            What `from_dict` makes an equal object of; its key comes from `PARALLEL_API_KEY`.
        """
        return super().to_dict(**{"mode": "json", **kwargs})

    def __getstate__(self) -> dict[str, Any]:
        if self.client is not None:
            # LlamaIndex drops what cannot be pickled; the copy would silently call another server.
            self.client.__reduce__()
        return super().__getstate__()
