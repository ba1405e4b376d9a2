"""Proxies and certificates: calls to AWS go through both, calls to this machine through neither."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.deadline_service import FARM, JOB, STS_IDENTITY, DeadlineService
from fakes.tls_proxy import HAS_OPENSSL, Certificates, TlsProxy
from job_bundles import Bundle
from shotput import _native
from shotput.errors import ServiceError

DEAD = "http://127.0.0.1:9"
DEADLINE = "management.deadline.us-west-2.amazonaws.com"
SCHEDULING = "scheduling.deadline.us-west-2.amazonaws.com"
STS = "sts.us-west-2.amazonaws.com"
S3 = "studio.s3.us-west-2.amazonaws.com"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    if not HAS_OPENSSL:
        pytest.skip("makes certificates with openssl, which is not installed")
    return Certificates.make(tmp_path_factory.mktemp("tls") / "certificates", [DEADLINE, SCHEDULING, STS, S3])


@pytest.fixture
def proxy(
    service: DeadlineService, configured: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TlsProxy]:
    """AWS itself, as far as a client behind the proxy can tell: no endpoint is set."""
    for name in ("DEADLINE", "STS", "S3", "CLOUDWATCHLOGS"):
        monkeypatch.delenv(f"AWS_ENDPOINT_URL_{name}")
    with TlsProxy(certificates, service._server.RequestHandlerClass) as running:
        yield running


def through(proxy: TlsProxy, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets proxy and certificates, in the configuration or in the environment."""
    if how == "settings":
        monkeypatch.setenv("HTTPS_PROXY", DEAD)
        monkeypatch.setenv("AWS_CA_BUNDLE", "/nowhere/ca.pem")
        _native.set_setting("settings.https_proxy", proxy.url)
        _native.set_setting("settings.ca_bundle", str(proxy.certificates.authority))
    else:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(proxy.certificates.authority))
    monkeypatch.setenv("HTTP_PROXY", DEAD)


@pytest.mark.parametrize("how", ["settings", "environment"])
def test_the_service(how: str, service: DeadlineService, proxy: TlsProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    through(proxy, how, monkeypatch)
    assert _native.get_farm(FARM)["farmId"] == FARM
    assert proxy.tunnels == [f"{DEADLINE}:443"]
    assert service.requests[0].headers["host"] == DEADLINE


@pytest.mark.parametrize("how", ["settings", "environment"])
def test_a_submission_with_files(
    how: str, service: DeadlineService, bundle: Bundle, proxy: TlsProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    through(proxy, how, monkeypatch)
    service.queue["jobAttachmentSettings"] = {"s3BucketName": "studio", "rootPrefix": "Root"}
    service.answer("PUT", "/Root/.*", body={})
    service.answer("POST", "/", body=STS_IDENTITY)
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"filenames": ["template.yaml"]}}})
    assert _native.create_job_from_job_bundle({"job_bundle_dir": str(bundle.folder)}) == {"job_id": JOB}
    assert {tunnel.split(":")[0] for tunnel in proxy.tunnels} == {DEADLINE, STS, S3}
    stored = [request for request in service.requests if request.method == "PUT"]
    assert len(stored) == 2
    assert {request.headers["host"] for request in stored} == {S3}


def test_a_certificate_that_is_not_trusted(
    proxy: TlsProxy, service: DeadlineService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    with pytest.raises(ServiceError) as caught:
        _native.get_farm(FARM)
    text = str(caught.value)
    assert text.startswith("GetFarm got no answer from Deadline Cloud in us-west-2: ")
    assert "certificate" in text
    assert text.endswith(" Check the network, the proxy and the endpoint.")
    assert service.requests == []


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"])
def test_this_machine_is_reached_past_a_dead_proxy(
    variable: str, service: DeadlineService, bundle: Bundle, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, DEAD)
    _native.set_setting("settings.https_proxy", DEAD)
    bundle.write("asset_references.yaml", {"assetReferences": {"inputs": {"filenames": ["template.yaml"]}}})
    assert _native.create_job_from_job_bundle({"job_bundle_dir": str(bundle.folder)}) == {"job_id": JOB}
    assert list(bucket.rglob("*xxh128*"))
    client = _native.TelemetryClient()
    client.record_event("a", {})
    client.close()
    assert service.sent("POST", "/telemetry")


def test_aws_is_not_reached_past_a_dead_proxy(proxy: TlsProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    through(proxy, "settings", monkeypatch)
    _native.set_setting("settings.https_proxy", DEAD)
    assert _native.check_api_available() is False
    assert proxy.tunnels == []
