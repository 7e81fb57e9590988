"""Encoded inputs in the forms that people send: base64 of every kind, data URLs, whole bodies, multipart forms."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import parse_qsl, unquote_to_bytes

from premodel.errors import InputError
from premodel.fields import shown

JSON_STARTS = frozenset(b'{["-0123456789tfnNI\xef\xfe')
"""First bytes of JSON in any encoding of Unicode, and of a byte order mark."""
_BOX = re.compile(rb"\0\0..ftyp", re.DOTALL)
_BLANKS = str.maketrans("", "", " \t\r\n")
MAX_FORM_PARTS = 10_000
CODED_FORM = "application/x-www-form-urlencoded"
"""The type of a form's coded fields, and of all that curl sends where no other is given."""
_CODED_TEXT = re.compile(rb"\s*[\w.\[\]-]+=|[^%]*%[0-9A-Fa-f]{2}")
_CODED_FILE = re.compile(rb"\s*(?:image|file|data)=")


def decode_element(item: Any, where: str) -> bytes:
    """The bytes of one JSON element: base64 (also URL-safe, wrapped, without padding), a data URL, {"b64": ...}.

    Raises
    ------
    InputError
        It is none of these; `where` names it.
    """
    if isinstance(item, Mapping):
        if set(item) != {"b64"}:
            raise InputError("element is a table", where=where, given=shown(item), allowed='{"b64": ...}, or base64')
        item = item["b64"]
    if not isinstance(item, str):
        raise InputError("element must be text", where=where, given=shown(item), allowed="base64")
    if item[:5].lower() == "data:":
        return _data_url(item, where)
    if "://" in item[:12]:
        _no_base64("it is a URL, and the server fetches nothing", where)
    return decode_base64(item, where)


def decode_base64(text: str, where: str) -> bytes:
    """Base64 of the usual or the URL-safe alphabet, in one line or wrapped, with or without its padding."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        reason = error
    plain = text.translate(_BLANKS).rstrip("=")
    if ("-" in plain or "_" in plain) and not ("+" in plain or "/" in plain):
        plain = plain.replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        _no_base64(str(reason), where)


def _no_base64(reason: str, where: str) -> NoReturn:
    raise InputError(
        f"element must be base64 ({reason})",
        where=where,
        do="send the encoded image as base64 text in JSON, or as binary data",
    )


def _data_url(text: str, where: str) -> bytes:
    head, comma, content = text.partition(",")
    if not comma:
        raise InputError("data URL has no comma", where=where, given=shown(text[:60]), allowed="data:TYPE;base64,...")
    if head.rstrip().lower().endswith(";base64"):
        return decode_base64(unquote_to_bytes(content).decode("latin-1") if "%" in content else content, where)
    return unquote_to_bytes(content)


def is_encoded(body: bytes) -> bool:
    """Is a whole body an encoded input: does it begin as no JSON text does."""
    start = body.lstrip(b" \t\r\n")[:12]
    if not start or start[:1] == b"\0":  # UTF-16 and UTF-32 begin so, and the box of an AVIF
        return bool(_BOX.match(body))
    return start[0] not in JSON_STARTS


def refuse_coded_form(body: bytes, noun: str, *, is_text: bool) -> None:
    """Refuse a body of type CODED_FORM that is such a form; curl gives that type to whole inputs as well.

    A text is taken for a form where it begins with a name and "=", or holds a coded character: what its sender meant
    by "%" and "+" is not known, so it is not decoded.

    Raises
    ------
    InputError
        It is such a form; the message states what to send.
    """
    if body.lstrip().startswith(b"{") or not (_CODED_TEXT if is_text else _CODED_FILE).match(body):
        return
    whole = (
        f'the {noun} as the body with Content-Type: text/plain (curl --data-binary "..." -H "Content-Type: text/plain")'
        if is_text
        else f"the encoded {noun} as the body (curl --data-binary @FILE)"
    )
    field = f'curl -F {noun}="..."' if is_text else f"curl -F {noun}=@FILE"
    raise InputError(
        "a form of coded fields is not read", given=shown(body[:60].decode("utf-8", "replace")),
        do=f"send {whole}, or a multipart form ({field})",
    )  # fmt: skip


def decode_whole(body: bytes, noun: str) -> bytes:
    """The encoded input that is a whole body; one in text (a data URL or base64) is decoded."""
    if body[:5].lower() == b"data:":
        return _data_url(body.decode("latin-1").strip(), noun)
    return body


def query_options(query: bytes, names: Mapping[str, str]) -> dict[str, Any]:
    """Options of a query string by name.

    Parameters
    ----------
    query:
        As received.
    names:
        Those that may be there -> "number", "flag" or "text".

    Raises
    ------
    InputError
        A name is unknown or stands there twice, or its value is of another kind.
    """
    return _options(parse_qsl(query.decode("latin-1"), keep_blank_values=True), names, "query string")


def _options(pairs: list[tuple[str, str]], names: Mapping[str, str], where: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, text in pairs:
        if name not in names or name in found:
            what = "option is given twice" if name in found else "unknown option"
            raise InputError(what, where=where, given=shown(name), allowed=", ".join(names))
        found[name] = _value(name, text, names[name], where)
    return found


def _value(name: str, text: str, kind: str, where: str) -> Any:
    if kind == "flag":
        truth = {"": True, "1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
        if text.lower() in truth:
            return truth[text.lower()]
        raise InputError(f"{name} must be true or false", where=where, given=shown(text), allowed="true, false")
    if kind == "text":
        return text
    try:
        return float(text)
    except ValueError as error:
        raise InputError(
            f"{name} must be a number", where=where, given=shown(text), allowed="a number from 0"
        ) from error


def read_form_data(
    body: bytes, content_type: str, names: Mapping[str, str], max_parts: int, field_name: str = ""
) -> tuple[list[bytes], dict[str, Any]]:
    """The files of a multipart form, and the options among its fields.

    Parameters
    ----------
    body:
        As received.
    content_type:
        With the boundary.
    names:
        As of `query_options`.
    max_parts:
        Files and fields together.
    field_name:
        Of fields that are inputs themselves, as texts may be; empty for none.

    Raises
    ------
    InputError
        It is no multipart form, or a field is no option.
    """
    match = re.search(r'boundary=(?:"([^"]+)"|([^;\s]+))', content_type, re.IGNORECASE)
    boundary = (match[1] or match[2]) if match else ""
    if not boundary:
        raise InputError("multipart form has no boundary", given=shown(content_type[:100]))
    mark = b"--" + boundary.encode("latin-1", "replace")
    pieces = (b"\r\n" + body).split(b"\r\n" + mark)
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise InputError("multipart form is cut off, or its boundary is another", given=f"{len(body)} bytes")
    if len(pieces) - 2 > max_parts:
        raise InputError("multipart form has too many parts", given=len(pieces) - 2, allowed=f"up to {max_parts}")
    files: list[bytes] = []
    fields: list[tuple[str, str]] = []
    for piece in pieces[1:-1]:
        head, blank, content = piece.partition(b"\r\n\r\n")
        if not blank:
            raise InputError("part of the multipart form has no head")
        text = head.decode("latin-1")
        name = re.search(r'[;\s]name=(?:"([^"]*)"|([^;\s]+))', text, re.IGNORECASE)
        said = (name[1] if name[1] is not None else name[2]) if name else ""
        is_file = re.search(r"[;\s]filename\*?=", text, re.IGNORECASE) is not None
        if is_file or (field_name and said == field_name) or (said not in names and _is_binary(text)):
            files.append(content)
        else:
            fields.append((said, content.decode("utf-8", "replace")))
    if not files:
        raise InputError("multipart form has no file", given=", ".join(shown(name) for name, _ in fields) or "nothing")
    return files, _options(fields, names, "multipart form")


def _is_binary(head: str) -> bool:
    kind = re.search(r"^content-type:\s*([^;\s]+)", head, re.IGNORECASE | re.MULTILINE)
    return kind is not None and kind[1].lower().startswith(("image/", "application/octet-stream"))
