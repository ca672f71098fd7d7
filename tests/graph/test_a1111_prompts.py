"""Prompts in A1111's syntax mean the same in CLIPTextEncode's, and names of samplers go there and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffusion.text.prompt import segments
from graph.read.emphasis import name_embeddings, translate
from graph.read.samplers import Names, from_a1111, to_a1111
from nodes.sampling import SAMPLER_NAMES


def read_here(prompt: str) -> list[tuple[str, float]]:
    """What this house reads in a prompt: texts with their weights."""
    return [(text, round(weight, 3)) for text, weight in segments(prompt)]


@pytest.mark.parametrize(
    ("prompt", "meaning"),
    [
        ("a cat", [("a cat", 1)]),
        ("a (cat)", [("a ", 1), ("cat", 1.1)]),
        ("[cat] a", [("cat", 0.909), (" a", 1)]),
        ("[[cat]]", [("cat", 0.826)]),
        ("((cat:1.2))", [("cat", 1.32)]),
        ("(a (cat:0.5):2)", [("a ", 2), ("cat", 1)]),
        ("(a [cat])", [("a ", 1.1), ("cat", 1)]),
        ("(a (b) c:1.5)", [("a ", 1.5), ("b", 1.65), (" c", 1.5)]),
        ("a (cat", [("a ", 1), ("cat", 1.1)]),
        ("a [cat", [("a ", 1), ("cat", 0.909)]),
        ("a :) [b]", [("a :) ", 1), ("b", 0.909)]),
        (r"[\(b\)]", [("(b)", 0.909)]),
        (r"\[b\]", [("[b]", 1)]),
        ("(a: 1.2 )", [("a", 1.2)]),
        ("(a:b:1.2)", [("a:b", 1.2)]),
        ("(a:1e3)", [("a:1e3", 1.1)]),
        ("a] b", [("a] b", 1)]),
    ],
)
def test_emphasis_keeps_its_weight(prompt: str, meaning: list[tuple[str, float]]) -> None:
    translated, notes = translate(prompt, 20)
    assert read_here(translated) == meaning
    assert notes == ()


@pytest.mark.parametrize("prompt", ["a (cat:1.2), ((b)), (c (d))", r"a \(cat\)", "a | b: c", "(a:-0.5)", ""])
def test_what_means_the_same_stays_as_it_was_typed(prompt: str) -> None:
    assert translate(prompt, 20) == (prompt, ())


@pytest.mark.parametrize(
    ("prompt", "translated", "told"),
    [
        ("a [cat:dog:0.3]", "a dog", "[from:to:when]"),
        ("a [cat:dog:0.7]", "a cat", "[from:to:when]"),
        ("a [cat:dog:15]", "a cat", "[from:to:when]"),
        ("a [dog:5]", "a dog", "[from:to:when]"),
        ("a [dog:0.9]", "a", "[from:to:when]"),
        ("a [cat::0.8]", "a cat", "[from:to:when]"),
        ("[(cat:1.2)::0.8]", "(cat:1.2)", "[from:to:when]"),
        ("([cat:dog:0.3]:1.5)", "(dog:1.5)", "[from:to:when]"),
        ("a [cat|dog|cow]", "a cat", "[one|other]"),
        ("a cat :1.2 AND a dog:0.5", "a cat, a dog", "“AND”"),
        ("a cat BREAK a dog", "a cat\na dog", "“BREAK”"),
    ],
)
def test_what_has_no_counterpart_is_told(prompt: str, translated: str, told: str) -> None:
    text, notes = translate(prompt, 20)
    assert text == translated
    assert [told in note for note in notes] == [True]


@pytest.mark.parametrize("prompt", ["BREAKFAST, SAND", "broken and", "[a:b]"])
def test_words_that_only_look_like_signs_are_words(prompt: str) -> None:
    assert translate(prompt, 20)[1] == ()


pieces = st.recursive(
    st.from_regex(r"\A[a-z][a-z ,]{0,6}\Z"),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"[{text}]"),
        st.tuples(inner, st.sampled_from(["0.5", "1.3", "2"])).map(lambda both: f"({both[0]}:{both[1]})"),
    ),
    max_leaves=8,
)


def weigh(prompt: str) -> list[tuple[str, float]]:
    """Every letter with its weight: the product of those of all brackets around it."""
    factors: list[float] = []
    found: list[tuple[str, float]] = []
    for place, letter in enumerate(prompt):
        if letter in "([":
            factors.append(1.1 if letter == "(" else 1 / 1.1)
            if letter == "(" and ":" in (inner := prompt[place : _end(prompt, place)]):
                number = inner.rpartition(":")[2]
                factors[-1] = float(number) if number.replace(".", "").isdigit() else 1.1
        elif letter in ")]":
            factors.pop()
        elif letter.isalpha():
            weight = 1.0
            for factor in factors:
                weight *= factor
            found.append((letter, weight))
    return found


def _end(prompt: str, place: int) -> int:
    depth = 0
    for end in range(place, len(prompt)):
        depth += (prompt[end] in "([") - (prompt[end] in ")]")
        if not depth:
            return end
    raise AssertionError(prompt)


@given(pieces)
def test_every_letter_weighs_here_what_it_weighs_there(prompt: str) -> None:
    here = [
        (letter, weight) for text, weight in segments(translate(prompt, 20)[0]) for letter in text if letter.isalpha()
    ]
    there = weigh(prompt)
    assert [letter for letter, _ in here] == [letter for letter, _ in there]
    assert [weight for _, weight in here] == pytest.approx([weight for _, weight in there], abs=2e-4, rel=2e-4)


@given(st.text("ab ()[]:|.12\\", max_size=40))
def test_every_string_can_be_translated(prompt: str) -> None:
    text, _ = translate(prompt, 20)
    list(segments(text))


def test_learnt_words_are_marked_so_that_they_are_read() -> None:
    known = ["easyneg", "bad-hands-5", "two words"]

    def marked(prompt: str) -> str:
        return name_embeddings(prompt, known)

    assert marked("easyneg") == "embedding:easyneg"
    assert marked("a,EasyNeg,b") == "a, embedding:easyneg, b"
    assert marked("(easyneg:1.2), (bad-hands-5)") == "(embedding:easyneg:1.2), (embedding:bad-hands-5)"
    assert marked("embedding:easyneg, easynegs, my-easyneg, two words") == (
        "embedding:easyneg, easynegs, my-easyneg, two words"
    )
    assert name_embeddings("a", []) == "a"


SAMPLERS = [
    "euler", "euler_cfg_pp", "euler_ancestral", "euler_ancestral_cfg_pp", "heun", "heunpp2", "dpm_2",
    "dpm_2_ancestral", "lms", "dpm_fast", "dpm_adaptive", "dpmpp_2s_ancestral", "dpmpp_2s_ancestral_cfg_pp",
    "dpmpp_sde", "dpmpp_2m", "dpmpp_2m_cfg_pp", "dpmpp_2m_sde", "dpmpp_2m_sde_heun", "dpmpp_3m_sde", "ddpm", "lcm",
    "ipndm", "ipndm_v", "deis", "res_multistep", "res_multistep_cfg_pp", "res_multistep_ancestral",
    "res_multistep_ancestral_cfg_pp", "gradient_estimation", "gradient_estimation_cfg_pp", "er_sde", "seeds_2",
    "seeds_3", "sa_solver", "sa_solver_pece", "ddim", "uni_pc", "uni_pc_bh2",
]  # fmt: skip
SCHEDULES = [
    "simple", "sgm_uniform", "karras", "exponential", "ddim_uniform", "beta", "normal", "linear_quadratic",
    "kl_optimal",
]  # fmt: skip


@given(st.sampled_from(SAMPLERS), st.sampled_from(SCHEDULES), st.sampled_from([str, str.lower, str.upper]))
def test_names_go_there_and_back(sampler: str, schedule: str, case: type[str]) -> None:
    there = to_a1111(sampler, schedule)
    assert there is not None
    assert from_a1111(case(there.sampler), case(there.schedule)) == (sampler, schedule)
    assert from_a1111(case(f"{there.sampler} {there.schedule}")) == (sampler, schedule)
    assert from_a1111(sampler, schedule) == (sampler, schedule)
    assert from_a1111(f"{sampler}_{schedule}") == (sampler, schedule)


@pytest.mark.parametrize("name", [*SAMPLER_NAMES, "dpmpp_2m_sde_gpu"])
def test_every_sampler_has_a_name_there(name: str) -> None:
    assert to_a1111(name, "karras") is not None


def test_no_two_names_there_mean_the_same() -> None:
    assert len({to_a1111(sampler, schedule) for sampler in SAMPLERS for schedule in SCHEDULES}) == 38 * 9


@pytest.mark.parametrize(
    ("sampler", "schedule", "here"),
    [
        ("DPM++ 2M SDE Karras", "", ("dpmpp_2m_sde", "karras")),
        ("DPM++ 2M SDE", "Karras", ("dpmpp_2m_sde", "karras")),
        ("DPM++ 2M SDE Heun Exponential", "", ("dpmpp_2m_sde_heun", "exponential")),
        ("Euler a", "", ("euler_ancestral", "normal")),
        ("k_euler_a", "", ("euler_ancestral", "normal")),
        ("DPM2 a Karras", "", ("dpm_2_ancestral", "karras")),
        ("DPM++ 2M", "Automatic", ("dpmpp_2m", "karras")),
        ("DPM++ 2M", "", ("dpmpp_2m", "normal")),
        ("DPM++ 3M SDE", "Automatic", ("dpmpp_3m_sde", "exponential")),
        ("Euler", "Automatic", ("euler", "normal")),
        ("Euler", "Uniform", ("euler", "normal")),
        ("DDIM", "", ("ddim", "ddim_uniform")),
        ("UniPC", "SGM Uniform", ("uni_pc", "sgm_uniform")),
        ("Euler A SGMUniform", "", ("euler_ancestral", "sgm_uniform")),
        ("dpmpp_2m_sde_gpu", "karras", ("dpmpp_2m_sde_gpu", "karras")),
        ("Euler", "Align Your Steps", ("euler", "")),
    ],
)
def test_names_as_they_are_met(sampler: str, schedule: str, here: tuple[str, str]) -> None:
    assert from_a1111(sampler, schedule) == Names(*here)


@pytest.mark.parametrize("name", ["PLMS", "Restart", "DPM++ 2M alt", "Karras", "", "a"])
def test_samplers_that_there_are_not(name: str) -> None:
    assert from_a1111(name) is None
    assert to_a1111(name, "karras") is None
    assert to_a1111("euler", name) is None


words = st.lists(
    st.sampled_from(["Euler", "a", "DPM++", "2M", "SDE", "Karras", "Normal", "k_", "猫", "", "SGM", "DDIM"])
)


@given(words.map(" ".join), words.map(" ".join))
def test_any_names_can_be_asked_for(sampler: str, schedule: str) -> None:
    found = from_a1111(sampler, schedule)
    assert found is None or (found.sampler in SAMPLERS and found.schedule in {*SCHEDULES, ""})
