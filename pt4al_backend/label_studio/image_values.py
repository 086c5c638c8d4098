"""What the image value of a task says: where its image is and what to call it, or the image itself (a `data:` URI).

Image values come from whoever imported the tasks: some hold secrets, and some say nothing of use.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
from urllib.parse import parse_qs, unquote_to_bytes

from pt4al_backend.errors import UnreadableImageError

STORAGE_SCHEMES = ("s3", "gs", "azure-blob")
"""The schemes of Label Studio's import storages."""


def image_name(value: object) -> str:
    """The name of an image for messages: the file that an image value leads to, without secrets.

    If the query contains the file, as with Local files and when Label Studio resolves a storage, it is part of the
    name. "" if there is no name: for a data: URI, and for a value that is not text.
    """
    text = value.strip() if isinstance(value, str) else ""
    path, _, query = text.partition("?")
    if file := _local_file(path, query):
        return f"{without_secrets(path)}?d={without_secrets(file)}"
    return _shortened(file_name(text))


def file_name(value: str) -> str:
    """The path or the address of the file that an image value leads to, without secrets and not shortened.

    Of Local files it is the path in their directory. "" for a data: URI.
    """
    text = value.strip()
    if is_data_uri(text):
        return ""
    path, _, query = text.partition("?")
    if file := _local_file(path, query):
        return _bare(file)
    if is_resolve_path(path):
        uri = parse_qs(query).get("fileuri", [""])[0]
        with contextlib.suppress(ValueError):  # it is not one of Label Studio's
            return _bare(base64.urlsafe_b64decode(uri).decode()) or _bare(path)
    return _bare(text)


def without_secrets(text: str) -> str:
    """`text` without query, fragment and user:password, printable and short."""
    return _shortened(_bare(text))


def _local_file(path: str, query: str) -> str:
    """The file of Local files that an address leads to, "" if it is another address."""
    is_local = re.search(r"/data/local-files/?$", path)
    return parse_qs(query).get("d", [""])[0] if is_local else ""


def _bare(text: str) -> str:
    bare = re.split(r"[?#]|%3[fF]|%23", text, maxsplit=1)[0]
    bare = re.sub(r"(^|//)[^/@]*:(?!\d+/|//)[^@]*@|(?<=//)[^/]*@", r"\1", bare)
    bare = re.sub(r"(//[^/:\[]*):(?!\d*(?:/|$))[^/]*", r"\1", bare)  # anything but a port may be half a password
    return "".join(letter if letter.isprintable() else " " for letter in bare)


def _shortened(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"


def not_an_address(value: object) -> str:
    """The message about an image value that is not an address."""
    if not isinstance(value, str):
        return f"The task's image is a {type(value).__name__}, not text: give the address of one image."
    if not value:
        return "The task's image is empty: give the address of an image."
    if value.startswith("["):  # a value that is not text comes as JSON
        return (
            "The task's image is a list (of several images, or for valueList), but PT4AL learns from one image per "
            "task: import one task per image, with only the address of that image."
        )
    if value.startswith("{"):
        return "The task's image is an object, not text: give the address of one image."
    use = "use an upload, an http(s) address, or a storage connected in Label Studio"
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", value)
    if scheme:
        return f"{scheme[1].lower()}: addresses are not fetched; {use}."
    return f"{without_secrets(value)} is a bare path, which does not say where the image is; {use}."


def too_large(name: str, limit: int) -> str:
    """The message about an image of more than `limit` bytes."""
    return f"{name}: larger than {limit:,} bytes, the limit for one image."


def is_data_uri(text: str) -> bool:
    """Whether an image value contains the image."""
    return text[:5].lower() == "data:"


def data_uri_bytes(uri: str, *, limit: int) -> bytes:
    """The bytes of a data: URI; if it is base64, padding is optional and spaces are allowed, as in browsers.

    Raises:
        UnreadableImageError: It is damaged, or has more than `limit` bytes.
    """
    head, comma, payload = uri[5:].partition(",")
    if not comma:
        raise UnreadableImageError("The data: URI has no comma, so it contains no data.")
    if len(payload) > 4 * limit:  # percent-encoding takes 3 characters per byte
        raise UnreadableImageError(too_large("The data: URI", limit))
    data = unquote_to_bytes(payload.encode("utf-8", "replace"))
    if head.rstrip().lower().endswith(";base64"):
        digits = b"".join(data.split()).rstrip(b"=")
        try:
            data = base64.b64decode(digits + b"=" * (-len(digits) % 4), validate=True)
        except binascii.Error:
            raise UnreadableImageError("The data: URI is not valid base64.") from None
    if len(data) > limit:
        raise UnreadableImageError(too_large("The data: URI", limit))
    return data


def resolve_path(uri: str, *, task_id: int) -> str:
    """The path and query at which Label Studio redirects to the file of an import storage."""
    return f"/tasks/{task_id}/resolve/?fileuri={base64.urlsafe_b64encode(uri.encode('utf-8', 'replace')).decode()}"


def is_resolve_path(path: str) -> bool:
    """Whether Label Studio resolves a storage at this path; it may begin with a sub-path or an address."""
    return re.search(r"/(tasks|projects)/\d+/(resolve|presign)/$", path) is not None
