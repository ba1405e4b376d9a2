"""Who may do what."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from fakes.s3_requests import BUCKET, KEY, SECRET, Raw, client, exchange, keys, refused


def test_requests_must_be_signed(store: Any, raw: Raw) -> None:
    answer = exchange(store.endpoint, b"GET /shotput-local/x HTTP/1.1\r\nhost: x\r\n\r\n")
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert answer.message == (
        "The request for GetObject is not signed. Sign it with the keys that `shotput farm env` prints."
    )


def test_a_wrong_secret_and_an_unknown_key_are_refused(store: Any) -> None:
    answer = Raw(store.endpoint, KEY, "wrong").send("GET", f"/{BUCKET}/x")
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    answer = Raw(store.endpoint, "AKIDOTHER", SECRET).send("GET", f"/{BUCKET}/x")
    assert (answer.status, answer.code) == (403, "InvalidAccessKeyId")
    assert answer.message == (
        "The access key AKIDOTHER is not known to this farm. Use the keys that `shotput farm env` prints."
    )


def test_signature_version_2_is_refused(store: Any) -> None:
    s3 = client(store.endpoint, signature_version="s3")
    answer = refused(s3.put_object, Bucket=BUCKET, Key="x", Body=b"")
    assert answer == ("AccessDenied", 403, "Only signature version 4 (AWS4-HMAC-SHA256) is accepted.")
    s3.close()


@pytest.mark.parametrize("skew", [timedelta(minutes=16), timedelta(minutes=-16)])
def test_old_and_early_requests_are_refused(store: Any, skew: timedelta) -> None:
    answer = Raw(store.endpoint, KEY, SECRET, skew=skew).send("GET", f"/{BUCKET}/x")
    assert (answer.status, answer.code) == (403, "RequestTimeTooSkewed")


def test_keys_come_and_go_while_the_store_runs(store: Any) -> None:
    raw = Raw(store.endpoint, "AKIDNEW", "new")
    assert raw.send("GET", f"/{BUCKET}").status == 403
    store.add_credentials("AKIDNEW", "new", bucket=BUCKET)
    assert raw.send("GET", f"/{BUCKET}").status == 200
    assert store.remove_credentials("AKIDNEW") is True
    assert store.remove_credentials("AKIDNEW") is False
    assert raw.send("GET", f"/{BUCKET}").status == 403


def test_temporary_keys_need_their_token(store: Any) -> None:
    store.add_credentials("ASIATEMP", "temp", "the token", bucket=BUCKET, expires_at=time.time() + 60)
    assert Raw(store.endpoint, "ASIATEMP", "temp", "the token").send("GET", f"/{BUCKET}").status == 200
    for token in (None, "another token", ""):
        answer = Raw(store.endpoint, "ASIATEMP", "temp", token).send("GET", f"/{BUCKET}")
        assert (answer.status, answer.code, answer.message) == (
            400,
            "InvalidToken",
            "The session token is not the one of access key ASIATEMP. Use key, secret and token of one set.",
        )
    answer = Raw(store.endpoint, KEY, SECRET, "a token that this key has not").send("GET", f"/{BUCKET}")
    assert answer.code == "InvalidToken"


def test_expired_keys_are_refused(store: Any) -> None:
    store.add_credentials("ASIATEMP", "temp", "token", bucket=BUCKET, expires_at=time.time() - 1)
    answer = Raw(store.endpoint, "ASIATEMP", "temp", "token").send("GET", f"/{BUCKET}")
    assert (answer.status, answer.code) == (400, "ExpiredToken")
    assert answer.message == "The access key ASIATEMP has expired. Ask for a new one."


def test_presigned_requests(store: Any) -> None:
    s3 = client(store.endpoint, signature_version="s3v4")
    s3.put_object(Bucket=BUCKET, Key="x", Body=b"hello")

    def get(url: str) -> Any:
        path = url.removeprefix(store.endpoint)
        host = store.endpoint.removeprefix("http://")
        return exchange(store.endpoint, f"GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())

    url = s3.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": "x"}, ExpiresIn=60)
    assert "X-Amz-Signature" in url
    assert get(url).body == b"hello"
    assert get(url.replace("/x?", "/y?")).code == "SignatureDoesNotMatch"
    short = s3.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": "x"}, ExpiresIn=1)
    time.sleep(2.1)
    assert (get(short).status, get(short).code, get(short).message) == (403, "AccessDenied", "Request has expired")
    store.add_credentials("ASIATEMP", "temp", "token", bucket=BUCKET)
    temporary = client(store.endpoint, "ASIATEMP", "temp", "token", signature_version="s3v4")
    assert get(temporary.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": "x"})).body == b"hello"
    temporary.close()
    stolen = client(store.endpoint, "ASIATEMP", "temp", signature_version="s3v4")
    assert get(stolen.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": "x"})).code == "InvalidToken"
    stolen.close()
    s3.close()


def test_a_key_for_a_folder_opens_nothing_else(store: Any, s3: Any) -> None:
    for key in ("Farm/x", "Farmer/x", "other"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"body")
    store.add_credentials("AKIDFARM", "farm", bucket=BUCKET, prefix="Farm")
    store.add_credentials("AKIDELSE", "else", bucket="another-bucket")
    farm, other = client(store.endpoint, "AKIDFARM", "farm"), client(store.endpoint, "AKIDELSE", "else")
    assert farm.get_object(Bucket=BUCKET, Key="Farm/x")["Body"].read() == b"body"
    assert keys(farm, Prefix="Farm/") == ["Farm/x"]
    farm.put_object(Bucket=BUCKET, Key="Farm/y", Body=b"")
    text = "This access key is for s3://shotput-local/Farm, not for s3://shotput-local/{}."
    # Keys are texts: this one lies in the folder, and is not the other object.
    assert refused(farm.get_object, Bucket=BUCKET, Key="Farm/../other")[0] == "NoSuchKey"
    for key in ("Farmer/x", "other"):
        assert refused(farm.get_object, Bucket=BUCKET, Key=key)[:2] == ("AccessDenied", 403)
        assert refused(farm.put_object, Bucket=BUCKET, Key=key, Body=b"")[:2] == ("AccessDenied", 403)
    for prefix in ("", "Farm", "Farmer/"):
        assert refused(farm.list_objects_v2, Bucket=BUCKET, Prefix=prefix) == ("AccessDenied", 403, text.format(prefix))
        assert refused(farm.list_objects, Bucket=BUCKET, Prefix=prefix)[0] == "AccessDenied"
        assert refused(farm.list_multipart_uploads, Bucket=BUCKET, Prefix=prefix)[0] == "AccessDenied"
    copy = {"CopySource": {"Bucket": BUCKET, "Key": "other"}, "Bucket": BUCKET, "Key": "Farm/z"}
    assert refused(farm.copy_object, **copy) == ("AccessDenied", 403, text.format("other"))
    done = farm.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "Farm/y"}, {"Key": "other"}]})
    assert [entry["Key"] for entry in done["Deleted"]] == ["Farm/y"]
    assert [(entry["Key"], entry["Code"]) for entry in done["Errors"]] == [("other", "AccessDenied")]
    assert refused(other.get_object, Bucket=BUCKET, Key="other")[0] == "AccessDenied"
    assert refused(other.list_objects_v2, Bucket=BUCKET)[0] == "AccessDenied"
    assert [bucket["Name"] for bucket in other.list_buckets()["Buckets"]] == ["another-bucket"]
    assert keys(s3) == ["Farm/x", "Farmer/x", "other"]
    farm.close()
    other.close()


def test_the_parameters_of_a_listing_cannot_hide_its_prefix(store: Any, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="other", Body=b"")
    store.add_credentials("AKIDFARM", "farm", bucket=BUCKET, prefix="Farm")
    raw = Raw(store.endpoint, "AKIDFARM", "farm")
    for query in ({"list-type": "2"}, {"prefix": "", "list-type": "2"}, {"Prefix": "Farm/", "list-type": "2"}, {}):
        assert raw.send("GET", f"/{BUCKET}", query).code == "AccessDenied"


def test_keys_that_only_read(store: Any, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="x", Body=b"body")
    store.add_credentials("AKIDREAD", "read", bucket=BUCKET, read_only=True)
    reader = client(store.endpoint, "AKIDREAD", "read")
    assert reader.get_object(Bucket=BUCKET, Key="x")["Body"].read() == b"body"
    assert keys(reader) == ["x"]
    denied = ("AccessDenied", 403, "The access key AKIDREAD may only read.")
    assert refused(reader.put_object, Bucket=BUCKET, Key="x", Body=b"") == denied
    assert refused(reader.delete_object, Bucket=BUCKET, Key="x") == denied
    assert refused(reader.delete_objects, Bucket=BUCKET, Delete={"Objects": [{"Key": "x"}]}) == denied
    assert refused(reader.create_multipart_upload, Bucket=BUCKET, Key="y") == denied
    assert refused(reader.copy_object, Bucket=BUCKET, Key="y", CopySource={"Bucket": BUCKET, "Key": "x"}) == denied
    reader.close()
