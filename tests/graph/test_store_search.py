"""What can be found in the job store, what is never kept there, and texts that are packed."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.jobs import JobRequest
from graph.store import Store
from graph.store.private import is_private, without_credentials
from graph.store.search import VALUE_CHARS
from graph.store.text import Packed, pack


def node(class_type: str = "CLIPTextEncode", title: str = "", **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs, "_meta": {"title": title}}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    prompts = {
        "cat": {
            "6": node(text="a red cat, (masterpiece:1.2), Größe", clip=["4", 1]),
            "3": node("KSampler", seed=2**64 - 1),
        },
        "dog": {"6": node(text="a red dog", title="Positive prompt"), "3": node("KSampler", cfg=7.25, steps=20)},
        "model": {"4": node("CheckpointLoaderSimple", ckpt_name="SDXL/sd_xl_base-1.0.safetensors")},
        "asia": {"1": node(text="猫が好き、とても"), "2": node(text="고양이 그림"), "3": node(text="ＷＩＤＥ")},
        "deep": {"1": node("List", values={"__value__": ["lantern", {"x": [{"y": "harbour"}]}]}, on=True)},
        "odd": {"1": "no node", "2": {"inputs": None}, "3": node(text="zero\0byte \ud800 half"), "4": node(text=None)},
    }
    with Store(tmp_path_factory.mktemp("store") / "queue.sqlite") as opened:
        for job_id, prompt in prompts.items():
            opened.add(JobRequest(job_id, prompt)).result()
        yield opened


def found(store: Store, text: str) -> list[str]:
    return [job.request.id for job in store.search(text).jobs]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("red", ["dog", "cat"]),
        ("RED cat", ["cat"]),
        ("cat red", ["cat"]),
        ("mast", ["cat"]),
        ("(masterpiece:1.2)", ["cat"]),
        ("grosse", ["cat"]),
        ("GRÖSSE", ["cat"]),
        ("18446744073709551615", ["cat"]),
        ("7.25", ["dog"]),
        ("positive", ["dog"]),
        ("ksampler", ["dog", "cat"]),
        ("sd_xl_base", ["model"]),
        ("xl_base-1.0.safe", ["model"]),
        ("base sdxl", ["model"]),
        ("猫", ["asia"]),
        ("好き", ["asia"]),
        ("き好", []),
        ("고양이", ["asia"]),
        ("wide", ["asia"]),
        ("lantern harbour", ["deep"]),
        ("true", []),
        ("zero half", ["odd"]),
        ("nowhere", []),
        ("red nowhere", []),
        ("!!! ---", []),
        ("", ["odd", "deep", "asia", "model", "dog", "cat"]),
        (" \n", ["odd", "deep", "asia", "model", "dog", "cat"]),
        ("dog", ["dog"]),
    ],
)
def test_what_is_found(store: Store, text: str, ids: list[str]) -> None:
    assert found(store, text) == ids


SIGNS = st.sampled_from([*"\"'*()^:+-{}[]\\/%_,.\0\ud800 \n", "AND", "OR", "NOT", "NEAR(", "text:", "cat", "red", "猫"])


@settings(deadline=None, max_examples=300)
@given(text=st.lists(SIGNS, max_size=12).map("".join) | st.text(max_size=40))
def test_no_text_is_an_error(store: Store, text: str) -> None:
    assert set(found(store, text)) <= {"cat", "dog", "model", "asia", "deep", "odd"}
    assert "cat" in found(store, "red") or not text


@pytest.mark.parametrize("text", ["cat " * 10_000, "猫" * 5_000, "x" * 10**6, '"' * 5_000, "(" * 5_000])
def test_long_texts_are_no_errors(store: Store, text: str) -> None:
    assert set(found(store, text)) <= {"cat", "asia"}


def test_pages_of_a_search(tmp_path: Path) -> None:
    with Store(tmp_path / "queue.sqlite") as store:
        for number in range(5):
            store.add(JobRequest(str(number), {"1": node(text="lighthouse")})).result()
        first = store.search("light", limit=2)
        store.add(JobRequest("new", {"1": node(text="lighthouse")})).result()
        second = store.search("light", limit=2, after=first.after)
        third = store.search("light", limit=2, after=second.after)
    assert [job.request.id for page in (first, second, third) for job in page.jobs] == ["4", "3", "2", "1", "0"]
    assert third.after is None


def test_a_search_among_jobs_of_a_state_or_client_finds_and_counts_these(tmp_path: Path) -> None:
    with Store(tmp_path / "queue.sqlite") as store:
        for number in range(6):
            store.add(
                JobRequest(str(number), {"1": node(text="harbour" if number else "sea")}, client="ab"[number % 2])
            ).result()
        for job_id in "345":
            store.start(job_id).result()
        store.finish("4", "failed", "It failed.").result()
        for asked, ids in [
            ({}, "54321"),
            ({"client": "a"}, "42"),
            ({"states": ("running",)}, "53"),
            ({"states": ("running", "failed"), "client": "a"}, "4"),
            ({"states": ()}, ""),
            ({"newest_first": False}, "12345"),
        ]:
            page = store.search("harb", **asked)  # type: ignore[arg-type]
            assert "".join(job.request.id for job in page.jobs) == ids
            asked.pop("newest_first", None)
            assert store.count(text="harb", **asked) == len(ids)  # type: ignore[arg-type]
            of_all = store.list(**asked)  # type: ignore[arg-type]
            assert store.count(**asked) == len(of_all.jobs) == len(store.search(" ", **asked).jobs)  # type: ignore[arg-type]
        assert [job.request.id for job in store.search("harb", limit=2, offset=3).jobs] == ["2", "1"]
        first = store.search("harb", newest_first=False, limit=2)
        assert [job.request.id for job in store.search("harb", newest_first=False, after=first.after).jobs] == [*"345"]
        assert store.count(text="!!!") == 0


def test_a_picture_within_a_prompt_is_not_indexed_whole(tmp_path: Path) -> None:
    text = "begin " + "x" * VALUE_CHARS + " end"
    with Store(tmp_path / "queue.sqlite") as store:
        store.add(JobRequest("a", {str(number): node(text=f"{number} {text}") for number in range(100)})).result()
        assert found(store, "begin")
        assert not found(store, "end")


# -- credentials

PRIVATE = [
    "api_key_comfy_org", "auth_token_comfy_org", "authorization", "Authorization", "token", "password", "api_key",
    "apiKey", "X-Api-Key", "hf_token", "accessToken", "refresh-token", "client_secret", "secret", "cookie", "bearer",
    "APIKEY", "credentials", "private key", "aws_secret_access_key", "passphrase",
]  # fmt: skip
PUBLIC = [
    "text", "tokens", "max_tokens", "tokenizer", "token_normalization", "workflow", "nodes", "key", "keys", "secretary",
    "client_id", "seed", "monkey", "keyframe", "prompt", "author", "", "widgets_values",
]  # fmt: skip


@pytest.mark.parametrize("name", PRIVATE)
def test_names_of_credentials(name: str) -> None:
    assert is_private(name)


@pytest.mark.parametrize("name", PUBLIC)
def test_names_that_are_none(name: str) -> None:
    assert not is_private(name)


def test_credentials_are_stripped_from_extra_data_and_inputs_stay() -> None:
    prompt = {
        "1": {
            "class_type": "X",
            "inputs": {"text": "token", "password": "input"},
            "_meta": {"token": "t", "title": "T"},
        },
        "2": {"class_type": "Y", "inputs": {}, "api_key": "k"},
        "token": {"class_type": "Z", "inputs": {}},
        "3": "no node",
    }
    extra = {
        "workflow": {"nodes": [{"id": 1, "auth_token": "t"}, [{"password": "p", "text": "x"}]]},
        "api_key_comfy_org": "k",
    }
    bare = without_credentials(JobRequest("a", prompt, extra, client="me", targets=("1",)))
    assert bare == JobRequest(
        "a",
        {
            "1": {"class_type": "X", "inputs": {"text": "token", "password": "input"}, "_meta": {"title": "T"}},
            "2": {"class_type": "Y", "inputs": {}},
            "token": {"class_type": "Z", "inputs": {}},
            "3": "no node",
        },
        {"workflow": {"nodes": [{"id": 1}, [{"text": "x"}]]}},
        client="me",
        targets=("1",),
    )


def test_no_credential_reaches_the_disk(tmp_path: Path) -> None:
    file = tmp_path / "queue.sqlite"
    extra = {name: f"hunter2 {name}" for name in PRIVATE} | {"workflow": {"extra": {"token": "hunter2"}}}
    with Store(file) as store:
        job = store.add(JobRequest("a", {"1": node(text="lighthouse", password="hunter3")}, extra)).result()
        assert job.request.extra_pnginfo == {"workflow": {"extra": {}}}
        assert found(store, "lighthouse") == ["a"]
        assert found(store, "hunter3") == []
    db = sqlite3.connect(file)
    stored = db.execute("SELECT * FROM jobs JOIN requests USING (seq)").fetchall()
    db.close()
    texts = [
        json.dumps(dict(Packed(value))) if isinstance(value, bytes) else str(value) for row in stored for value in row
    ]
    assert any("lighthouse" in text for text in texts)
    assert not [text for text in texts if "hunter2" in text]
    assert b"hunter2" not in file.read_bytes()


# -- packed texts

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
    max_leaves=10,
)


@settings(deadline=None)
@given(value=st.dictionaries(st.text(st.characters()), JSON))
def test_packed_is_the_mapping_that_it_was(value: dict[str, Any]) -> None:
    packed = Packed(pack(value))
    assert packed == value
    assert dict(packed) == value
    assert list(packed) == list(value)
    assert len(packed) == len(value)
    assert repr(Packed(pack(value))) == repr(value)
