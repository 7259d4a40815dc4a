"""The in-process executor: one job after another, here; for a debugger, a notebook, no Ray."""

import traceback
from collections.abc import Sequence

from study.errors import OWN, UserError, failure
from study.estimate import Pace, measure
from study.execute import ATTEMPTS, Place, Watch, Work, again
from study.execute.watchdog import Overtime, alarmed
from study.execute.writer import Writer
from study.limits import limit
from study.plan import Due, Job, count, gather


def execute(dues: Sequence[Due], work: Work, watch: Watch, place: Place) -> None:
    """Run the jobs in this process, in their order."""
    pace = None if place.limit else paced(dues, work, watch, place)
    writer = Writer(work.store)
    for job in gather(dues, place.means.most, workers=1):
        _attempt(job, work, watch, place, writer, place.limit or limit(job, work, pace))


def paced(dues: Sequence[Due], work: Work, watch: Watch, place: Place) -> Pace | None:
    """The pace of this machine; None, with a note, where a network cannot be rehearsed."""
    try:
        return measure(work.grid, place.means, count(dues).full)
    except OWN as error:
        watch.note(f"the time of a job cannot be estimated ({failure(error)})")
        return None


def _attempt(
    job: Job, work: Work, watch: Watch, place: Place, writer: Writer, seconds: float
) -> None:
    """Try the job until it is done, or has failed as often as it may."""
    watch.begun(job)
    told = ""
    for left in reversed(range(ATTEMPTS)):
        try:
            with alarmed(seconds):
                results = work.do(job, place.means, work.store)
        except UserError:  # the same each time, and not the program's to mend
            raise
        except (Exception, Overtime):
            told = traceback.format_exc()
            if left:
                watch.note(again(job, told))
            continue
        if wrong := writer.write(results):
            raise UserError(wrong)
        for text in results.notes:
            watch.note(text)
        watch.done(job)
        return
    watch.failed(job, told)
