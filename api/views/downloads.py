"""A file that never changes, sent whole or in part: strong ETag, Range, HEAD."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.cache import patch_cache_control
from django.utils.http import content_disposition_header, parse_etags

PIECE = 1 << 18
ONE_RANGE = re.compile(r"bytes=(\d*)-(\d*)\s*")


def requested_range(header: str, size: int) -> tuple[int, int] | bool | None:
    """(first, last) of a single byte range; None when the whole file is to be sent; False when it lies outside.

    Several ranges at once are answered with the whole file, as RFC 9110 allows.
    """
    match = ONE_RANGE.fullmatch(header.strip())
    if match is None or match.group(1) == match.group(2) == "":
        return None
    if match.group(1) == "":
        length = int(match.group(2))
        return (max(0, size - length), size - 1) if length and size else False
    first = int(match.group(1))
    last = min(int(match.group(2)), size - 1) if match.group(2) else size - 1
    if first >= size:
        return False
    return (first, last) if first <= last else None


def send_file(request: HttpRequest, path: Path, *, sha256: str, content_type: str, name: str) -> HttpResponseBase:
    """The file's answer: 200, 206 for a range, 304 when the client has it, 416 for a range outside.

    The ETag is the sha256 of the content, so a client can resume a cut download and knows when it has it whole.
    """
    etag = f'"{sha256}"'
    size = path.stat().st_size
    # `W/` never equals a strong tag, so a weak one is no match: the bytes are what is promised.
    known = parse_etags(request.headers.get("If-None-Match", ""))
    response: HttpResponseBase
    if etag in known or known == ["*"]:
        response = HttpResponse(status=304)
    else:
        header = request.headers.get("Range", "")
        condition = request.headers.get("If-Range", "")
        asked = (
            requested_range(header, size) if header and condition in ("", etag) and request.method == "GET" else None
        )
        if asked is False:
            response = HttpResponse(status=416)
            response["Content-Range"] = f"bytes */{size}"
        elif isinstance(asked, tuple):
            first, last = asked
            response = StreamingHttpResponse(_pieces(path.open("rb"), first, last), status=206)
            response["Content-Range"] = f"bytes {first}-{last}/{size}"
            response["Content-Length"] = str(last - first + 1)
        elif request.method == "HEAD":
            response = HttpResponse()
            response["Content-Length"] = str(size)
        else:
            response = FileResponse(path.open("rb"))
            response["Content-Length"] = str(size)
        response["Content-Type"] = content_type
        response["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    response["ETag"] = etag
    response["Accept-Ranges"] = "bytes"
    response["X-Content-Type-Options"] = "nosniff"
    patch_cache_control(response, private=True, max_age=0, must_revalidate=True)
    return response


def _pieces(file: IO[bytes], first: int, last: int) -> Iterator[bytes]:
    with file:
        file.seek(first)
        left = last - first + 1
        while left > 0 and (piece := file.read(min(PIECE, left))):
            left -= len(piece)
            yield piece
