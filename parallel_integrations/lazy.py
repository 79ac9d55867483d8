"""Names of a framework room that are imported when first used, so that the door stays light."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(
    package: str, names: Mapping[str, str], *, needs: str, extra: str
) -> Callable[[str], Any]:
    """A module `__getattr__` that imports each name from its module at first use.

    Args:
        package: The room's dotted name.
        names: Public name to the module, below `package`, that defines it.
        needs: Top-level module that the extra installs.
        extra: Name of the extra.

    Returns:
        The function to assign to `__getattr__`; it raises `ImportError` naming the extra where
        the framework is missing.
    """

    def load(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            return getattr(import_module(f"{package}.{names[name]}"), name)
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] == needs:
                raise ImportError(
                    f"{package}.{name} needs {needs}: pip install 'parallel-integrations[{extra}]'"
                ) from error
            raise

    return load
