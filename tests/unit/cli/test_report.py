import socket
from pathlib import Path

from shotput.cli.report import redact


def test_secrets_are_taken_out():
    text = 'key AKIAABCDEFGHIJKLMNOP and "secretAccessKey": "abc/def+ghi", session_token=xyz; Authorization: AWS4-HMAC'
    clean = redact(text)
    for secret in ("AKIAABCDEFGHIJKLMNOP", "abc/def+ghi", "xyz", "AWS4-HMAC"):
        assert secret not in clean
    assert "<key id>" in clean


def test_the_user_s_folder_and_machine_are_taken_out():
    clean = redact(f"{Path.home()}/shots on {socket.gethostname()}")
    assert clean == "<home>/shots on <machine>" or socket.gethostname() == "localhost"


def test_ordinary_text_is_left_alone():
    text = "2026-01-02 GetJob 200 in 3 ms; task 4 of 12; SecretLab.blend"
    assert redact(text) == text
