"""Keeps the results of an evaluation, so that the same call goes on after an interruption."""

import sqlite3
from hashlib import blake2b
from os import PathLike
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from parallel_integrations.errors import JournalError
from parallel_integrations.evaluation.grading import QuestionResult


class EvaluationJournal:
    """A file of finished questions, by what was asked, of which system and with which judge.

    Args:
        path: The file; None keeps nothing.

    Raises:
        JournalError: The file is no journal of an evaluation, or cannot be written.
    """

    def __init__(self, path: str | PathLike[str] | None) -> None:
        self._path = None if path is None else Path(path)
        if self._path is None:
            return
        database = None
        try:
            # Without transactions: a result was paid for, and is on disk when its statement
            # returns.
            database = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            database.execute(
                "CREATE TABLE IF NOT EXISTS evaluated (key TEXT PRIMARY KEY, result TEXT NOT NULL)"
            )
            # A table of this name may be that of another program, with other columns.
            database.execute("SELECT key, result FROM evaluated LIMIT 1")
        except sqlite3.Error as error:
            if database is not None:
                database.close()
            raise JournalError(f"{self._path}: no journal of an evaluation: {error}") from error
        self._database = database

    def find(self, key: str) -> QuestionResult | None:
        """The result of an earlier run; None where there is none.

        Raises:
            JournalError: It cannot be read.
        """
        if self._path is None:
            return None
        row = self._run("SELECT result FROM evaluated WHERE key = ?", key).fetchone()
        try:
            return None if row is None else QuestionResult.model_validate_json(row[0])
        except ValidationError:
            raise JournalError(
                f"{self._path}: a result in it cannot be read: take another journal, or the "
                "version that wrote it"
            ) from None

    def keep(self, key: str, result: QuestionResult) -> None:
        """Write a result; it is on disk when this returns."""
        if self._path is not None:
            self._run(
                "INSERT OR REPLACE INTO evaluated VALUES (?, ?)", key, result.model_dump_json()
            )

    def close(self) -> None:
        """Close the file."""
        if self._path is not None:
            self._database.close()

    def _run(self, statement: str, *values: str) -> sqlite3.Cursor:
        try:
            return self._database.execute(statement, values)
        except sqlite3.Error as error:
            raise JournalError(f"{self._path}: {error}") from error


def journal_key(*parts: Any) -> str:
    """One key for what a result depends on."""
    # `repr` keeps the parts apart: two names joined could be equal to two others.
    return blake2b(repr(parts).encode(), digest_size=16).hexdigest()
