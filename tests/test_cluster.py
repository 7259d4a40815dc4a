"""A cluster for real: a head and nodes as processes of this machine, none of which sees another's
disk. Jobs are submitted and come from outside, a node is killed, another joins.
"""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from pathlib import Path

import jsonschema
import pytest
import ray.autoscaler as ray_autoscaler
import yaml
from ray import __version__ as ray_version

from study.run import parser
from study.schema import VOLATILE
from study.store import Store
from tests.conftest import ROOT, raw_grid

BIN = Path(sys.executable).parent
PATIENCE = 480

MINE = """
import os
import sys
import time
from pathlib import Path
from study.methods import Method


def weights(counts):
    log = os.environ.get("STUDY_NODES")
    if log and sys._getframe(1).f_globals["__name__"] == "study.packs":
        with Path(log).open("a") as out:
            out.write(os.environ["STUDY_NODE"] + "\\n")
        time.sleep(3)  # that there is time for a node to join


row = Method("mine", "Mine", loss="mine:weights")
"""

CASES, FEW = 40, 12
CHANGES = {
    "replicates": CASES // 2,
    "imbalance": {"rho": [5, 10]},
    "methods": ["baseline", "two_phase_oversampling", "thresholding", "mine:row"],
    "recipe": {"iterations": 40},
}
SHIPPED = "9.9.9+shipped"


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def private_disks():
    """Whether a process may have a view of its own of the disks here."""
    command = ["unshare", "-m", "true"]
    return shutil.which("unshare") and subprocess.run(command, capture_output=True).returncode == 0


class Cluster:
    """A head without a core, and nodes; everything it starts bears its mark, and ends with it.

    `outside` is a folder that no process of the cluster sees, `head` one that only its head does.
    """

    def __init__(self, folder):
        self.outside, self.head, self.log = folder / "outside", folder / "head", folder / "nodes"
        self._mark, self._folder = uuid.uuid4().hex, folder
        self._processes = []
        self._temp = tempfile.mkdtemp(prefix="ray-")  # its sockets' names must be short
        self.port, self.client, self.dashboard = free_port(), free_port(), free_port()
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "PYTEST"))},
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": uuid.uuid4().hex,
            "RAY_raylet_start_wait_time_s": "120",  # patience, for a busy machine
            "RAY_CLIENT_SERVER_CHECK_CHANNEL_TIMEOUT_S": "120",
            "STUDY_NODES": str(self.log),
            "OMP_NUM_THREADS": "1",
        }

    def __enter__(self):
        for folder in (self.outside, self.head):
            (folder / "tmp").mkdir(parents=True)
        try:
            self._start(
                "head",
                [self.outside],
                *("--head", f"--port={self.port}", f"--ray-client-server-port={self.client}"),
                *(f"--dashboard-port={self.dashboard}", "--num-cpus=0"),
            )
            for port in (self.port, self.client, self.dashboard):
                until(lambda port=port: answers(port))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error):
        while self._kill(f"{self._mark}:"):
            time.sleep(0.1)
        for process in self._processes:
            process.wait()
        shutil.rmtree(self._temp, ignore_errors=True)

    def add(self, node, *words):
        """A node with one core joins. One at a time: two that start together may lose a port."""
        address = f"--address=127.0.0.1:{self.port}"
        self._start(node, [self.outside, self.head], address, "--num-cpus=1", *words)
        log = self._folder / "logs" / f"{node}.txt"
        until(lambda: "Ray runtime started" in log.read_text())

    def kill(self, node):
        """All of its processes at once."""
        assert self._kill(f"{self._mark}:{node}\0")

    def worked(self):
        """How many trainings each node has begun."""
        return Counter(self.log.read_text().split() if self.log.exists() else ())

    def _start(self, node, hidden, *words):
        command = [
            *(str(BIN / "ray"), "start", "--block", "--disable-usage-stats"),
            *("--node-ip-address=127.0.0.1", "--object-store-memory=150000000"),
            *(f"--dashboard-agent-listen-port={free_port()}", *words),
        ]
        if "--head" in words:
            command.append(f"--temp-dir={self._temp}")
        if private_disks():
            hide = "".join(f"mount -t tmpfs none {shlex.quote(str(f))} && " for f in hidden)
            command = ["unshare", "-m", "sh", "-c", f"{hide}exec {shlex.join(command)}"]
        (self._folder / "logs").mkdir(exist_ok=True)
        with (self._folder / "logs" / f"{node}.txt").open("w") as log:
            process = subprocess.Popen(
                command,
                cwd=self._folder,
                env={
                    **self.environment,
                    "STUDY_MARK": f"{self._mark}:{node}",
                    "STUDY_NODE": node,
                    "TMPDIR": str(self.head / "tmp") if node == "head" else self._temp,
                },
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes.append(process)

    def _kill(self, mark):
        found = 0
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if f"STUDY_MARK={mark}".encode() in (process / "environ").read_bytes():
                    os.kill(int(process.name), signal.SIGKILL)
                    found += 1
            except OSError:
                continue
        return found


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def until(true, process=None):
    """Wait until it is true, or the process has ended."""
    begin = time.monotonic()
    while not true() and (process is None or process.poll() is None):
        assert time.monotonic() - begin < PATIENCE, "nothing happens"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    """A small copy of the project, told from this one by its version."""
    folder = tmp_path_factory.mktemp("code")
    away = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "study", folder / "study", ignore=away)
    shutil.copy(ROOT / ".rayignore", folder)
    init = folder / "study/__init__.py"
    version = next(line for line in init.read_text().splitlines() if "__version__" in line)
    init.write_text(init.read_text().replace(version, f'__version__ = "{SHIPPED}"'))
    (folder / "mine.py").write_text(MINE)
    (folder / "tiny.yaml").write_text(yaml.safe_dump(raw_grid(**CHANGES)))
    (folder / "data").mkdir()
    (folder / "data" / "large.bin").write_bytes(os.urandom(1 << 20))
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        cluster.add("a")
        cluster.add("b")
        yield cluster


@pytest.fixture(scope="module")
def expected(code, cluster):
    """The records of a run that nothing disturbs; nodes start meanwhile."""
    results = cluster.outside / "whole"
    run(code, "--results", results, "--executor", "inprocess")
    records = stable(results)
    assert len(records) == CASES * 4
    return records


def stable(results):
    return Store(results / "tiny").read().drop_columns(list(VOLATILE)).to_pylist()


def begin(command, folder, environment):
    return subprocess.Popen(
        [str(word) for word in command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def submitted(command, folder, environment):
    """The job's process; a head that has just started may not take jobs yet."""
    while True:
        process = begin(command, folder, environment)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            return process
        out = process.stdout.read()
        process.stdout.close()
        assert "No available agent" in out, out


def run(code, *words, folder=None, environment=None):
    """The command, to its end; what it printed."""
    command = [sys.executable, "-m", "study.run", code / "tiny.yaml", *words]
    environment = {**(environment or os.environ), "PYTHONPATH": str(code)}
    process = begin(command, folder or code, environment)
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, out
    return out


@pytest.mark.slow
def test_a_job_submitted_to_a_cluster_that_loses_a_node_and_gets_another(
    cluster, code, expected, tmp_path
):
    results = cluster.head / "results"
    command = [
        *(BIN / "ray", "job", "submit", "--address", f"http://127.0.0.1:{cluster.dashboard}"),
        *("--working-dir", code, "--"),
        *("python", "-m", "study.run", "tiny.yaml", "--address", "auto", "--results", results),
    ]
    process = submitted(command, tmp_path, cluster.environment)
    store = Store(results / "tiny")
    until(lambda: len(list(store.folder.glob("records/*.parquet"))) >= 2, process)
    until(lambda: cluster.worked()["b"], process)
    cluster.kill("b")
    at = len(store.records())
    cluster.add("c")
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, out
    assert f"{CASES} of {CASES} cases, 0 failed" in out
    assert "[state-dump]" not in out, "a lost node is told of in a line"
    assert 0 < at < CASES * 4, "the node went half-way"
    assert stable(results) == expected
    worked = cluster.worked()
    assert set(worked) == {"a", "b", "c"}, "the node that joined has done its share"
    versions = {
        json.loads(v)["imbalance-study"]
        for v in store.read(["record_id", "versions"])["versions"].to_pylist()
    }
    assert versions == {SHIPPED}
    with (tmp_path / "transcript.txt").open("w") as transcript:
        transcript.write(f"$ {shlex.join(str(word) for word in command)}\n{out}\n{worked}\n")


@pytest.mark.slow
@pytest.mark.parametrize("change", [{"RAY_AUTH_TOKEN": "f" * 32}, {"RAY_AUTH_MODE": "disabled"}])
def test_a_token_that_is_refused_is_told_before_anything_is_written(
    cluster, code, tmp_path, change
):
    command = [sys.executable, "-m", "study.run", code / "tiny.yaml", "--results", tmp_path / "r"]
    command += ["--address", f"127.0.0.1:{cluster.port}"]
    process = begin(command, code, cluster.environment | change | {"PYTHONPATH": str(code)})
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 2, out
    assert "the cluster refuses the token; export the RAY_AUTH_MODE and the RAY_AUTH_TOKEN" in out
    assert "records go to" not in out
    assert not (tmp_path / "r").exists()


@pytest.mark.slow
def test_from_outside_the_records_land_on_the_drivers_disk(cluster, code, expected, tmp_path):
    """By ray://, from a folder that holds none of the code."""
    results = cluster.outside / "results"
    address = f"ray://127.0.0.1:{cluster.client}"
    out = run(
        *(code, "--results", results, "--address", address, "--limit", FEW),
        folder=tmp_path,
        environment={**cluster.environment, "TMPDIR": str(cluster.outside / "tmp")},
    )
    assert f"{FEW} of {FEW} cases, 0 failed" in out
    records = stable(results)
    cases = {record["case_id"] for record in records}
    assert len(cases) == FEW
    assert records == [record for record in expected if record["case_id"] in cases]
    table = Store(results / "tiny").read(["record_id", "versions"])
    assert {json.loads(v)["imbalance-study"] for v in table["versions"].to_pylist()} == {SHIPPED}


@pytest.mark.slow
def test_jobs_for_cpus_leave_nodes_with_a_card_alone(cluster, code, tmp_path):
    cluster.add("card", "--num-gpus=1")
    cluster.log.unlink(missing_ok=True)
    run(
        *(code, "--results", cluster.outside / "cpu", "--device", "cpu"),
        *("--address", f"ray://127.0.0.1:{cluster.client}", "--limit", "4"),
        folder=tmp_path,
        environment=cluster.environment,
    )
    assert cluster.worked().total() == 4
    assert not cluster.worked()["card"]


PAGE = ROOT / "docs/cluster.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def commands(program):
    """What the page types that begins so, as words; comments and the shell's signs are left out."""
    for language, text in BLOCKS:
        if language not in ("sh", "bash"):
            continue
        for line in text.replace("\\\n", " ").splitlines():
            words = shlex.split(line.partition(" #")[0], comments=True)
            for at in range(len(words)):
                if words[at : at + len(program)] == list(program):
                    end = next((i for i in range(at, len(words)) if words[i] in "&;"), len(words))
                    yield words[at + len(program) : end]


def test_the_pages_runs_are_commands_that_study_run_takes():
    lines = list(commands(["python", "-m", "study.run"]))
    for _, text in BLOCKS:
        lines += [
            shlex.split(found) for found in re.findall("entrypoint: python -m study.run (.*)", text)
        ]
    assert len(lines) >= 10
    for words in lines:
        options = parser().parse_args(words)
        assert (ROOT / options.grid).exists()


@pytest.mark.slow
def test_the_pages_ray_commands_know_their_options():
    texts = [*commands(["ray"])]
    for language, text in BLOCKS:
        if language == "yaml" and "head_start_ray_commands" in text:
            cluster = yaml.safe_load(text)
            lines = cluster["head_start_ray_commands"] + cluster["worker_start_ray_commands"]
            texts += [shlex.split(line.partition("ray ")[2]) for line in lines]
    assert len(texts) >= 10
    for words in texts:
        words = words[: words.index("--")] if "--" in words else words
        name = [word for word in words[:2] if re.fullmatch("[a-z-]+", word) and word[0] != "-"]
        called = name if words[0] == "job" else name[:1]
        shown = subprocess.run(
            [BIN / "ray", *called, "--help"], capture_output=True, text=True, check=True
        ).stdout
        for word in words:
            if word.startswith("--"):
                assert re.search(rf"{word.partition('=')[0]}\b", shown), (words, word)


def test_the_pages_yaml_is_what_ray_and_kuberay_read():
    up, job = [yaml.safe_load(text) for language, text in BLOCKS if language == "yaml"]
    schema = json.loads((Path(ray_autoscaler.__file__).parent / "ray-schema.json").read_text())
    jsonschema.validate(up, schema)
    assert up["head_node_type"] in up["available_node_types"]
    spec = job["spec"]
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert spec["shutdownAfterJobFinishes"] is True
    assert spec["ttlSecondsAfterFinished"] > 0
    assert spec["rayClusterSpec"]["rayVersion"] == ray_version
    [group] = spec["rayClusterSpec"]["workerGroupSpecs"]
    assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


def test_the_pages_batch_script_is_one_that_bash_reads():
    [script] = [text for language, text in BLOCKS if language == "bash"]
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert "--signal=B:TERM@" in script
