"""Loggers, by name: Ray's own integrations, told of each job's means; what is stored is apart."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any

from ray import tune

from study.errors import failure
from study.results import Results
from study.store import Store

TENSORBOARD, WANDB = "tensorboard", "wandb"
"""Folders below the store."""


def _mlflow(store: Store) -> Any:
    integration = import_module("ray.air.integrations.mlflow")
    return integration.MLflowLoggerCallback(experiment_name=store.folder.name)


def _tensorboard(store: Store) -> Any:
    folder = store.folder / TENSORBOARD
    base = import_module("ray.tune.logger.tensorboardx").TBXLoggerCallback

    class Kept(base):  # type: ignore[misc, valid-type]
        """Writes below the store: a trial's own folder goes with the run."""

        def log_trial_start(self, trial: Any) -> None:
            if trial in self._trial_writer:
                self._trial_writer[trial].close()
            self._trial_writer[trial] = self._summary_writer_cls(folder / str(trial))
            self._trial_result[trial] = {}

    return Kept()


def _wandb(store: Store) -> Any:
    folder = store.folder / WANDB
    folder.mkdir(parents=True, exist_ok=True)
    integration = import_module("ray.air.integrations.wandb")
    return integration.WandbLoggerCallback(
        project=f"{store.folder.name}", group=store.folder.name, dir=str(folder)
    )


MAKERS: dict[str, Callable[[Store], Any]] = {
    "mlflow": _mlflow,
    "tensorboard": _tensorboard,
    "wandb": _wandb,
}
"""Each of LOGGERS -> what makes it for a store."""


def made(names: Sequence[str], store: Store, note: Callable[[str], None]) -> list[tune.Callback]:
    """The loggers of these names; what goes wrong with one is said by `note`."""
    return [Gentle(name, partial(MAKERS[name], store), note) for name in names]


class Gentle(tune.Callback):
    """A logger that stops no job: the first of its troubles is told, and it is not called again."""

    def __init__(self, name: str, make: Callable[[], Any], note: Callable[[str], None]):
        self._name, self._note = name, note
        self._logger = self._try(make)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks for a restore that is not used."""
        return {}

    def setup(self, *words: Any, **info: Any) -> None:
        self._call("setup", *words, **info)

    def on_trial_start(self, *words: Any, **info: Any) -> None:
        self._call("on_trial_start", *words, **info)

    def on_trial_result(self, *words: Any, **info: Any) -> None:
        self._call("on_trial_result", *words, **info)

    def on_trial_complete(self, *words: Any, **info: Any) -> None:
        self._call("on_trial_complete", *words, **info)

    def on_trial_error(self, *words: Any, **info: Any) -> None:
        self._call("on_trial_error", *words, **info)

    def on_experiment_end(self, *words: Any, **info: Any) -> None:
        self._call("on_experiment_end", *words, **info)

    def _call(self, hook: str, *words: Any, **info: Any) -> None:
        if self._logger is not None:
            self._try(partial(getattr(self._logger, hook), *words, **info))

    def _try(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception as error:  # a server's, a network's, a package's
            self._logger = None
            self._note(f"--log {self._name}: no longer told ({failure(error)})")


def means(results: Results) -> dict[str, float]:
    """The mean AUC and accuracy of a job's records by method, and the seconds of its networks."""
    found: dict[str, list[float]] = defaultdict(list)
    seconds = {row["training_id"]: row["seconds"] for row in results.records}
    for row in results.records:
        ratio = "" if row["to"] in (1, None) else f"_to_{row['to']:g}"
        for name in ("auc", "accuracy"):
            if row[name] is not None:
                found[f"{name}/{row['method']}{ratio}"].append(row[name])
    total = sum(value for value in seconds.values() if value is not None)
    return {name: sum(some) / len(some) for name, some in found.items()} | {"seconds": total}
