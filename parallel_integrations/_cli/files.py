"""Files of a command, checked before anything is paid."""

import os
from collections.abc import Mapping
from pathlib import Path

from parallel_integrations.errors import InvalidArgumentError


def check_output(path: Path) -> None:
    """Refuse a path that cannot be written.

    Raises:
        InvalidArgumentError: It is a folder, lies in none, or is write-protected.
    """
    if path.is_dir():
        raise InvalidArgumentError(f"The output {path} is a folder. Name a file in it.")
    if not path.parent.is_dir():
        raise InvalidArgumentError(
            f"The output {path} cannot be written: there is no folder {path.parent}. Make it, or "
            "name another."
        )
    if path.exists() and not os.access(path, os.W_OK):
        raise InvalidArgumentError(
            f"The output {path} is there and write-protected. Name another, or make it writable."
        )


def check_apart(files: Mapping[str, Path]) -> None:
    """Refuse a file in two roles: one would be written over the other.

    Args:
        files: By what each is to the command, such as `the rows`.

    Raises:
        InvalidArgumentError: Two of them are one file.
    """
    found: dict[str, str] = {}
    for role, path in files.items():
        other = found.setdefault(os.path.realpath(path), role)
        if other != role:
            raise InvalidArgumentError(f"{path} cannot be both {other} and {role}: name another")


def files_of_journal(path: Path) -> dict[str, Path]:
    """A journal, and the files that SQLite makes beside it."""
    beside = ("-journal", "-wal", "-shm")
    return {"the journal": path} | {
        f"a file of the journal ({end})": path.with_name(path.name + end) for end in beside
    }
