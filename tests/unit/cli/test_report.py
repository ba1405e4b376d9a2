"""What goes into a bug report, and what never does."""

from __future__ import annotations

import json
import re
import string
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shotput import local_farm
from shotput.cli.failure import CommandFailure
from shotput.cli.redaction import redact
from shotput.cli.report import report

PLAIN = string.ascii_letters + string.digits + "/+=_.%!$*~^#?"
URL = string.ascii_letters + string.digits + "@:+=_.%!$*~-"
QUOTED = PLAIN + " ,;&}{)(]['\"\\<>|@:-"

# How a secret stands in logs: in quotes of all kinds, where it may have spaces and quotes of its own, ...
IN_QUOTES: list[Callable[[str], str]] = [
    lambda s: json.dumps({"secretAccessKey": s, "region": "x"}),
    lambda s: json.dumps({"body": json.dumps({"SessionToken": s.replace("\\", "").replace('"', "")})}),
    lambda s: repr({"secret_access_key": s, "n": 1}),
    lambda s: repr({"Authorization": "Bearer " + s}),
    lambda s: f"export API_KEY={json.dumps(s)}",
    lambda s: f"--password {json.dumps(s)} --verbose",
    lambda s: f"db_password: {s!r}",
    lambda s: f"Authorization: {s}",
    lambda s: f"curl -H 'Cookie: {s}'",
    lambda s: f"<SecretAccessKey>{s.replace('<', '')}</SecretAccessKey>",
    lambda s: f"2026-11-21 09:00:00,123 7 INFO shotput 0.1.0: submit b -p Text={s.replace(' -', ' ')}",
    lambda s: f"-----BEGIN RSA PRIVATE KEY-----\n{s}\n{s}\n-----END RSA PRIVATE KEY-----",
]
# ... or as one word.
AS_A_WORD: list[Callable[[str], str]] = [
    lambda s: f"Authorization: AWS4-HMAC-SHA256 Credential={s}/x, SignedHeaders=host, Signature={s}",
    lambda s: f"Bearer {s}",
    lambda s: f"API_KEY={s}",
    lambda s: f"token: {s}",
    lambda s: f"password={s};user=x",
    lambda s: f"AWS_SESSION_TOKEN={s}\nAWS_SECRET_ACCESS_KEY={s}",
    lambda s: f"--api-key {s} --verbose",
    lambda s: f"--client-secret={s}",
    lambda s: f"aws_secret_access_key = {s}",
    lambda s: f"{{passphrase => {s}}}",
]
IN_URLS: list[Callable[[str], str]] = [
    lambda s: f"GET https://user:{s}@host.example/x",
    lambda s: f"postgres://{s}:{s}@db/x",
    lambda s: f"https://h/x?X-Amz-Expires=3&X-Amz-Signature={s}&X-Amz-Security-Token={s}",
    lambda s: f"https://h/x?X-Amz-Credential={s}%2F2026",
    lambda s: f"https://h/x?a=b&sig={s}&c=d",
]


def secret(alphabet: str) -> st.SearchStrategy[str]:
    # Beginning and end are ordinary, so that quoting moves nothing, and long enough to be nobody else's.
    body = st.text(alphabet, min_size=4, max_size=20)
    return st.builds("Zq{}{}{}X9".format, st.integers(10**8, 10**9), body, st.integers(10**8, 10**9))


BY_THEMSELVES: list[Callable[[str], str]] = [
    lambda s: f"odd {s} line",
    lambda s: f"({s})",
    lambda s: f"said '{s}'",
]
KEY_IDS = st.from_regex(r"(AKIA|ASIA)[0-9A-Z]{16}", fullmatch=True)
AWS_TOKENS = st.from_regex(r"IQoJ[A-Za-z0-9/+]{40,80}={0,2}", fullmatch=True)
WEB_TOKENS = st.from_regex(r"eyJ[A-Za-z0-9_-]{20}\.eyJ[A-Za-z0-9_-]{20}\.[A-Za-z0-9_-]{20}", fullmatch=True)

# Every shape with what can stand in it: a report has each of them, so that none is left to chance.
PLANTS = [
    *((secret(QUOTED), shape) for shape in IN_QUOTES),
    *((secret(PLAIN), shape) for shape in (*AS_A_WORD, *IN_QUOTES)),
    *((secret(URL), shape) for shape in IN_URLS),
    *((kind, shape) for kind in (KEY_IDS, AWS_TOKENS, WEB_TOKENS) for shape in BY_THEMSELVES),
]
WORD = st.from_regex(r"[a-z][a-z]{3,9}", fullmatch=True)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of a user Bob on a machine of a studio."""
    monkeypatch.setenv("SHOTPUT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("DEADLINE_CONFIG_FILE_PATH", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path / "homes" / "bobby"))
    monkeypatch.setenv("LOGNAME", "bobby")
    monkeypatch.setenv("MY_API_KEY", "known by its name alone")
    monkeypatch.setattr("socket.gethostname", lambda: "rack7.studio.example")
    folder = local_farm.data_dir()
    (folder / "logs" / "hosts").mkdir(parents=True)
    return folder


def pack(data: Path, text: str) -> dict[str, str]:
    """What a report has in it when every log has this text."""
    for name in ("shotput.log", "shotput.log.1", "farm.log", "farm.out", "worker.out", "hosts/blender-x.log"):
        (data / "logs" / name).write_text(text, encoding="utf-8")
    (data / "farm.json").write_text(json.dumps({"secret_access_key": "of the farm", "access_key_id": "id of it"}))
    path = data / "report.zip"
    report(path, as_json=True)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def left_of(value: str, content: str) -> list[str]:
    """What can be read of a secret, as it is or as it is written in quotes."""
    forms = {value, json.dumps(value)[1:-1], repr(value)[1:-1], value[:11], value[-11:]}
    return [form for form in forms if form in content]


@pytest.mark.parametrize(("values", "shape"), PLANTS, ids=range(len(PLANTS)))
def test_a_secret_of_each_shape_is_taken_out(
    data: Path, values: st.SearchStrategy[str], shape: Callable[[str], str]
) -> None:
    @settings(max_examples=30, deadline=None)
    @given(values, WORD, WORD)
    def check(value: str, before: str, after: str) -> None:
        line = shape(value)
        cleaned = redact(f"first\n{before} {line}\n{after}")
        assert left_of(value, cleaned) == [], (line, cleaned)
        assert cleaned.startswith("first\n")

    check()


def test_no_planted_secret_is_in_any_member(data: Path) -> None:
    @settings(max_examples=20, deadline=None)
    @given(st.tuples(*(values for values, _ in PLANTS)), st.permutations(range(len(PLANTS))))
    def check(planted: tuple[str, ...], order: list[int]) -> None:
        members = pack(data, "\n".join(PLANTS[place][1](planted[place]) for place in order))
        assert {"logs/shotput.log", "logs/farm.out", "hosts/blender-x.log", "settings.json"} <= set(members)
        for value in planted:
            for name, content in members.items():
                assert left_of(value, content) == [], (name, content)

    check()


@pytest.mark.parametrize(
    "line",
    [
        "/mnt/users/bobby/shot.blend",
        "createdBy bobby",
        "C:\\Users\\Bobby\\x",
        "shot_bobby_v2.blend",
        "{home}/shot.blend",
        "on rack7 and rack7.studio.example:80",
        "farm-rack7.studio.example/logs",
        "it is known by its name alone.",
        "of the farm, id of it",
    ],
)
def test_whose_machine_it_is_is_in_no_member(data: Path, line: str) -> None:
    members = pack(data, line.format(home=Path.home()))
    whole = "\n".join((*members, *members.values()))
    for told in ("bobby", "rack7", "studio.example", str(Path.home()), "known by its name", "of the farm", "id of it"):
        assert told not in whole.lower()


def test_what_stays_can_be_read(data: Path) -> None:
    text = (
        "2026-01-02 GetJob 200 in 3 ms; task 4 of 12; SecretLab.blend; bobbys scene; key=frames/1.png "
        "http://127.0.0.1:8080/a?limit=3; a token of it\n"
    )
    assert pack(data, text)["logs/farm.log"] == text
    assert redact('"user": "bobby", "password": "a b", "n": 1') == ('"user": "<user>", "password": <redacted>, "n": 1')
    assert redact("API_KEY='a b' next") == "API_KEY=<redacted> next"
    assert redact("shotput 1: submit b -p Text=a b --wait") == "shotput 1: submit b -p Text=<redacted> --wait"
    assert redact("https://u:p@h/x?a=1&sig=2&b=3") == "https://<redacted>@h/x?a=1&sig=<redacted>&b=3"
    assert redact(f"{Path.home()}/shots on rack7") == "<home>/shots on <machine>"


def test_a_home_at_the_root_is_none(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/")
    assert redact("/mnt/shots/bobby/a") == "/mnt/shots/<user>/a"


def test_the_superuser_has_no_name(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/root")
    for name in ("LOGNAME", "USER", "USERNAME"):
        monkeypatch.setenv(name, "root")
    assert redact("the asset root /root/a of /mnt/root") == "the asset root <home>/a of /mnt/root"


def test_a_long_log_is_cut_between_lines(data: Path) -> None:
    lines = [f"{number} token={number:0>1000}" for number in range(1200)]
    members = pack(data, "\n".join(lines))
    kept = members["logs/farm.log"].splitlines()
    assert 900 < len(kept) < 1000
    assert all(re.fullmatch(r"\d+ token=<redacted>", line) for line in kept)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "Is a directory"),
        ("logs", "Is a directory"),
        ("no/such/report.zip", "No such file or directory"),
        ("x" * 300, "File name too long"),
    ],
)
def test_a_place_that_cannot_be_written(data: Path, monkeypatch: pytest.MonkeyPatch, path: str, reason: str) -> None:
    monkeypatch.chdir(data)
    before = sorted(data.iterdir())
    with pytest.raises(CommandFailure) as caught:
        report(Path(path), as_json=True)
    assert (
        str(caught.value) == f"The report cannot be written to {Path(path)}: {reason}. Name another file with --output."
    )
    assert sorted(data.iterdir()) == before
