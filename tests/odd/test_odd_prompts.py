"""Files of prompts: each text is drawn into a file of its own, or the file is refused."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from oddities import drawn

from ablate.errors import UserError
from ablate.runner.prompts import FORMATS, read_prompts

if TYPE_CHECKING:
    from pathlib import Path

words = st.text(max_size=12)
odd = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), words, st.just("a red cat")),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["image_name", "file_name", "text_prompt", "text", "caption", "x", "0_main", ""]),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=6,
)
texts = st.one_of(
    odd.map(json.dumps),
    st.lists(odd, min_size=1, max_size=3).map(lambda some: "\n".join(map(json.dumps, some))),
    st.lists(words, max_size=4).map("\n".join),
    st.lists(st.lists(words, min_size=1, max_size=3), max_size=3).map(
        lambda rows: "file_name,text\n" + "\n".join(",".join(row) for row in rows)
    ),
)
contents = st.one_of(
    st.tuples(texts, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"])).map(
        lambda pair: pair[0].encode(pair[1], "replace")
    ),
    st.binary(max_size=40),
)


def test_a_file_of_prompts_is_read_whole_or_refused(tmp_path: Path) -> None:
    seen: Counter[str] = Counter()

    @drawn(300)
    @given(st.sampled_from([*FORMATS, ".tsv", ""]), contents)
    def each(ending: str, content: bytes) -> None:
        file = tmp_path / f"prompts{ending}"
        file.write_bytes(content)
        try:
            prompts = read_prompts([], file)
        except UserError as error:
            seen["refused"] += 1
            assert str(file) in error.where, error
            assert error.fix, error
            return
        seen["read"] += 1
        assert prompts
        for prompt in prompts:
            assert prompt.text.strip()
            assert "\ufeff" not in prompt.text
            assert prompt.name.strip()
            assert not {"/", "\0"} & set(prompt.name)
            assert prompt.name not in (".", "..")

    each()
    assert seen["refused"] > 100, seen
    assert seen["read"] > 5, seen


def test_texts_of_the_command_line_are_taken_or_refused() -> None:
    @drawn(60)
    @given(st.lists(st.one_of(words, st.just("a red cat")), max_size=3))
    def each(given_texts: list[Any]) -> None:
        try:
            prompts = read_prompts(given_texts, None)
        except UserError as error:
            assert error.fix, error
        else:
            assert [prompt.text for prompt in prompts] == [text.strip() for text in given_texts]

    each()
