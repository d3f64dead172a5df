"""Markdown that people write, as HTML that is safe to show to others."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import nh3
from django.urls import Resolver404, resolve
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

TAGS = {
    "p", "br", "hr", "h3", "h4", "h5", "h6", "strong", "em", "s", "code", "pre", "blockquote", "ul", "ol", "li",
    "a", "img", "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip
ATTRIBUTES = {"a": {"href", "title"}, "img": {"src", "alt"}, "ol": {"start"}}
# The page has its own h1, and the definition's title is an h2.
HEADING_SHIFT, LOWEST_HEADING = 2, 6


def picture_allowed(source: str) -> bool:
    """Whether a picture may be shown: only files of items, which are served with permission.

    A picture from elsewhere would tell that site who reads the definition, and could change after publishing.
    """
    if not source.startswith("/") or source.startswith("//"):
        return False
    try:
        return resolve(source).view_name == "labeling:item_file"
    except Resolver404:
        return False


def _picture(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    token = tokens[index]
    source, words = str(token.attrs.get("src", "")), token.content
    if not picture_allowed(source):
        return f"<em>[picture not shown: {escape(words or source)}]</em>"
    return f'<img src="{escape(source)}" alt="{escape(words)}">'


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False, "breaks": True}).enable(
        ["table", "strikethrough"]
    )
    parser.add_render_rule("image", _picture)
    return parser


def render_markdown(text: str) -> SafeString:
    """The text as safe HTML: no raw HTML, no scripts, no addresses but http, https and mailto, no foreign pictures.

    Headings come out two levels lower, below the page's own.
    """
    parser = _parser()
    tokens = parser.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + HEADING_SHIFT, LOWEST_HEADING)}"
    html = parser.renderer.render(tokens, parser.options, {})
    clean = nh3.clean(
        html,
        tags=TAGS,
        attributes=ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )
    return mark_safe(clean)


def refused_pictures(text: str) -> list[str]:
    """Sources of the pictures in the text that `render_markdown` does not show."""
    found = []
    for token in _parser().parse(text):
        for child in token.children or []:
            if child.type == "image" and not picture_allowed(str(child.attrs.get("src", ""))):
                found.append(str(child.attrs.get("src", "")))
    return found
