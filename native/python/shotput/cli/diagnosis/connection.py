"""Where calls go, whether anything answers there, and whom it takes the caller for."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

from shotput import _native
from shotput.auth import AwsCredentialsSource
from shotput.cli.diagnosis.questions import (
    Answer,
    Finding,
    Level,
    Questions,
    counted,
    failed,
    ok,
    parted,
    unknown,
    warning,
)
from shotput.errors import ConfigError

# Signatures with a time that is farther off are refused.
_REFUSED_CLOCK = 300.0
_DOUBTFUL_CLOCK = 60.0

_NAMES = {"deadline": "Deadline Cloud", "s3": "the bucket's service", "sts": "STS", "logs": "CloudWatch Logs"}


def without_password(url: str) -> str:
    """A URL that may be shown."""
    return re.sub(r"(?<=//)[^/@]*@", "", url)


def resolve(target: dict[str, Any] | None) -> tuple[dict[str, Any] | None, list[Finding]]:
    """Where calls go, without keys; ``None`` and why not when it is not known."""
    try:
        found: dict[str, Any] = _native.resolve_target(target=target)
    except ConfigError as error:
        what, then = parted(str(error))
        return None, [failed("target.configuration", what, then)]
    return found, []


def configuration(place: dict[str, Any], target: dict[str, Any] | None) -> Finding:
    """What the configuration, or the local farm, says about the target."""
    if target is not None:
        return ok("target.configuration", f"the local farm at {target['endpoint_url']}", place)
    profile = f"the AWS profile {place['profile']}" if place["profile"] else "no AWS profile by name"
    for what in ("farm", "queue"):
        if not place[f"{what}_id"]:
            return failed(
                "target.configuration",
                f"no {what} is chosen (region {place['region']}, {profile})",
                f"Choose one: shotput config set defaults.{what}_id {what}-…",
                place,
            )
    found = f"{place['farm_id']}, {place['queue_id']} in {place['region']}, {profile}"
    return ok("target.configuration", found, place)


async def network(questions: Questions, place: dict[str, Any]) -> tuple[bool, list[Finding]]:
    """Whether the service can be reached, and what was found on the way.

    A local farm shares this machine's clock, and no proxy is between.
    """
    names = ("deadline", "s3", "sts", "logs")
    answers = await asyncio.gather(
        *(questions.ask(_native.reach_service, name, timeout=questions.timeout) for name in names)
    )
    reached = dict(zip(names, answers, strict=True))
    findings = [_reached(name, place["endpoints"][name], answer) for name, answer in reached.items()]
    findings += [_proxy(place, reached), *_certificates(place)]
    if questions.target is None:
        findings.append(_clock(reached["deadline"]))
    return reached["deadline"].error is None, findings


def _reached(name: str, url: str, answer: Answer) -> Finding:
    check = f"network.{name}"
    if answer.error is None:
        return ok(check, f"{url} answered in {answer.value['seconds']:.2f} s", answer.value)
    found, then = answer.explained()
    # Without logs a submission goes through.
    return Finding(check, Level.WARNING if name == "logs" else Level.FAILED, without_password(found), then)


def _proxy(place: dict[str, Any], reached: dict[str, Answer]) -> Finding:
    used = {answer.value["proxy"] for answer in reached.values() if answer.error is None} - {None}
    if place["proxy"]:
        used.add(place["proxy"])
    origin = "settings.https_proxy" if place["proxy"] else "HTTPS_PROXY, HTTP_PROXY"
    found = ", ".join(sorted(without_password(proxy) for proxy in used))
    return ok("network.proxy", f"{found} ({origin})" if found else "none", found or None)


def _certificates(place: dict[str, Any]) -> list[Finding]:
    if not any(url.startswith("https:") for url in place["endpoints"].values()):
        return []
    path, check = place["ca_bundle"], "network.certificates"
    if path is None:
        return [ok(check, "those of the system")]
    then = "Set settings.ca_bundle or AWS_CA_BUNDLE to a PEM file of certificates."
    try:
        text = Path(path).read_text("utf-8", "replace")
    except OSError as error:
        return [failed(check, f"{path} cannot be read: {error.strerror}", then, path)]
    count = text.count("-----BEGIN CERTIFICATE-----")
    if not count:
        return [failed(check, f"{path} holds no certificate", then, path)]
    return [ok(check, f"{count} in {path}", path)]


def _clock(answer: Answer) -> Finding:
    check = "network.clock"
    ahead = answer.value["clock_ahead"] if answer.error is None else None
    if ahead is None:
        return unknown(check, "not known: the service did not say what time it is")
    if abs(ahead) < 2:
        return ok(check, "right, to 2 s", ahead)
    found = f"this machine's clock is {abs(ahead):.0f} s {'behind' if ahead > 0 else 'ahead'}"
    if abs(ahead) < _DOUBTFUL_CLOCK:
        return ok(check, found, ahead)
    then = "Set the clock, or have it set by the network (NTP): signatures that are 5 minutes off are refused."
    return (failed if abs(ahead) >= _REFUSED_CLOCK else warning)(check, found, then, ahead)


async def identity(questions: Questions, place: dict[str, Any]) -> tuple[bool, list[Finding]]:
    """Whether there are keys to ask with, and whom the service takes the caller for."""
    source = place["credentials_source"]
    farms, caller = await asyncio.gather(
        questions.ask(_native.list_farms, tries="ListFarms"),
        questions.ask(_native.get_caller_identity),
    )
    findings = [_credentials(place, source, questions.target), _login(farms, caller, source)]
    if farms.lacks_keys:
        return False, findings
    return True, [*findings, _caller(caller)]


def _credentials(place: dict[str, Any], source: str, target: dict[str, Any] | None) -> Finding:
    check, profile = "identity.credentials", place["profile"]
    if target is not None:
        return ok(check, "the key of the local farm", source)
    if source == AwsCredentialsSource.DEADLINE_CLOUD_MONITOR_LOGIN:
        return ok(check, f"a login of the Deadline Cloud monitor, profile {profile or '(default)'}", source)
    if source == AwsCredentialsSource.AWS_CONSOLE_LOGIN:
        return ok(check, f"a sign-in to the AWS console, profile {profile or '(default)'}", source)
    found = f"the AWS profile {profile}" if profile else "the AWS tools' own order: environment, files, roles"
    return ok(check, found, source)


def _login(farms: Answer, caller: Answer, source: str) -> Finding:
    check = "identity.login"
    if farms.error is None:
        return ok(check, f"AUTHENTICATED, and sees {counted(len(farms.value['farms']), 'farm')}", "AUTHENTICATED")
    found, then = farms.explained()
    if farms.is_silence:
        return unknown(check, found, then)
    if source in (AwsCredentialsSource.DEADLINE_CLOUD_MONITOR_LOGIN, AwsCredentialsSource.AWS_CONSOLE_LOGIN):
        return failed(check, f"NEEDS_LOGIN: {found}", "Log in: shotput login", "NEEDS_LOGIN")
    if source == AwsCredentialsSource.AWS_CONSOLE_LOGIN and caller.error is not None:
        return failed(check, f"CONFIGURATION_ERROR: {found}", "Sign in again: aws login", "CONFIGURATION_ERROR")
    if farms.is_refused and not farms.is_about_keys and caller.error is None:
        # The keys hold; whether the farm itself may be used is asked next.
        return ok(check, "the keys are taken; ListFarms is not allowed", "AUTHENTICATED")
    return failed(check, f"CONFIGURATION_ERROR: {found}", then, "CONFIGURATION_ERROR")


def _caller(caller: Answer) -> Finding:
    check = "identity.caller"
    if caller.error is None:
        return ok(check, f"{caller.value['arn']}, account {caller.value['account']}", caller.value)
    return caller.finding(check)


def farms_to_choose(questions: Questions) -> str:
    """The farms that were listed, for somebody who has to choose one."""
    listed = questions.rights.get("ListFarms")
    farms = listed.value["farms"] if listed is not None and listed.error is None else []
    return ", ".join(f"{farm['farmId']} ({farm['displayName']})" for farm in farms[:5])
