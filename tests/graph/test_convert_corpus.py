"""Workflows with the prompts that the reference makes of them: published ones, and ones made to cover every rule."""

import gzip
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from graph.read.convert import Circumstances, to_prompt
from graph.read.facts import Described

PLACE = Path(os.environ.get("DARKROOM_CORPUS", Path(__file__).resolve().parents[3] / "shared" / "corpus"))
PAIRS = PLACE / "pairs.jsonl.gz"
WHEN = Circumstances(datetime(2024, 3, 5, 14, 7, 9, 42000), lambda count: 0)
BUG = "front-end bug"
EXCEPTIONS = {
    "hand/values_object": "values by name are read, as the reference does since; its older version lost them",
}
ROUNDED = 2**53  # the reference knows no whole number above this exactly

pytestmark = pytest.mark.skipif(
    not PAIRS.is_file(), reason=f"there are no pairs of workflows and prompts at {PLACE}; set DARKROOM_CORPUS"
)


@dataclass(repr=False)
class Corpus:
    """The pairs, and facts of the classes in them; where a test fails nothing of it is shown."""

    facts: Described
    pairs: list[dict[str, Any]]


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    facts = Described(json.loads((PLACE / "object_info.json").read_text()))
    with gzip.open(PAIRS, "rt") as lines:
        return Corpus(facts, [json.loads(line) for line in lines])


def same(one: Any, other: Any) -> bool:
    """Equal, numbers by value."""
    if isinstance(one, int | float) and isinstance(other, int | float):
        if isinstance(one, bool) or isinstance(other, bool):
            return one is other
        return one == other or (abs(one) > ROUNDED and float(one) == float(other))
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return type(one) is type(other) and bool(one == other)


def differences(found: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """Where two prompts differ: a node, or an input of one. No values: they are not for test output."""
    places = list(found.keys() ^ expected.keys())
    for node_id in found.keys() & expected.keys():
        one, other = found[node_id], expected[node_id]
        if one["class_type"] != other["class_type"]:
            places.append(f"{node_id} class_type")
        names = one["inputs"].keys() | other["inputs"].keys()
        ends = object()
        places += [
            f"{node_id} {name}"
            for name in names
            if not same(one["inputs"].get(name, ends), other["inputs"].get(name, ends))
        ]
    return sorted(places)


def report(corpus: Corpus, pair: Mapping[str, Any], expected: str = "prompt") -> list[str]:
    """The differences of one pair, each with its file."""
    found = to_prompt(pair["workflow"], corpus.facts, WHEN)
    unknown = [f"{node_id} is of an unknown class" for node_id in found.unknown]
    return [f"{pair['file']}: {place}" for place in unknown + differences(found.prompt, pair[expected])]


def test_every_pair_is_equal_but_for_faults_of_the_reference(corpus: Corpus) -> None:
    compared = [pair for pair in corpus.pairs if BUG not in pair["flags"] and pair["file"] not in EXCEPTIONS]
    count, differing = len(compared), [each for pair in compared for each in report(corpus, pair)]
    assert differing == []
    assert count > 100


def test_the_exceptions_are_few_and_equal_to_what_the_reference_does_since(corpus: Corpus) -> None:
    exceptions = [pair for pair in corpus.pairs if pair["file"] in EXCEPTIONS]
    differing = [each for pair in exceptions for each in report(corpus, pair, "prompt_1_58_1")]
    assert differing == []
    assert len(EXCEPTIONS) <= 3


def test_where_the_reference_is_wrong_the_sensible_is_done(corpus: Corpus) -> None:
    """The places that differ from the faulty prompts are those that the faults are about, and no others."""
    found = {pair["file"].split("/")[-1]: pair for pair in corpus.pairs if BUG in pair["flags"]}
    expected = {f"{found[file]['file']}: {place}" for file, (_, places) in SENSIBLE.items() for place in places}
    differing = {each for file, (against, _) in SENSIBLE.items() for each in report(corpus, found[file], against)}
    assert differing == expected
    assert set(found) == set(SENSIBLE)


# File: the prompt it is compared with, and where it differs from that.
SENSIBLE = {
    # Wires behind reroutes in a group are kept, as the prompts in the pictures have them. Those lack a widget that is
    # newer than they are, and one has the button to upload, which is no longer sent.
    "sdxl_edit_model.png": ("prompt_embedded", ["13 upload", "37:7 style"]),
    "hidream_e1_example.png": ("prompt_embedded", ["37:7 style"]),
    # The picture was made before nodes in groups had ids of their own.
    "stable_cascade__inpaint_controlnet.png": ("prompt", ["68:1 mask", "68:2 mask"]),
    # A decimal number from a PrimitiveNode is not rounded.
    "primitive_combo_string": ("prompt", ["13 cfg", "3 cfg"]),
    # Nothing runs in a muted or bypassed subgraph. (An older editor sends `preview`.)
    "subgraph_muted_bypassed": ("prompt_1_58_1", ["22 preview"]),
}
