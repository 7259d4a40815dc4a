"""The writer: the one of all processes that touches the store."""

from study.checkpoints import Arrays
from study.errors import UserError
from study.remote import Shelf
from study.results import Results
from study.store import Store

LAST_WORDS = 10.0
"""Seconds that a worker about to end waits for its last words to arrive."""


FOLD = 1000
"""Parts that are put into one as they come: ten thousand small files take minutes to read."""


class Writer:
    """Writes what workers send, and keeps the last words of those that are ended."""

    def __init__(self, store: Store):
        self._store = store
        self._parts: list[Shelf] | None = None
        self._words: dict[str, str] = {}

    def write(self, results: Results) -> str | None:
        """Add the results of a job. A store that cannot be written is no fault of the job, and
        would be met by all that follow: what is wrong with it comes back.
        """
        try:
            if self._parts is None:
                self._parts = self._store.loose()
            part = self._store.write(results)
            self._parts += [part] if part else []
            if len(self._parts) >= FOLD:
                done, self._parts = self._parts, []
                self._store.fold(done)
        except UserError as error:
            return str(error)
        except OSError as error:
            return (
                f"{error.filename or self._store.folder}: cannot be written "
                f"({error.strerror or error}); what was finished is stored: mend this, and the "
                f"same command goes on from there"
            )
        return None

    def keep(self, key: str, arrays: Arrays) -> None:
        self._store.keep(key, arrays)

    def kept(self, key: str) -> Arrays | None:
        return self._store.kept(key)

    def hung(self, job: str, stacks: str) -> None:
        """A worker about to end says where its job stands."""
        self._words[job] = stacks

    def words(self, job: str) -> str | None:
        """What the last worker of a job said before it ended; told once."""
        return self._words.pop(job, None)
