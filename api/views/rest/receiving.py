"""A body that is a file: written to disk as it comes in, so that its size does not matter to memory."""

from __future__ import annotations

import codecs
import hashlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.http import UnreadablePostError
from rest_framework.request import Request

from labeling.formats.rows import LINE_LIMIT

from .errors import BadRequest, TooLarge, Unsupported

BLOCK = 1 << 18
JSON, ZIP = "application/json", "application/zip"
# content type → suffix of the stored file
FILES = {
    JSON: ".jsonl",
    "application/x-ndjson": ".jsonl",
    "application/jsonl": ".jsonl",
    "text/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "application/vnd.apache.parquet": ".parquet",
    ZIP: ".zip",
}


@dataclass
class Received:
    """A received file. It has what an upload through the browser has: name, size, chunks."""

    stream: IO[bytes]
    name: str
    size: int
    sha256: str

    def chunks(self) -> Iterator[bytes]:
        self.stream.seek(0)
        while block := self.stream.read(BLOCK):
            yield block

    def close(self) -> None:
        self.stream.close()


def receive(request: Request, kinds: tuple[str, ...]) -> Received:
    """Store the request's body in a temporary file. Raises Unsupported, TooLarge, BadRequest."""
    kind = (request.content_type or "").partition(";")[0].strip().lower()
    if kind not in kinds:
        raise Unsupported("bad_content_type", f"Send one of {', '.join(kinds)}.", known=list(kinds))
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Unsupported("bad_content_type", "Send the body as it is, without a content encoding.")
    announced = request.headers.get("Content-Length", "")
    if announced.isascii() and announced.isdigit() and int(announced) > settings.UPLOAD_MAX_BYTES:
        raise _too_large()
    folder = Path(settings.MEDIA_ROOT)
    folder.mkdir(parents=True, exist_ok=True)
    stream = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (closed by `Received.close`)
    try:
        blocks = _blocks(request)
        for block in json_lines(blocks) if kind == JSON else blocks:
            stream.write(block)
        size = stream.tell()
        if not size:
            raise BadRequest("empty", "The body is empty.")
        stream.seek(0)
        digest = hashlib.sha256()
        while block := stream.read(BLOCK):
            digest.update(block)
    except BaseException:
        stream.close()
        raise
    return Received(stream, f"rest{FILES[kind]}", size, digest.hexdigest())


def _too_large() -> TooLarge:
    limit = settings.UPLOAD_MAX_BYTES >> 20
    return TooLarge("too_large", f"At most {limit:,} MB can be sent at once. Split the file.", limit_mb=limit)


def _blocks(request: Request) -> Iterator[bytes]:
    """The body in pieces, never more than may be sent; also one without an announced length."""
    raw: Any = request._request
    source = raw.META.get("wsgi.input") if raw.META.get("wsgi.input_terminated") and not _length(raw) else None
    read = (source or raw).read
    total = 0
    try:
        while block := read(BLOCK):
            total += len(block)
            if total > settings.UPLOAD_MAX_BYTES:
                raise _too_large()
            yield block
    except (UnreadablePostError, OSError):
        raise BadRequest("broken_off", "The request broke off on its way. Send it again.") from None
    announced = _length(raw)
    if announced and total < announced:
        raise BadRequest("broken_off", "The request broke off on its way. Send it again.")


def _length(raw: Any) -> int:
    text = str(raw.META.get("CONTENT_LENGTH") or "")
    return int(text) if text.isascii() and text.isdigit() else 0


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Wrong("a key stands twice in one object")
    return made


class _Wrong(Exception):
    """What no further bytes can mend."""


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


def json_lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The items of a JSON array, or of {"items": […]}, as JSON lines; no more than one item is in memory at a time.

    >>> b"".join(json_lines(iter([b'{"items": [{"a": 1}, {"a"', b': 2}]}'])))
    b'{"a": 1}\\n{"a": 2}\\n'
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    text, ended = "", False

    def more() -> bool:
        nonlocal text, ended
        if ended:
            return False
        # As much again as waits already: a long item is then tried a few times and not once per block.
        wanted = max(1, len(text))
        try:
            while wanted > 0:
                block = next(blocks, None)
                if block is None:
                    ended = True
                    text += decoder.decode(b"", final=True)
                    return True
                piece = decoder.decode(block)
                wanted -= max(1, len(piece))
                text += piece
        except UnicodeDecodeError:
            raise BadRequest("bad_json", "The body is not UTF-8 text.") from None
        return True

    def skip(token: str) -> None:
        """Go past `token`, which must come next."""
        nonlocal text
        while len(text := text.lstrip(" \t\r\n")) < len(token) and more():
            pass
        if not text.startswith(token):
            raise _Wrong(f"{token} is expected")
        text = text[len(token) :]

    def upcoming() -> str:
        nonlocal text
        while not (text := text.lstrip(" \t\r\n")) and more():
            pass
        return text[:1]

    number = 0
    try:
        wrapped = upcoming() == "{"
        if wrapped:
            skip("{")
            skip('"items"')
            skip(":")
        skip("[")
        if upcoming() == "]":
            skip("]")
        else:
            while True:
                number += 1
                if upcoming() != "{":
                    raise _Wrong("an object is expected")
                while True:
                    try:
                        item, end = _DECODER.raw_decode(text)
                        break
                    except (ValueError, RecursionError) as error:
                        if isinstance(error, RecursionError):
                            raise _Wrong("it is nested too deeply") from None
                        if len(text) > LINE_LIMIT:
                            raise _Wrong(f"it is longer than {LINE_LIMIT:,} characters") from None
                        if not more():
                            raise _Wrong("it is not valid JSON") from None
                text = text[end:]
                yield json.dumps(item).encode() + b"\n"
                if upcoming() == "]":
                    skip("]")
                    break
                skip(",")
        if wrapped:
            skip("}")
        if upcoming():
            raise _Wrong("text follows after its end")
    except _Wrong as wrong:
        where = f"item {number}" if number else "the beginning"
        raise BadRequest(
            "bad_json", f'The body must be a JSON array of objects, or {{"items": […]}}; at {where}: {wrong}.'
        ) from None


__all__ = ["FILES", "JSON", "ZIP", "Received", "receive"]
