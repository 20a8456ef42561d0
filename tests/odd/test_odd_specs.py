"""Specs that nobody would write, and some that somebody did."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import yaml
from hypothesis import given
from hypothesis import strategies as st
from oddities import SPEC, drawn, examples, says_what_where_and_what_to_do

from ablate.experiment.load import load_profile

if TYPE_CHECKING:
    from oddities import Home, Try

ODD: list[Any] = [
    *(None, True, False, 0, -1, 1, 2, 0.5, -0.5, 3, 10**30, 1e308, -1e308),
    *(float("nan"), float("inf"), float("-inf")),
    *("", " ", "x", "1", "1e-3", "true", "null", "nan", "ä", "漢", "a/b", "../x", "/", "~", "#", "a: b"),
    *("\x1b[31mred", "a\nb", "\ufeff", "x" * 5000, "[bold]x", "{}", "%s", "$HOME", "\u202etxt"),
    *([], [1], [None], ["x"], [[]], {}, {"x": 1}, {"": None}, {"1": {}}, [{"x": [1]}]),
]
"""Values for any field."""


def fields(tree: dict[str, Any], above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The paths of all fields in nested settings, groups included."""
    found = []
    for name, value in tree.items():
        found.append((*above, name))
        if isinstance(value, dict):
            found += fields(value, (*above, name))
    return found


CONFIG = fields(load_profile("sprites"))
TOP = [
    *(("question",), ("profile",), ("baseline",), ("config",), ("variants",), ("seeds",), ("claims",)),
    *(("variants", "plain"), ("variants", "clipped"), ("variants", ""), ("variants", "a/b")),
    *(("variants", "x" * 300), ("claims", "0"), ("factors",), ("leave_one_out",), ("expect",)),
    *(("plugins",), ("alpha",), ("nonsense",), ("seeds", "0"), ("claims", "0", "metric")),
    *(("claims", "0", "direction"), ("claims", "0", "variant"), ("claims", "0", "margin")),
]


def replaced(tree: Any, path: tuple[str, ...], value: Any) -> Any:
    """Nested settings with another value at a path."""
    if not path:
        return value
    if isinstance(tree, list):
        return [replaced(tree[0], path[1:], value), *tree[1:]] if tree else [value]
    tree = tree if isinstance(tree, dict) else {}
    return {**tree, path[0]: replaced(tree.get(path[0]), path[1:], value)}


def planned(home: Home, give: Try, spec: bytes, *where: str) -> int:
    """The exit code of planning a spec. What is wrong with it is said, with the place."""
    home.spec.write_bytes(spec)
    done = give("plan", "study.yaml")
    if done.code:
        says_what_where_and_what_to_do(done, *where)
    return done.code


@examples(80, 250)
def test_any_value_in_any_field_is_taken_or_refused_with_file_line_and_field(
    home: Home, give: Try, many: int
) -> None:
    codes: Counter[int] = Counter()
    places = st.one_of(
        st.sampled_from(TOP),
        st.sampled_from([("config", *path) for path in CONFIG]),
        st.sampled_from([("variants", "clipped", *path) for path in CONFIG]),
    )

    @drawn(many)
    @given(places, st.sampled_from(ODD))
    def each(path: tuple[str, ...], value: Any) -> None:
        spec = replaced(yaml.safe_load(SPEC), path, value)
        codes[planned(home, give, yaml.safe_dump(spec, allow_unicode=True, sort_keys=False).encode())] += 1

    each()
    assert codes[2] > 0.6 * many, codes


@examples(60, 200)
def test_text_that_is_no_yaml_is_refused_with_its_line(home: Home, give: Try, many: int) -> None:
    codes: Counter[int] = Counter()
    odd = st.sampled_from(
        [
            *(
                "\t",
                "\x00",
                "\x07",
                "{",
                "[",
                "}",
                "]",
                ":",
                ": ",
                "- ",
                "&a ",
                "*a",
                "*b",
                "!!python/tuple ",
                "!x ",
            ),
            *(
                "|",
                ">",
                "%",
                "@",
                "`",
                "'",
                '"',
                "#",
                "\n---\n",
                "\n...\n",
                "\r",
                "\u2028",
                "<<: ",
                "? ",
                "\ud800",
            ),
            *(
                "question: again\n",
                "variants: {}\n",
                "plain: {}\n  plain: {}\n",
                "? [a, b]\n: c\n",
                "\ufeff",
                "é",
            ),
        ]
    )
    place = st.integers(0, len(SPEC))

    @drawn(many)
    @given(st.lists(st.tuples(place, place, odd), min_size=1, max_size=3))
    def each(edits: list[tuple[int, int, str]]) -> None:
        text = SPEC
        for at, other, what in edits:
            begin, end = sorted((at, min(other, at + 3)))
            text = text[:begin] + what + text[end:]
        codes[planned(home, give, text.encode("utf-8", "surrogatepass"))] += 1

    each()
    assert codes[2] > 0.75 * many, codes


def test_bytes_that_are_no_text_are_refused(home: Home, give: Try) -> None:
    @drawn(40)
    @given(st.one_of(st.binary(max_size=60), st.binary(max_size=5).map(lambda some: SPEC.encode() + some)))
    def each(content: bytes) -> None:
        planned(home, give, content, "study.yaml")

    each()


def test_deep_and_long_specs_are_refused_in_seconds(home: Home, give: Try) -> None:
    bomb = "a: &a [x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9)
    )
    for text in (
        "[" * 3000,
        "{a: " * 3000,
        "- " * 3000,
        "question: x\n" * 3000,
        json.dumps({"variants": {f"v{number}": {} for number in range(3000)}}),
        SPEC.replace("seeds: [0, 1]", f"seeds: {list(range(20_000))}"),
        SPEC.replace("seeds: [0, 1]", "seeds: 0-99999999999"),
        bomb,
        "variants: &v {x: *v}\n",
        "",
        "#\n",
        "null\n",
        "[]\n",
        "text\n",
        "a: 1\n---\nb: 1\n",
    ):
        assert planned(home, give, text.encode(), "study.yaml") == 2
