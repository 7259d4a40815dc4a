"""study.run itself, with jobs that only sleep: python -m bench.napping NOTES SECONDS GRID ...

Into the folder NOTES go the time when what is done was subtracted, the time when the first job was
begun, and at the end when each job was done and what memory this process then held.
"""

import json
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench.diary import Diary
from bench.naps import Nap, stamp
from study import run
from study.command import stop
from study.plan import Due, Job, remaining
from study.screen import Screen

SUBTRACTED, FIRST, DIARY = "subtracted", "first", "diary.json"


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    notes, seconds, *words = arguments
    folder, diary = Path(notes), Diary()

    class Noted(Screen):
        """The run's own, which keeps a diary."""

        def done(self, job: Job) -> None:
            super().done(job)
            diary.mark()

    def noted(*given: Any) -> list[Due]:
        left = remaining(*given)
        stamp(folder / SUBTRACTED)
        return left

    nap = partial(Nap, seconds=float(seconds), first=folder / FIRST)
    with patch.multiple(run, Screen=Noted, Work=nap, remaining=noted):
        code = run.main(words)
    (folder / DIARY).write_text(json.dumps([diary.times, diary.megabytes]))
    return code


if __name__ == "__main__":
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    sys.exit(main(sys.argv[1:]))
