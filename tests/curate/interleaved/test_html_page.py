"""A page's own content, in order; its menus, banners and footers are left out."""

from __future__ import annotations

from mimovl.curate.interleaved.blocks import picture
from mimovl.curate.interleaved.html_page import HtmlPage, read_html
from mimovl.errors import MediaError
from mimovl.types import Media
from tests.curate.interleaved.pdf_pages import photo


def load(address: str) -> Media:
    if address.startswith("no"):
        raise MediaError(address, reason="missing_picture")
    return picture(photo(len(address)))


def read(body: str) -> HtmlPage:
    return read_html(f"<html><head><title> A  page </title></head><body>{body}</body></html>", load)


def kinds(body: str) -> list[tuple[str, str]]:
    return [(block.kind, block.text or block.alt) for block in read(body).blocks]


def test_headings_paragraphs_pictures_and_captions_come_in_order() -> None:
    body = """<h1>Title</h1><p>First <b>bold</b>
    line.</p><figure><img src="a.jpg" alt="a dog"><figcaption>The dog</figcaption></figure><p>Second.</p>"""
    assert kinds(body) == [
        ("heading", "Title"), ("text", "First bold line."), ("picture", "a dog"), ("caption", "The dog"),
        ("text", "Second."),
    ]  # fmt: skip
    assert read(body).title == "A page"


def test_boilerplate_is_left_out_by_tag_role_name_and_links() -> None:
    body = """<nav>Home About</nav><div role="banner">Banner</div><div class="side-bar sidebar">More</div>
    <div id="cookie-consent">We use cookies.</div><ul><li><a href=1>One</a></li><li><a href=2>Two</a></li></ul>
    <div style="display: none">hidden</div><script>var x</script>
    <p>The text of the page, which is what one came for, with <a href=3>a link</a> in it.</p><footer>(c)</footer>"""
    page = read(body)
    assert [block.text for block in page.blocks] == [
        "The text of the page, which is what one came for, with a link in it."
    ]
    assert page.num_boilerplate >= 4


def test_a_part_that_is_the_page_stays_whatever_it_is_called() -> None:
    text = "Nearly all of the text of this page stands in a part with a bad name. " * 5
    assert kinds(f'<div class="comments">{text}</div><p>End.</p>')[0] == ("text", text.strip())


def test_the_main_part_is_the_page() -> None:
    body = f"<p>Something outside.</p><main><p>{'The main text. ' * 10}</p></main>"
    assert kinds(body) == [("text", ("The main text. " * 10).strip())]


def test_a_heading_over_navigation_goes_with_it() -> None:
    assert kinds("<p>Text.</p><h2>Related</h2><ul><li><a href=1>Other page</a></li></ul><h2>Next</h2><p>More.</p>") == [
        ("text", "Text."), ("heading", "Next"), ("text", "More."),
    ]  # fmt: skip


def test_lists_listings_and_tables_keep_their_form() -> None:
    body = """<ol><li>one<li>two</ol><ul><li>x</ul><pre>a
      b</pre><table><tr><th>k<th>v<tr><td>1<td>2</table><p>a<br>b</p>"""
    assert kinds(body) == [
        ("text", "1. one\n2. two\n- x"), ("text", "a\n      b"), ("table", "| k | v |\n| --- | --- |\n| 1 | 2 |"),
        ("text", "a\nb"),
    ]  # fmt: skip


def test_a_table_that_lays_out_the_page_is_read_through() -> None:
    assert kinds("<table><tr><td><h2>Head</h2><td><p>Text.</p></table>") == [("heading", "Head"), ("text", "Text.")]


def test_pictures_that_cannot_be_had_are_counted() -> None:
    page = read('<p>Text.</p><img src="no1"><img data-src="late.jpg" src="no2"><img>')
    assert page.pictures_left_out == {"missing_picture": 1, "no_address": 1}
    assert [block.kind for block in page.blocks] == ["text", "picture"]


def test_formulas_are_written_as_their_source() -> None:
    body = '<p>so <math alttext="x^2"><mi>x</mi></math> holds.</p>'
    assert kinds(body) == [("text", "so $x^2$ holds.")]


def test_chinese_lines_join_without_a_space() -> None:
    assert kinds("<p>命名\n管道 Linux\n系统</p>") == [("text", "命名管道 Linux 系统")]


def test_a_page_of_nothing_has_no_blocks() -> None:
    assert read_html("", load).blocks == [] and read("<div></div>").blocks == []


def test_deep_elements_are_walked_without_recursion() -> None:
    assert kinds("<div>" * 900 + "deep" + "</div>" * 900) == [("text", "deep")]
