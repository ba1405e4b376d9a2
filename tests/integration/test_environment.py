"""What a task sees of the environment of whoever started the farm."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from shotput.task_environment import inherited

SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "secret-of-the-starter",
    "GITHUB_TOKEN": "secret-of-the-starter",
    "HTTPS_PROXY": "http://me:secret-of-the-starter@localhost:1",
    "LD_LIBRARY_PATH": "/secret-of-the-starter",
    "PYTHONPATH": "/secret-of-the-starter",
    "SHOTPUT_SESSION_MARKER": "secret-of-the-starter",
    "VIRTUAL_ENV": "/secret-of-the-starter",
}
PASSED = {
    "OCIO": "/show/config.ocio",
    "SHOTPUT_PASS_ENVIRONMENT": "STUDIO_*",
    "STUDIO_SHOW": "big",
    "rendermaker_LICENSE": "5053@licences",
}
# What the session, the protocol and the task's own Python add.
OWN = ("DEADLINE_", "OPENJD_", "SHOTPUT_SESSION_", "SHOTPUT_ACTION_", "PWD", "LC_CTYPE")


def test_a_task_sees_what_is_listed_and_no_secret(make_farm: Callable[..., Any], templates: Any) -> None:
    farm = make_farm({**SECRETS, **PASSED})
    code = "import json, os; print('seen: ' + json.dumps(dict(os.environ)))"
    job_id = farm.submit(templates.job("environment", templates.step("Show", templates.script(code))))
    assert farm.wait_job(job_id)["taskRunStatus"] == "SUCCEEDED", farm.output()
    (line,) = (line for line in farm.log(job_id).splitlines() if line.startswith("seen: "))
    seen = {n: v for n, v in json.loads(line[6:]).items() if not n.startswith(OWN)}
    expected = inherited({**os.environ, **SECRETS, **PASSED})
    assert seen == {n: v for n, v in expected.items() if not n.startswith(OWN)}
    assert PASSED.items() <= seen.items()
    assert "secret-of-the-starter" not in line
