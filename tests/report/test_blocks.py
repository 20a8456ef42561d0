"""Blocks, and the markup of their words."""

from __future__ import annotations

import pytest

from ablate.report.blocks import Code, Figure, Fold, Span, Text, bold, bullets, code, figures, spans


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("plain", [Span("plain")]),
        ("**a b**: c", [Span("a b", "bold"), Span(": c")]),
        ("*Active*: `x*y*`", [Span("Active", "italic"), Span(": "), Span("x*y*", "code")]),
        ("see [Audit](#audit)", [Span("see "), Span("Audit", "link", "#audit")]),
        ("[runs.csv](a%20b/runs.csv)", [Span("runs.csv", "link", "a%20b/runs.csv")]),
        ("2 * 3 * 4", [Span("2 * 3 * 4")]),
        ("+1 [+0, +2] (t)", [Span("+1 [+0, +2] (t)")]),
        ("", []),
    ],
)
def test_words_are_read_with_their_markup(text: str, found: list[Span]) -> None:
    assert list(spans(text)) == found


@pytest.mark.parametrize("target", ["javascript:alert(1)", "https://example.org", "//example.org", "/etc"])
def test_an_address_elsewhere_is_no_link(target: str) -> None:
    assert list(spans(f"[here]({target})")) == [Span(f"[here]({target})")]


def test_marks_are_read_as_they_were_made() -> None:
    assert list(spans(bold("x"))) == [Span("x", "bold")]
    assert list(spans(code("x"))) == [Span("x", "code")]


def test_figures_in_folds_are_found_in_the_order_of_the_page() -> None:
    one, two = (Figure(name, "", "", lambda: None) for name in ("one", "two"))  # type: ignore[arg-type, return-value]
    blocks = [Text(""), Fold("", [Code("sh", ""), Fold("", [one])]), two, bullets(["a"])]
    assert [figure.name for figure in figures(blocks)] == ["one", "two"]
