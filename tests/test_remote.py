"""Stores in a bucket: a local S3 server gives and takes what a folder does."""

import json
import os
import pickle
import socket
import subprocess
import sys
import time

import pytest
from pyarrow import fs

from study.driver import Driver
from study.errors import UserError
from study.parts import find_parts
from study.remote import Remote, files, parse
from study.run import main
from study.schema import VOLATILE
from study.status import main as status
from study.store import Store
from study.upkeep import main as upkeep

INPROCESS = ["--executor", "inprocess"]


@pytest.fixture(scope="module")
def server():
    """The port of an S3 server of our own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < until:
            with socket.socket() as knock:
                if knock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
        process.terminate()


@pytest.fixture
def bucket(server, monkeypatch, request):
    """The address of an empty bucket: what stands before a path, and after it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
    query = f"endpoint_override=http://127.0.0.1:{server}&region=us-east-1"
    name = f"bucket-{abs(hash(request.node.name)) % 10**9}"
    files, _ = fs.FileSystem.from_uri(f"s3://{name}?{query}&allow_bucket_creation=true")
    files.create_dir(name)
    return lambda path: f"s3://{name}/{path}?{query}"


def stable(store):
    return store.read().drop_columns(list(VOLATILE)).to_pylist()


def test_a_path_in_a_bucket_does_what_a_path_does(bucket, tmp_path):
    """The same steps on both, and the same answers."""

    def answers(root):
        told = [root.exists(), root.is_dir(), sorted(p.name for p in files(root, ".txt"))]
        file = root / "below" / "a.txt"
        if not isinstance(root, Remote):
            file.parent.mkdir(parents=True)
        file.write_bytes(b"one")
        (root / "below" / "b.bin").write_bytes(b"two")
        told += [root.exists(), root.is_dir(), file.is_dir(), file.exists()]
        told += [file.name, file.stem, file.parent.name, file.with_name("c").name]
        told += [file.read_bytes(), file.read_text()]
        told += [[p.name for p in sorted(root.iterdir())]]
        told += [[p.name for p in files(root / "below", ".txt")]]
        with file.open("rb") as opened:
            told += [opened.read(1), opened.seek(0, 2)]
        file.unlink()
        file.unlink(missing_ok=True)
        told += [file.exists(), (root / "below").is_dir()]
        for trouble in (file.read_bytes, lambda: file.open("rb")):
            with pytest.raises(FileNotFoundError) as caught:
                trouble()
            told.append(caught.value.filename == str(file))
        return told

    assert answers(parse(bucket("some/place"))) == answers(tmp_path / "some" / "place")


def test_a_path_in_a_bucket_travels_and_shows_no_query(bucket):
    path = parse(bucket("some/place"))
    assert pickle.loads(pickle.dumps(path)) == path
    assert str(path / "x").endswith("/some/place/x")
    assert str(path).startswith("s3://")


def test_a_run_stores_in_a_bucket_what_it_stores_on_disk(bucket, grid_file, tmp_path, capsys):
    grid = str(grid_file(predictions=True, methods=["baseline", "thresholding"]))
    address = bucket("results")
    assert main([grid, *INPROCESS, "--results", str(tmp_path / "here")]) == 0
    assert main([grid, *INPROCESS, "--results", address, "--limit", "1"]) == 0
    store, disk = Store(parse(address) / "tiny"), Store(tmp_path / "here" / "tiny")
    assert len(store.records()) == 2
    capsys.readouterr()
    assert status([bucket("results/tiny")]) == 0
    assert "2 of 4 records" in capsys.readouterr().out
    assert main([grid, *INPROCESS, "--results", address]) == 0
    assert stable(store) == stable(disk)
    assert store.predictions([None]) == disk.predictions([None])
    assert len(store.predictions([None])[None]) == 3
    capsys.readouterr()
    assert main([grid, *INPROCESS, "--results", address]) == 0
    assert "nothing left to do" in capsys.readouterr().out
    assert main([grid, "--plan", "--json", "--results", address]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["records_left"] == 0
    assert plan["store"] == str(store.folder)

    def names(root):
        walk = root.walk() if isinstance(root, Remote) else root.rglob("*")
        return sorted(str(p).removeprefix(f"{root}/") for p in walk if not p.is_dir())

    assert names(store.folder) == names(disk.folder), "the same files, and no card of a driver"


@pytest.mark.slow
def test_jobs_under_ray_store_in_a_bucket(bucket, grid_file, tmp_path):
    grid, address = grid_file(), bucket("results")
    assert main([str(grid), *INPROCESS, "--results", str(tmp_path)]) == 0
    words = ["-m", "study.run", str(grid), "--workers", "1", "--results", address]
    subprocess.run([sys.executable, *words], check=True, env=dict(os.environ), timeout=120)
    assert stable(Store(parse(address) / "tiny")) == stable(Store(tmp_path / "tiny"))


def test_a_damaged_part_in_a_bucket_is_set_aside(bucket, grid_file, capsys):
    grid, address = str(grid_file()), bucket("results")
    assert main([grid, *INPROCESS, "--results", address]) == 0
    store = Store(parse(address) / "tiny")
    before = stable(store)
    part = find_parts(store.folder)[0]
    content = part.read_bytes()
    part.write_bytes(content[: len(content) // 2])
    assert main([grid, *INPROCESS, "--results", address]) == 0
    assert stable(store) == before
    (aside,) = (store.folder / "damaged").iterdir()
    assert aside.read_bytes() == content[: len(content) // 2]
    assert f"moved to {aside}" in capsys.readouterr().out


def test_a_bucket_has_one_driver_at_a_time_and_is_compacted(bucket, grid_file, capsys):
    grid, address = str(grid_file()), bucket("results")
    store = Store(parse(address) / "tiny")
    with Driver(store, print, "somebody"):
        assert main([grid, *INPROCESS, "--results", address]) == 2
    assert f"{store.folder}: in use by somebody on " in capsys.readouterr().err
    assert main([grid, *INPROCESS, "--results", address]) == 0
    before = stable(store)
    assert len(find_parts(store.folder)) == 2
    assert upkeep(["compact", bucket("results/tiny")]) == 0
    assert len(find_parts(store.folder)) == 1
    assert stable(store) == before


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("s3://", "no such kind of place; needed: a folder, s3://BUCKET/PATH"),
        ("ftp://host/x", "ftp://host/x: no such kind of place; needed: a folder, s3://"),
        ("s3://key:secret@bucket/x", "s3://...@bucket: keys have no place in an address"),
        ("s3://[bucket/x", "not an address"),
    ],
)
def test_addresses_that_are_none(address, told, grid_file, capsys):
    with pytest.raises(UserError, match=r"needed|environment"):
        parse(address)
    with pytest.raises(SystemExit) as caught:
        main([str(grid_file()), *INPROCESS, "--results", address])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert told in said
    assert "secret@" not in said


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("wrong=1", "s3://nowhere: cannot be reached (Unexpected query parameter"),
        ("endpoint_override=http://127.0.0.1:1&region=us-east-1", "s3://nowhere/x/tiny"),
    ],
)
def test_a_bucket_that_does_not_answer_is_one_line(query, told, grid_file, capsys):
    assert main([str(grid_file()), *INPROCESS, "--results", f"s3://nowhere/x?{query}"]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert len(said.splitlines()) == 1


def test_a_bucket_that_is_not_there_is_one_line(bucket, grid_file, capsys):
    address = bucket("x").replace("s3://bucket-", "s3://none-")
    assert main([str(grid_file()), *INPROCESS, "--results", address]) == 2
    said = capsys.readouterr().err
    assert "cannot be written" in said
    assert len(said.splitlines()) == 1


def test_the_analysis_reads_a_bucket(bucket, grid_file, tmp_path, capsys):
    """The same frame, the same verdicts, the same pictures' data as from disk."""
    from analysis import claims, figures, load, report

    grid = str(grid_file(predictions=True, methods=["baseline", "oversampling"]))
    for results in (bucket("results"), str(tmp_path / "here")):
        assert main([grid, *INPROCESS, "--results", results]) == 0
    address = bucket("results")
    own = load(bucket("results/tiny"))
    assert own.drop(columns=list(VOLATILE)).equals(
        load(tmp_path / "here" / "tiny").drop(columns=list(VOLATILE))
    )
    capsys.readouterr()
    told = []
    for results in (address, str(tmp_path / "here")):
        assert claims.main(["--results", results]) == 0
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]
    out = tmp_path / "pictures"
    words = ["--results", address, "--figure", "fig1", "calibration", "--format", "svg"]
    assert figures.main([*words, "--out", str(out)]) == 0
    assert {path.stem for path in out.rglob("*.svg")} >= {"fig1"}
    assert report.main(["--results", address, "--out", str(tmp_path / "page.html")]) == 0
    assert "tiny" in (tmp_path / "page.html").read_text()
    capsys.readouterr()
    assert figures.main(words) == 2
    assert "--out: found nothing; needed where --results is in a bucket" in capsys.readouterr().err
    assert claims.main(["--results", bucket("nothing")]) == 2
    assert "no such folder" in capsys.readouterr().err
