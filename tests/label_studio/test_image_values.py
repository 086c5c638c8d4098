"""What an image value says, whatever it is."""

from __future__ import annotations

import base64
from urllib.parse import parse_qs, urlsplit

import pytest

from pt4al_backend.errors import UnreadableImageError
from pt4al_backend.label_studio.image_values import (
    data_uri_bytes,
    file_name,
    image_name,
    is_data_uri,
    is_resolve_path,
    not_an_address,
    resolve_path,
    too_large,
)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("https://host:8080/x@2x/a@2x.png?sig=1", "https://host:8080/x@2x/a@2x.png"),
        ("http://[::1]:9000/a.png#x", "http://[::1]:9000/a.png"),
        ("a@2x.png", "a@2x.png"),
        ("s3://me:p4ss/word@bucket/a.png?versionId=1", "s3://bucket/a.png"),
        ("/data/local-files/?d=dir/a:b@c.png&sig=1", "/data/local-files/?d=dir/a:b@c.png"),
        ("/data/local-files/?sig=1", "/data/local-files/"),
        ("/tasks/3/resolve/?fileuri=-", "/tasks/3/resolve/"),
        ("data:image/png;base64,AAAA", ""),
        (["a.png"], ""),
        (" x\n" + "y" * 300, "x " + "y" * 198 + "…"),
    ],
)
def test_names_of_images(value: object, name: str) -> None:
    assert image_name(value) == name


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("/data/upload/3/1f-a.png", "/data/upload/3/1f-a.png"),
        ("https://me:secret@host:8080/x/a.png?sig=secret#x", "https://host:8080/x/a.png"),
        ("s3://me:p4ss/word@bucket/a.png?versionId=1", "s3://bucket/a.png"),
        ("/data/local-files/?d=dir/a%20b@c.png&sig=1", "dir/a b@c.png"),
        ("/studio/data/local-files?d=a.png", "a.png"),
        ("/data/local-files/?sig=1", "/data/local-files/"),
        (resolve_path("s3://bucket/a.png?sig=secret", task_id=3), "s3://bucket/a.png"),
        ("/tasks/3/resolve/?fileuri=-", "/tasks/3/resolve/"),
        ("data:image/png;base64,AAAA", ""),
        ("x" * 300 + "\n.png", "x" * 300 + " .png"),
    ],
)
def test_names_of_files_are_whole_and_without_secrets(value: str, name: str) -> None:
    assert file_name(value) == name


@pytest.mark.parametrize(
    ("uri", "data"),
    [
        ("data:image/png;base64,iVBORw0K", b"\x89PNG\r\n"),
        ("DATA:;BASE64,AAEC AwQ", bytes(range(5))),
        ("data:image/svg+xml,%3Csvg%20/%3E", b"<svg />"),
        ("data:image/png;base64,%41%41%45%43", bytes(range(3))),
        ("data:," + "x" * 1000, b"x" * 1000),
    ],
)
def test_data_uris(uri: str, data: bytes) -> None:
    assert is_data_uri(uri)
    assert data_uri_bytes(uri, limit=1000) == data


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("data:image/png;base64", "The data: URI has no comma, so it contains no data."),
        ("data:image/png;base64,!!!", "The data: URI is not valid base64."),
        ("data:," + "x" * 1001, too_large("The data: URI", 1000)),
        ("data:," + "%41" * 2000, too_large("The data: URI", 1000)),
    ],
)
def test_damaged_and_large_data_uris(uri: str, says: str) -> None:
    with pytest.raises(UnreadableImageError) as caught:
        data_uri_bytes(uri, limit=1000)
    assert str(caught.value) == says


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("", "is empty"),
        (None, "is a NoneType, not text"),
        (["/data/upload/1/a.png"], "is a list, not text"),
        ('["/data/upload/1/a.png"]', "is a list (of several images, or for valueList)"),
        ('{"url": "/data/upload/1/a.png"}', "is an object, not text"),
        ("file:///etc/passwd", "file: addresses are not fetched"),
        ("ftp://host/a.png", "ftp: addresses are not fetched"),
        ("C:\\images\\a.png", "c: addresses are not fetched"),
        ("upload/1/a.png?sig=abc", "upload/1/a.png is a bare path"),
    ],
)
def test_what_is_not_an_address_is_told_with_what_to_do(value: object, says: str) -> None:
    sentence = not_an_address(value)
    assert says in sentence
    assert sentence.endswith(".")
    assert "sig=abc" not in sentence


def test_an_address_of_a_storage_is_kept_in_the_path_that_resolves_it() -> None:
    uri = "s3://my-bucket/über dir/1.jpg?x=1"
    path = resolve_path(uri, task_id=42)
    assert is_resolve_path(urlsplit(path).path)
    assert base64.urlsafe_b64decode(parse_qs(urlsplit(path).query)["fileuri"][0]).decode() == uri
    assert image_name(path) == "s3://my-bucket/über dir/1.jpg"


@pytest.mark.parametrize(
    ("path", "resolves"),
    [
        ("/tasks/3/resolve/", True),
        ("/label-studio/projects/3/presign/", True),
        ("/tasks/3/resolve", False),
        ("/tasks/resolve/", False),
        ("/data/upload/3/resolve/", False),
    ],
)
def test_paths_at_which_a_storage_is_resolved(path: str, resolves: bool) -> None:
    assert is_resolve_path(path) is resolves
