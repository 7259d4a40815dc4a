"""What is read may come from anywhere: it runs nothing, writes nothing outside, fills no memory,
and nothing secret gets into a store; a cluster of one's own listens on this machine alone.
"""

import gzip
import hashlib
import io
import os
import pickle
import socket
import subprocess
import sys
import tarfile
import time
import urllib.request
import zipfile
import zlib
from hashlib import sha256
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import torchvision
from PIL import Image

from analysis.predictions import Predictions
from study import gridfile
from study.data import Folder, Npz, Pt, cifar10, published
from study.data.cifar10 import Cifar10
from study.data.mnist import Mnist
from study.data.whitening import whiten
from study.errors import DataError, UserError
from study.run import main
from study.store import Store
from tests.conftest import ROOT

FORM = {"height": 4, "width": 4, "channels": 1, "classes": 2}


class Bomb:
    """What leaves a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def crater(tmp_path):
    """Where a bomb leaves its file; that it can is shown first, that it has not afterwards."""
    path = tmp_path / "crater"
    pickle.loads(pickle.dumps(Bomb(path)))
    assert path.exists()
    path.unlink()
    yield path
    assert not path.exists()


# Pickles


def npy(array):
    content = io.BytesIO()
    np.save(content, array, allow_pickle=True)
    return content.getvalue()


def with_bomb(crater):
    return npy(np.array([Bomb(crater), 1], object))


def npz(path, members, kind=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@pytest.mark.parametrize("key", ["images", "labels", "images.npy", "labels.npy", "other.npy"])
def test_a_pickle_in_an_npz_is_not_opened(key, crater, tmp_path):
    good = {"images.npy": npy(np.zeros((2, 4, 4), np.uint8)), "labels.npy": npy(np.arange(2))}
    others = {name: content for name, content in good.items() if not name.startswith(key[:5])}
    for content in (with_bomb(crater), pickle.dumps(Bomb(crater))):
        npz(tmp_path / "mine.npz", {**others, key: content})
        source = Npz(name="npz", path="mine.npz", **FORM)
        if key == "other.npy":
            assert len(source.load(tmp_path)[0]) == 2
        else:
            with pytest.raises(DataError):
                source.load(tmp_path)


@pytest.mark.parametrize("whole", [True, False])
def test_a_pickle_in_the_place_of_an_npz_is_not_opened(whole, crater, tmp_path):
    content = pickle.dumps(Bomb(crater)) if whole else with_bomb(crater)
    (tmp_path / "mine.npz").write_bytes(content)
    with pytest.raises(DataError, match="not an archive"):
        Npz(name="npz", path="mine.npz", **FORM).load(tmp_path)


@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize("within", [True, False])
def test_a_pickle_in_a_pt_is_not_opened(legacy, within, crater, tmp_path):
    images = torch.zeros(2, 4, 4, dtype=torch.uint8)
    content = {"images": images, "labels": Bomb(crater)} if within else Bomb(crater)
    path = tmp_path / "mine.pt"
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(DataError, match="more in it than tensors"):
        Pt(name="pt", path="mine.pt", **FORM).load(tmp_path)


def test_a_bare_pickle_in_the_place_of_a_pt_is_not_opened(crater, tmp_path):
    (tmp_path / "mine.pt").write_bytes(pickle.dumps(Bomb(crater)))
    with pytest.raises(DataError):
        Pt(name="pt", path="mine.pt", **FORM).load(tmp_path)


def test_a_pickle_with_the_digest_of_a_published_file_makes_arrays_alone(crater):
    with pytest.raises(pickle.UnpicklingError, match="no part of an array"):
        cifar10.read_batch(pickle.dumps({b"data": Bomb(crater), b"labels": [1]}))


def test_a_pickle_in_the_place_of_the_whitening_is_not_opened(crater, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (9, 2, 2, 1)).astype(np.uint8)
    expected, _ = whiten(images, [], tmp_path / "cache")
    (path,) = (tmp_path / "cache").iterdir()
    for content in (with_bomb(crater), pickle.dumps(Bomb(crater))):
        path.write_bytes(content)
        assert np.array_equal(whiten(images, [], tmp_path / "cache")[0], expected)


def test_a_cache_of_another_size_is_not_read_at_all(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (9, 2, 2, 1)).astype(np.uint8)
    expected, _ = whiten(images, [], tmp_path)
    (path,) = tmp_path.iterdir()
    path.unlink()
    os.mkfifo(path)  # to read it is to wait for ever
    assert np.array_equal(whiten(images, [], tmp_path)[0], expected)


@pytest.mark.parametrize("sealed", [True, False])
def test_a_pickle_in_the_place_of_a_checkpoint_is_not_opened(sealed, crater, tmp_path):
    store = Store(tmp_path / "store")
    store.keep("key", {"a": np.arange(3)})
    path = store.folder / "checkpoints" / "key.npz"
    npz(tmp_path / "file", {"a.npy": with_bomb(crater)})
    for content in (
        (tmp_path / "file").read_bytes(),
        with_bomb(crater),
        pickle.dumps(Bomb(crater)),
    ):
        seal = sha256(content).digest() if sealed else b""
        path.write_bytes(seal + content)
        assert store.kept("key") is None


def test_a_pickle_in_the_place_of_predictions_is_not_opened(crater, tmp_path):
    folder = tmp_path / "predictions"
    folder.mkdir()
    npz(tmp_path / "file", {"a.npy": with_bomb(crater)})
    for content in (
        with_bomb(crater),
        pickle.dumps(Bomb(crater)),
        (tmp_path / "file").read_bytes(),
    ):
        for name in ("labels", "key"):
            (folder / f"{name}.npy").write_bytes(content)
        assert Store(tmp_path).predictions([None]) == {None: set()}
        with pytest.raises(UserError, match="not a whole array"):
            Predictions(tmp_path).labels(None, 2)
        with pytest.raises(UserError, match="not a whole array"):
            list(Predictions(tmp_path).logits("key", 2, 2))


@pytest.mark.parametrize("tag", ["python/object/apply", "python/object/new", "python/name"])
def test_a_tag_in_a_grid_makes_nothing(tag, crater, tmp_path):
    path = tmp_path / "grid.yaml"
    path.write_text(f"name: !!{tag}:os.mkdir ['{crater}']\n")
    with pytest.raises(UserError, match="tags are not read"):
        gridfile.read_grid(path)


# Archives and arrays that claim much


@pytest.mark.parametrize("key", ["images", "labels"])
def test_an_array_is_refused_by_what_it_claims(key, tmp_path):
    shape = b"(9000000000000, 4, 4)" if key == "images" else b"(9000000000000,)"
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': %s, }\n" % shape
    claims = b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header
    good = {"images": npy(np.zeros((2, 4, 4), np.uint8)), "labels": npy(np.arange(2))}
    members = {f"{name}.npy": content for name, content in {**good, key: claims}.items()}
    npz(tmp_path / "mine.npz", members)
    with pytest.raises(DataError, match=f"{key}: .* bytes; this machine has"):
        Npz(name="npz", path="mine.npz", **FORM).load(tmp_path)


def test_an_array_of_another_form_is_not_unpacked(tmp_path, monkeypatch):
    members = {
        "images.npy": npy(np.zeros((9, 800, 800), np.uint8)),
        "labels.npy": npy(np.arange(9)),
    }
    npz(tmp_path / "mine.npz", members)
    assert (tmp_path / "mine.npz").stat().st_size < 20_000
    monkeypatch.setattr(np.lib.format, "read_array", None)  # so that to unpack it is an error
    with pytest.raises(DataError, match="found the shape"):
        Npz(name="npz", path="mine.npz", **FORM).load(tmp_path)


def test_a_number_that_stands_for_many_is_refused(tmp_path):
    images = torch.zeros(1, dtype=torch.uint8).expand(9_000_000_000_000, 4, 4)
    torch.save({"images": images, "labels": torch.arange(2)}, tmp_path / "mine.pt")
    with pytest.raises(DataError, match=r"images: .* bytes; this machine has"):
        Pt(name="pt", path="mine.pt", **FORM).load(tmp_path)


def test_a_pt_that_would_unpack_to_more_than_it_is_is_refused(tmp_path):
    content = {"images": torch.zeros(2, 4, 4, dtype=torch.uint8), "labels": torch.arange(2)}
    torch.save(content, tmp_path / "plain.pt")
    with zipfile.ZipFile(tmp_path / "plain.pt") as archive:
        npz(tmp_path / "mine.pt", {name: archive.read(name) for name in archive.namelist()})
    with pytest.raises(DataError, match="compressed, so not written by"):
        Pt(name="pt", path="mine.pt", **FORM).load(tmp_path)
    assert len(Pt(name="pt", path="plain.pt", **FORM).load(tmp_path)[0]) == 2


@pytest.mark.parametrize("name", ["../out.npy", "/out.npy", "a\n\x1b[31mb.npy"])
def test_a_member_of_any_name_is_no_file_of_ours(name, tmp_path):
    npz(tmp_path / "mine.npz", {name: npy(np.arange(2))})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError) as error:
        Npz(name="npz", path="mine.npz", **FORM).load(tmp_path)
    assert str(error.value).isprintable()
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture
def offline(monkeypatch):
    def fail(*words, **options):
        raise URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", fail)


def member(name, content=b"", **fields):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, io.BytesIO(content)


OUTSIDE = {
    "above": lambda out: [member("../out", b"x")],
    "absolute": lambda out: [member(str(out), b"x")],
    "through a link": lambda out: [
        member("cifar-10-batches-py", type=tarfile.SYMTYPE, linkname=str(out.parent)),
        member("cifar-10-batches-py/out", b"x"),
    ],
    "hard link": lambda out: [member("in", type=tarfile.LNKTYPE, linkname="../secret")],
    "device": lambda out: [member("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3)],
    "pipe": lambda out: [member("pipe", type=tarfile.FIFOTYPE)],
    "much": lambda out: [member("much", bytes(50_000_000))],
}


@pytest.mark.parametrize("kind", OUTSIDE)
def test_an_archive_that_is_not_the_published_one_is_not_unpacked(kind, offline, tmp_path):
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    (tmp_path / "secret").write_text("secret")
    with tarfile.open(data / "cifar-10-python.tar.gz", "w:gz") as archive:
        for info, content in OUTSIDE[kind](out):
            archive.addfile(info, content)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match="no network"):
        Cifar10(name="cifar10").load(data)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", [kind for kind in OUTSIDE if kind not in ("pipe", "much")])
def test_what_leads_outside_stays_packed_even_with_the_published_digest(
    kind, offline, monkeypatch, tmp_path
):
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    (tmp_path / "secret").write_text("secret")
    path = data / "cifar-10-python.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for info, content in OUTSIDE[kind](out):
            archive.addfile(info, content)
    digest = hashlib.md5(path.read_bytes()).hexdigest()
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "tgz_md5", digest)
    with pytest.raises(DataError):
        Cifar10(name="cifar10").load(data)
    assert not out.exists()
    assert not [found for found in data.rglob("*") if found.is_symlink() or found.is_char_device()]


def test_a_gz_that_is_not_the_published_one_is_not_unpacked(offline, tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    with gzip.open(raw / "train-images-idx3-ubyte.gz", "wb") as file:
        file.write(bytes(50_000_000))
    with pytest.raises(DataError, match="no network"):
        Mnist(name="mnist").load(tmp_path)
    assert [path.name for path in raw.iterdir()] == ["train-images-idx3-ubyte.gz"]


def test_a_file_without_end_is_not_the_published_one(monkeypatch, tmp_path):
    monkeypatch.setattr(published, "LARGEST", 10_000)
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(1 << 33)
    with pytest.raises(DataError, match="more than 10,000 bytes"):
        published.read(path, "0")


# Pictures


def of_folder(classes=2):
    return Folder(name="folder", path="mine", classes=classes, size=4, channels=1)


@pytest.fixture
def mine(tmp_path):
    """Two classes with a picture each."""
    for name in ("ash", "oak"):
        (tmp_path / "mine" / name).mkdir(parents=True)
        Image.new("L", (4, 4)).save(tmp_path / "mine" / name / "one.png")
    return tmp_path / "mine"


def refusal(folder, classes=2):
    with pytest.raises(DataError) as error:
        of_folder(classes).load(folder.parent)
    assert str(error.value).isprintable()
    return str(error.value)


def test_a_picture_that_claims_too_many_pixels_is_not_decoded(mine):
    path = mine / "ash" / "one.png"
    content = bytearray(path.read_bytes())
    content[16:24] = (100_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(content)
    told = refusal(mine)
    assert f"{path}: cannot be read" in told
    assert "10000000000 pixels" in told


def test_a_pipe_or_a_device_in_the_place_of_a_picture_is_not_read(mine):
    os.mkfifo(mine / "ash" / "pipe.png")
    assert "pipe.png: cannot be read (neither a file nor a folder)" in refusal(mine)
    (mine / "ash" / "pipe.png").unlink()
    (mine / "oak" / "zero.png").symlink_to("/dev/zero")
    assert "zero.png: cannot be read (neither a file nor a folder)" in refusal(mine)


def test_a_file_too_large_for_a_picture_is_not_read(mine, monkeypatch):
    with (mine / "ash" / "large.png").open("wb") as file:
        file.truncate(1 << 33)
    assert "large.png: cannot be read (it has 8,589,934,592 bytes" in refusal(mine)


def test_links_out_of_the_folder_are_followed(mine, tmp_path):
    """Data sets are put together by links. They are read as the user who runs the study, decoded as
    pictures or not at all, and nothing is written through them.
    """
    (tmp_path / "else").mkdir()
    Image.new("L", (4, 4), 7).save(tmp_path / "else" / "two.png")
    (mine / "ash" / "two.png").symlink_to(tmp_path / "else" / "two.png")
    (mine / "oak" / "more").symlink_to(tmp_path / "else")
    train, _ = of_folder().load(tmp_path)
    assert sorted(train.images[:, 0, 0, 0].tolist()) == [0, 0, 7, 7]
    secret = tmp_path / "secret"
    secret.write_text("password")
    (mine / "ash" / "three.png").symlink_to(secret)
    told = refusal(mine)
    assert "three.png: not a picture" in told
    assert "password" not in told


def test_links_that_double_at_every_step_are_not_walked(mine):
    for level in range(30):
        folder = mine.parent / f"level{level}"
        folder.mkdir()
        for way in ("a", "b"):
            (folder / way).symlink_to(mine.parent / f"level{level + 1}")
    (mine.parent / "level30").mkdir()
    (mine / "ash" / "deep").symlink_to(mine.parent / "level0")
    begin = time.monotonic()
    assert "a second time" in refusal(mine)
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize(
    "name", ["a\nb", "\x1b[31m", "é", "a b", "$(id)", "-rf", "🙂", b"\xff\xfe"]
)
def test_names_of_any_characters_are_read_and_told_in_one_line(name, mine):
    label = os.fsdecode(name)
    (mine / label).mkdir()
    assert "no image" in refusal(mine, 3)
    picture = mine / label / f"{label}.png"
    picture.write_bytes(b"none")
    assert "not a picture" in refusal(mine, 3)
    Image.new("L", (4, 4)).save(picture)
    assert len(of_folder(3).load(mine.parent)[0]) == 3


# Secrets

SECRETS = (
    *("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "WANDB_API_KEY", "RAY_AUTH_TOKEN"),
    *("MLFLOW_TRACKING_PASSWORD", "GOOGLE_APPLICATION_CREDENTIALS", "MY_PASSWORD"),
)
MARKER = "hunter2-do-not-store"

FAILS = '''
"""A loss that fails in a job, and nowhere before."""

import sys

import numpy as np


def loss(counts):
    if "study.job" in sys.modules and len(set(counts.tolist())) < 4 and counts.sum() > 85:
        raise ZeroDivisionError("a bad day")
    return None
'''


def contents(folder):
    """Every byte below a folder, as it lies there and as it is read."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path, path.read_bytes()
            if path.suffix == ".parquet":
                table = pq.read_table(path)
                yield path, str([table.to_pylist(), table.schema.metadata]).encode()


def check_no_secret(folder, said):
    found = list(contents(folder))
    assert {".parquet", ".txt", ".yaml"} <= {path.suffix for path, _ in found}
    assert not [path for path, content in found if MARKER.encode() in content]
    assert not [path for path, _ in found if MARKER in str(path)]
    assert MARKER not in said


@pytest.fixture
def failing(grid_file, tmp_path, monkeypatch):
    """A grid some of whose jobs fail, below a folder with the code that does."""
    (tmp_path / "fails.py").write_text(FAILS)
    methods = tmp_path / "ways.py"
    methods.write_text(
        'from study.methods import Method\nBAD = Method("bad", "Bad", loss="fails:loss")\n'
    )
    return grid_file(
        methods=["baseline", "ways:BAD"],
        imbalance={"rho": [10, 1.2]},
        predictions=True,
        replicates=1,
    )


def command(grid, results, *words, stdout):
    environment = os.environ | dict.fromkeys(SECRETS, MARKER)
    environment |= {"PYTHONPATH": os.pathsep.join([str(grid.parent), str(ROOT)])}
    line = [sys.executable, "-m", "study.run", str(grid), "--results", str(results), *words]
    return subprocess.Popen(
        line, cwd=ROOT, env=environment, stdout=stdout, stderr=subprocess.STDOUT
    )


def test_no_secret_gets_into_a_store(failing, tmp_path, monkeypatch, capfd):
    for name in SECRETS:
        monkeypatch.setenv(name, MARKER)
    monkeypatch.syspath_prepend(tmp_path)
    results = tmp_path / "results"
    code = main([str(failing), "--results", str(results), "--executor", "inprocess"])
    said = capfd.readouterr()
    assert code == 1, said
    check_no_secret(results, said.out + said.err)


LOOPBACK = ("127.", "::1", "::ffff:127.")


def below(pid):
    """The processes that a process has started, and those they have."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(after[1]), []).append(int(stat.parent.name))
    found, left = [], [pid]
    while left:
        found.append(left.pop())
        left += parents.get(found[-1], [])
    return found


def address(text):
    """An address as /proc/net writes it."""
    words = bytes.fromhex(text)
    turned = b"".join(words[i : i + 4][::-1] for i in range(0, len(words), 4))
    return socket.inet_ntop(socket.AF_INET6 if len(turned) == 16 else socket.AF_INET, turned)


def listening(pid):
    """The addresses at which these processes wait for others."""
    sockets = {}
    for kind in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{kind}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                host, port = fields[1].split(":")
                sockets[f"socket:[{fields[9]}]"] = f"{address(host)} {int(port, 16)}"
    found = set()
    for one in below(pid):
        try:
            links = [str(fd.readlink()) for fd in Path(f"/proc/{one}/fd").iterdir()]
            name = Path(f"/proc/{one}/comm").read_text().strip()
        except OSError:
            continue
        found |= {f"{sockets[link]} {name}" for link in links if link in sockets}
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_rays_own_cluster_listens_on_this_machine_alone_and_stores_no_secret(failing, tmp_path):
    results, seen = tmp_path / "results", set()
    with (tmp_path / "said").open("w+") as said:
        process = command(failing, results, "--workers", "2", stdout=said)
        while process.poll() is None:
            seen |= listening(process.pid)
            time.sleep(0.2)
        said.seek(0)
        words = said.read()
    assert process.returncode == 1, words
    assert len(seen) >= 5, "Ray's processes were seen"
    assert not [place for place in seen if not place.startswith(LOOPBACK)]
    assert not [place for place in seen if " 8265 " in place or "DashboardH" in place]
    check_no_secret(results, words)
