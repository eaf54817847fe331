"""Bodies that are compressed: gzip and deflate, as Triton's clients offer them.

https://www.rfc-editor.org/rfc/rfc9110#section-8.4
"""

import zlib

from .errors import Refused
from .http import Response, header

# What zlib makes of a byte at most: https://zlib.net/zlib_tech.html
GROWTH = 1032
# zlib's window bits of each coding, with its header.
_CODINGS = {b"gzip": 31, b"deflate": 15}
# Answers below are sent as they are: packing would take longer than sending.
PACKED_BYTES = 4096
_GZIP = header("content-encoding", "gzip") + header("vary", "accept-encoding")


def decoded(body: bytes | bytearray, coding: bytes, limit: int) -> bytes | bytearray:
    """A body without its coding.

    Args:
        body: as it came.
        coding: its header Content-Encoding.
        limit: bytes that it may have in the end.
    Raises:
        Refused: the coding is unknown, the body is not in it, or is too long.
    """
    coding = coding.strip().lower()
    if coding == b"identity":
        return body
    bits = _CODINGS.get(coding)
    if bits is None:
        raise Refused("of codings the server knows gzip and deflate; send the body in one", 415)
    machine = zlib.decompressobj(bits)
    try:
        found = machine.decompress(body, limit + 1)
    except zlib.error:
        raise Refused(f"the body is not {coding.decode()}") from None
    if len(found) > limit:
        raise Refused(f"the body has more than {limit} bytes", 413)
    if not machine.eof or machine.unused_data:
        raise Refused(f"the body is not one whole of {coding.decode()}")
    return found


def accepted(codings: bytes) -> bool:
    """Whether a header Accept-Encoding has gzip, and not as what is not wanted."""
    for each in codings.lower().split(b","):
        name, _, weight = each.replace(b" ", b"").partition(b";q=")
        if name in (b"gzip", b"*"):
            return not weight or weight.strip(b"0.") != b""
    return False


def encoded(response: Response) -> Response:
    """The same response, packed where that is worth it."""
    if len(response.body) < PACKED_BYTES:
        return response
    packed = zlib.compress(response.body, 1, wbits=31)
    return Response(response.status, response.head + _GZIP, packed)
