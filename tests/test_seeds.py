"""Named random streams: the fields named in FACTS and nothing else."""

import json
import random
import subprocess
import sys

import pytest

from study import seeds
from study.identity import canonical, digest

PLACE = {"dataset": {"name": "digits"}, "seed": 0, "kind": "step", "rho": 10.0, "mu": 0.5}

STREAMS = {
    seeds.test_split: {"dataset": {"name": "digits"}, "seed": 0},
    seeds.resplit: {"dataset": {"name": "digits"}, "seed": 0, "split": 0},
    seeds.validation_split: {"dataset": {"name": "digits"}, "seed": 0, "split": 0},
    seeds.class_roles: {"place": PLACE, "replicate": 0},
    seeds.subset: {"place": PLACE, "replicate": 0, "subset": 0},
    seeds.resampling: {"case": "a", "sampling": "over"},
    seeds.initial_weights: {"case": "a", "run": 0},
    seeds.batch_order: {"training": "a", "run": 0},
    seeds.dropout: {"training": "a", "run": 0},
    seeds.crops: {"training": "a", "run": 0},
    seeds.images: {"dataset": {"name": "digits"}},
}


def changed(value):
    if isinstance(value, dict):
        key = next(iter(value))
        return {**value, key: changed(value[key])}
    return value + 1 if isinstance(value, int | float) else f"{value}x"


@pytest.mark.parametrize("stream", STREAMS, ids=lambda s: s.__name__)
def test_a_stream_hangs_on_each_of_its_fields(stream):
    fields = STREAMS[stream]
    draw = stream(**fields).random()
    assert stream(**fields).random() == draw
    for key, value in fields.items():
        assert stream(**{**fields, key: changed(value)}).random() != draw, key


def test_streams_of_different_names_share_nothing():
    draws = [
        seeds.initial_weights("a", 0).random(),
        seeds.batch_order("a", 0).random(),
        seeds.resampling("a", "over").random(),
    ]
    assert len(set(draws)) == 3


def test_a_place_of_the_plane_draws_for_itself():
    draws = {
        seeds.subset({**PLACE, key: value}, 0, 0).random()
        for key, value in {"rho": 25.0, "mu": 0.2, "seed": 1, "kind": "linear"}.items()
    }
    assert len(draws) == 4
    assert seeds.subset(PLACE, 0, 0).random() not in draws


def test_identity_does_not_depend_on_the_order_of_keys():
    fields = {"b": [1, 2.5, None], "a": {"d": "x", "c": True}}
    shuffled = {"a": {"c": True, "d": "x"}, "b": [1, 2.5, None]}
    assert canonical(fields) == canonical(shuffled)
    assert digest(fields) == digest(shuffled)
    assert digest(fields) != digest({**fields, "b": [1, 2.5, 0]})


def test_identity_refuses_what_has_no_one_form():
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest({"a": float("nan")})


def test_a_stream_is_the_same_in_another_process_whatever_ran_before():
    random.seed()
    here = seeds.initial_weights("case", 3).random(4).tolist()
    program = (
        "import json, numpy, random; numpy.random.seed(7); random.seed(7);"
        "from study import seeds; seeds.subset({}, 1, 1).random(9);"
        "print(json.dumps(seeds.initial_weights('case', 3).random(4).tolist()))"
    )
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert json.loads(there.stdout) == here
