"""A cluster that is joined from outside, by ray://: jobs run there, the store stays here.

Tune runs in a process of the cluster's. What its workers have for the store, and what the watch is
told, goes through a mailbox there, which the driver empties and answers.
"""

import pickle
from collections.abc import Sequence
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from study.checkpoints import Arrays
from study.errors import UserError
from study.execute import Place, Watch, Work, mailbox
from study.execute.writer import LAST_WORDS, Writer
from study.plan import Due, Job
from study.results import Results

STORE = ("write", "keep", "kept")
"""Letters that the writer answers; the watch gets the others."""


class Far:
    """The writer and the watch, seen from the cluster."""

    def __init__(self, box: Any):
        self._box = box

    def write(self, results: Results) -> str | None:
        wrong: str | None = self._send("write", results)
        return wrong

    def keep(self, key: str, arrays: Arrays) -> None:
        self._send("keep", key, arrays)

    def kept(self, key: str) -> Arrays | None:
        found: Arrays | None = self._send("kept", key)
        return found

    def hung(self, job: str, stacks: str) -> None:
        ray.get(self._box.hung.remote(job, stacks), timeout=LAST_WORDS)

    def words(self, job: str) -> str | None:
        words: str | None = ray.get(self._box.words.remote(job), timeout=LAST_WORDS)
        return words

    def begun(self, job: Job) -> None:
        self._send("begun", job)

    def done(self, job: Job) -> None:
        self._send("done", job)

    def failed(self, job: Job, traceback: str) -> None:
        self._send("failed", job, traceback)

    def note(self, text: str) -> None:
        self._send("note", text)

    def _send(self, name: str, *content: Any) -> Any:
        answer = ray.get(self._box.send.remote(pickle.dumps((name, content))))
        value, error = pickle.loads(answer)  # noqa: S301 - by our own driver
        if error is not None:
            raise error
        return value


def execute(dues: Sequence[Due], work: Work, watch: Watch, place: Place) -> None:
    """Run the jobs on the cluster that this process has joined as a client."""
    try:
        _execute(dues, work, watch, place)
    except ray.exceptions.RayTaskError:  # a fault of this program
        raise
    except (ConnectionError, ray.exceptions.RayError) as error:
        raise UserError(
            f"--address {place.address}: the cluster was lost ({error}); what was finished is "
            f"stored, the same command goes on from there"
        ) from None


def _execute(dues: Sequence[Due], work: Work, watch: Watch, place: Place) -> None:
    ray.cloudpickle.register_pickle_by_value(mailbox)
    there = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    own = {"num_cpus": 0, "scheduling_strategy": there}
    box = ray.remote(mailbox.Mailbox).options(**own).remote()
    orders = ray.put(ray.cloudpickle.dumps((dues, work, place)))
    run = ray.remote(mailbox.run).options(**own, max_retries=0).remote(box, orders)
    writer = Writer(work.store)
    over: list[Any] = []
    while True:
        letters = ray.get(box.take.remote())
        for number, letter in letters:
            ray.get(box.answer.remote(number, _answer(letter, writer, watch)))
        if over and not letters:
            break
        over, _ = ray.wait([run], timeout=0)
    if wrong := ray.get(run):
        raise UserError(wrong)


def _answer(letter: bytes, writer: Writer, watch: Watch) -> bytes:
    """Do as a letter says."""
    name, content = pickle.loads(letter)  # noqa: S301 - by our own workers
    to, value, error = writer if name in STORE else watch, None, None
    try:
        value = getattr(to, name)(*content)
    except OSError as trouble:  # a checkpoint's: its job goes on, and speaks of it
        if to is watch:
            raise
        error = OSError(trouble.errno, trouble.strerror)
    return pickle.dumps((value, error))


def conducted(box: Any, orders: bytes) -> str | None:
    """Run the jobs from within the cluster; gives what is wrong with all of them, if anything."""
    from study.execute.ray import conduct

    dues, work, place = pickle.loads(orders)  # noqa: S301 - by our own driver
    try:
        conduct(dues, work, Far(box), place, Far(box))
    except UserError as error:
        return str(error)
    return None
