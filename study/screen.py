"""What the terminal shows: the plan, the progress, the summary."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from study.driver import Driver
from study.methods import METHODS
from study.plan import Due, Job, count
from study.store import Store

PLAIN_LINE_EVERY = 30.0
"""Seconds between lines where there is no terminal."""


def terminal() -> Console:
    """A console that prints text as it is; where it is no terminal a table is never cut."""
    console = Console(highlight=False, soft_wrap=True, emoji=False, markup=False)
    if not console.is_terminal:
        console.width = 200
    return console


class Screen:
    """Watches a run: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, console: Console, dues: Sequence[Due], store: Store, driver: Driver):
        self._console, self._store, self._driver = console, store, driver
        self._total = len(dues)
        self._due = {due.case.id: len(due) for due in dues}
        self._failed: set[str] = set()
        self._running: dict[str, list[str]] = {}
        self._networks = 0
        self._start = self._said = time.monotonic()
        self._bar = Progress(
            TextColumn("cases"),
            BarColumn(),
            TextColumn("{task.fields[text]}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task: TaskID = self._bar.add_task("cases", total=self._total, text="starting")

    def __enter__(self) -> "Screen":
        cases = "1 case" if self._total == 1 else f"{self._total:,} cases"
        self._console.print(f"{cases} to do; records go to {self._store.folder}")
        self._bar.start()
        self._card()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._bar.stop()

    @property
    def left(self) -> int:
        """How many cases are not done, failed ones among them."""
        return len(self._due)

    def begun(self, job: Job) -> None:
        """A worker has taken the job up, maybe not for the first time."""
        if not self._running and not self._over:
            self._start = time.monotonic()  # to start up is no measure of what is to come
        self._running[job.id] = [due.case.id for due in job.dues]
        self._card()

    def done(self, job: Job) -> None:
        """One more job is in the store."""
        self._networks += count(job.dues).networks
        for due in job.dues:
            case = due.case.id
            self._due[case] -= len(due)
            if not self._due[case]:
                del self._due[case]
                self._store.forget_failure(case)
        self._ended(job)

    def failed(self, job: Job, traceback: str) -> None:
        """One more job has failed for good."""
        self._failed |= {due.case.id for due in job.dues}
        last = traceback.strip().splitlines()[-1]
        try:
            files = [self._store.fail(due.case.id, traceback) for due in job.dues]
            where = f"traceback in {files[0]}"
        except OSError as error:
            where = f"its traceback could not be written ({error.strerror})"
        self._console.print(f"failed: {job}: {last}\n  {where}", style="red")
        self._ended(job)

    def note(self, text: str) -> None:
        """A line that a job has to say."""
        self._console.print(text, style="yellow")

    def _ended(self, job: Job) -> None:
        self._running.pop(job.id, None)
        self._card()
        self._tell()

    @property
    def _over(self) -> int:
        """How many cases are done or have failed; one that has failed stays due."""
        return self._total - len(self._due) + len(self._failed)

    def _card(self) -> None:
        """Let those who look at the store know."""
        failed = len(self._failed)
        running = sorted({case for cases in self._running.values() for case in cases})
        self._driver.tell(self._total, self._over - failed, failed, running)

    def _tell(self) -> None:
        now, over = time.monotonic(), self._over
        seconds = now - self._start
        known = over > sum(map(len, self._running.values()))
        left = f", {duration(seconds / over * (self._total - over))} left" if known else ""
        text = (
            f"{over} of {self._total} cases, {len(self._failed)} failed, "
            f"{self._networks / seconds * 3600:,.0f} networks/h{left}"
        )
        self._bar.update(self._task, completed=over, text=text)
        if not self._console.is_terminal and (
            now - self._said >= PLAIN_LINE_EVERY or over == self._total
        ):
            self._console.print(text)
            self._said = now


def plan_fields(
    name: str, folder: str, whole: Sequence[Due], left: Sequence[Due], seconds: float, workers: int
) -> dict[str, Any]:
    """The plan as one object."""
    all_, due = count(whole), count(left)
    return {
        "grid": name,
        "store": folder,
        "cases": len(whole),
        "networks": all_.networks,
        "full_trainings": all_.full,
        "second_phases": all_.second,
        "records": all_.records,
        "records_done": all_.records - due.records,
        "cases_left": due.cases,
        "full_trainings_left": due.full,
        "second_phases_left": due.second,
        "records_left": due.records,
        "seconds_left": round(seconds, 1),
        "workers": workers,
    }


def show_plan(console: Console, title: str, fields: dict[str, Any]) -> None:
    """The plan in words and columns."""
    console.print(f"{fields['grid']}  {title}".rstrip())
    table = Table(box=None, pad_edge=False, show_header=True)
    table.add_column("")
    table.add_column("in all", justify="right")
    table.add_column("still to do", justify="right")
    for label, key, left in (
        ("cases", "cases", "cases_left"),
        ("networks, as the paper counts them", "networks", None),
        ("full trainings, after sharing", "full_trainings", "full_trainings_left"),
        ("second phases", "second_phases", "second_phases_left"),
        ("records", "records", "records_left"),
    ):
        table.add_row(label, f"{fields[key]:,}", f"{fields[left]:,}" if left else "")
    console.print(table)
    console.print(f"store: {fields['store']} ({fields['records_done']:,} records done)")
    console.print(
        f"time: about {duration(fields['seconds_left'])} on {fields['workers']} "
        f"worker{'s' if fields['workers'] > 1 else ''} of this machine, start-up apart"
    )


def show_summary(console: Console, records: pa.Table) -> None:
    """Mean AUC and accuracy by method, over every record of the grid that is stored."""
    if not len(records):
        return
    data = records.to_pandas()
    candidates = data[["base_rate", "run"]].drop_duplicates()
    among = (
        f", of {len(candidates)} rates and runs before one is chosen" if len(candidates) > 1 else ""
    )
    console.print(f"means over the cases of this run's grid that are stored{among}:")
    table = Table(box=None, pad_edge=False)
    table.add_column("method", no_wrap=True)
    for heading in ("AUC %", "accuracy %", "records", "chance", "diverged"):
        table.add_column(heading, justify="right", no_wrap=True)
    order = {id: place for place, id in enumerate(METHODS)}
    groups = dict(iter(data.groupby(["method", "to"])))
    for method, to in sorted(groups, key=lambda key: (order.get(key[0], len(order)), key)):
        rows = groups[method, to]
        status = rows["status"].value_counts()
        label = METHODS[method].label if method in METHODS else method
        table.add_row(
            label if to == 1 else f"{label} to {to:g}",
            percent(rows["auc"].mean()),
            percent(rows["accuracy"].mean()),
            f"{len(rows)}",
            f"{status.get('chance', 0)}",
            f"{status.get('diverged', 0)}",
        )
    console.print(table)


def percent(value: float) -> str:
    """A share in percent, or a dash where there is none."""
    return f"{100 * value:.2f}" if value == value else "-"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"
