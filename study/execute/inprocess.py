"""The in-process executor: one job after another, here; for a debugger, a notebook, no Ray."""

import traceback
from collections.abc import Sequence

from study.errors import UserError
from study.execute import ATTEMPTS, Place, Watch, Work
from study.plan import Due, gather


def execute(dues: Sequence[Due], work: Work, watch: Watch, place: Place) -> None:
    """Run the jobs in this process, in their order."""
    for job in gather(dues, place.means.most, workers=1):
        for attempt in range(1, ATTEMPTS + 1):
            try:
                results = work.do(job, place.means, work.store)
                work.store.write(results)
            except UserError:  # the same each time, and not the program's to mend
                raise
            except Exception:
                if attempt == ATTEMPTS:
                    watch.failed(job, traceback.format_exc())
            else:
                for text in results.notes:
                    watch.note(text)
                watch.done(job)
                break
