from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dashboards.report.markup import Markup, escape, join, table, tag

EVIL = "<script>alert('x')</script>\" onload=\"y&"


def test_text_is_escaped_and_markup_is_not() -> None:
    assert tag("p", "a < b", tag("b", "&")) == "<p>a &lt; b<b>&amp;</b></p>"


def test_attributes_are_escaped_and_renamed() -> None:
    html = tag("td", class_="num", aria_label=EVIL, hidden=True, title=None, open=False)
    assert html == (
        '<td class="num" aria-label="&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;&quot; '
        'onload=&quot;y&amp;" hidden></td>'
    )


def test_void_elements_have_no_end() -> None:
    assert tag("meta", charset="utf-8") == '<meta charset="utf-8">'


def test_none_is_left_out() -> None:
    assert join(("a", None, 1)) == "a1"


def test_table_marks_heads_numbers_and_rows() -> None:
    html = table(("name", "n"), [("<a>", 1)], label="Names", numeric=(1,), row_classes=["winner"])
    assert '<th scope="col" class="num">n</th>' in html
    assert '<tr class="winner"><th scope="row">&lt;a&gt;</th><td class="num">1</td></tr>' in html


@given(st.text())
def test_nothing_a_user_writes_opens_a_tag(text: str) -> None:
    html = escape(text)
    assert isinstance(html, Markup)
    assert not set("<>\"'") & set(html)
