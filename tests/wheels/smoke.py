"""The installed wheel at work, with nothing but the standard library: a template, a task, hashes, an object store.

Prints the version. Runs on Python 3.9, outside the repository.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import shotput
from shotput import bundle, errors, hosts, local_farm, profile, scene, sessions, submission, submitter

TEMPLATE = {
    "specificationVersion": "jobtemplate-2023-09",
    "name": "Smoke",
    "steps": [
        {
            "name": "Say",
            "parameterSpace": {"taskParameterDefinitions": [{"name": "Frame", "type": "INT", "range": "1-2"}]},
            "script": {
                "actions": {"onRun": {"command": sys.executable, "args": ["-c", "print('frame {{Task.Param.Frame}}')"]}}
            },
        }
    ],
}


def main() -> None:
    """Each part once; an AssertionError or an exception of Shotput when one does not work."""
    for module in (bundle, hosts, local_farm, profile, scene, submission, submitter):
        assert module.__name__.startswith("shotput.")
    assert "site-packages" in str(Path(shotput.__file__)), shotput.__file__
    assert shotput.check_template(TEMPLATE) == []
    assert shotput.check_template({**TEMPLATE, "steps": []}) != []
    job = shotput.create_job(TEMPLATE)
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        session = sessions.session_for(
            job, "smoke", session_root=folder, log=lambda batch: lines.extend(line["message"] for line in batch)
        )
        (step,) = job.steps
        states = [session.run_task(step.script, step.parameter_space.get(task))["state"] for task in range(2)]
        session.flush()
        session.close()
        assert states == ["SUCCESS", "SUCCESS"], lines
        assert {"frame 1", "frame 2"} <= set(lines), lines
        Path(folder, "a.txt").write_text("a", encoding="utf-8")
        manifest = shotput.snapshot(folder)["manifest"]
        assert b"a96faf705af16834e6c632b61e964e1f" in manifest, manifest
        with shotput.ObjectStore(Path(folder, "store")) as store:
            assert store.endpoint.startswith("http://127.0.0.1:")
        try:
            shotput.get_setting("no.such", Path(folder, "config"))
        except errors.ConfigError:
            pass
        else:
            raise AssertionError("an unknown setting was read")
    print(shotput.__version__)


if __name__ == "__main__":
    main()
