"""Jobs through the whole farm, and what its users see of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shotput import _native


def test_environments_dependencies_and_tasks_in_order(farm: Any, templates: Any) -> None:
    template = templates.job(
        "order",
        templates.step(
            "First",
            templates.script("print('first', '{{Task.Param.Frame}}', '{{Param.Word}}')"),
            frames="1-5",
            stepEnvironments=[templates.environment("StepEnv", "print('enter step')", "print('exit step')")],
        ),
        templates.step(
            "Second",
            templates.script("import os; print('second', os.environ['FROM_ENV'])"),
            dependencies=[{"dependsOn": "First"}],
        ),
        parameterDefinitions=[{"name": "Word", "type": "STRING", "default": "nothing"}],
        jobEnvironments=[
            templates.environment(
                "JobEnv", "print('enter job'); print('openjd_env: FROM_ENV=yes')", "print('exit job')"
            )
        ],
    )
    job_id = farm.submit(template, parameters={"Word": {"string": "hello"}})
    job = farm.wait_job(job_id)
    assert job["taskRunStatus"] == "SUCCEEDED", farm.output()
    assert job["taskRunStatusCounts"]["SUCCEEDED"] == 6
    actions = farm.actions(job_id)
    assert {action["status"] for action in actions} == {"SUCCEEDED"}
    assert all(action["processExitCode"] == 0 for action in actions if "taskRun" in action["definition"])
    log = farm.log(job_id)
    for line in (*(f"first {frame} hello" for frame in range(1, 6)), "second yes", "enter job", "exit step"):
        assert line in log
    assert log.index("enter job") < log.index("enter step") < log.index("first 1 hello") < log.index("exit step")
    last_first = max(a["endedAt"] for a in actions if _step(a) == farm.steps(job_id)["First"]["stepId"])
    second = next(a for a in actions if _step(a) == farm.steps(job_id)["Second"]["stepId"])
    assert second["startedAt"] >= last_first
    farm.wait(lambda: not list((farm.data_dir / "sessions").iterdir()), "session folders are removed")


def _step(action: dict[str, Any]) -> str | None:
    step_id: str | None = action["definition"].get("taskRun", {}).get("stepId")
    return step_id


def test_chunks_hold_all_frames_once(farm: Any, templates: Any) -> None:
    template = templates.job(
        "chunks",
        templates.step("Render", templates.script("print('chunk <{{Task.Param.Frame}}>')")),
        extensions=["TASK_CHUNKING"],
    )
    template["steps"][0]["parameterSpace"] = {
        "taskParameterDefinitions": [
            {
                "name": "Frame",
                "type": "CHUNK[INT]",
                "range": "1-10",
                "chunks": {"defaultTaskCount": 4, "rangeConstraint": "CONTIGUOUS"},
            }
        ]
    }
    job_id = farm.submit(template)
    assert farm.wait_job(job_id)["taskRunStatus"] == "SUCCEEDED", farm.output()
    log = farm.log(job_id)
    (step,) = farm.steps(job_id).values()
    tasks = farm.tasks(job_id, step["stepId"])
    chunks = sorted(task["parameters"]["Frame"]["chunkInt"] for task in tasks)
    frames: list[int] = []
    for chunk in chunks:
        assert f"chunk <{chunk}>" in log
        first, _, last = chunk.partition("-")
        frames += range(int(first), int(last or first) + 1)
    assert sorted(frames) == list(range(1, 11))


def test_progress_and_status_of_a_running_task(farm: Any, templates: Any) -> None:
    code = (
        "import time\nprint('openjd_progress: 40', flush=True)\nprint('openjd_status: halfway', flush=True)\n"
        "time.sleep(3)\nprint('openjd_progress: 90', flush=True)"
    )
    job_id = farm.submit(templates.job("progress", templates.step("Work", templates.script(code))))

    def running() -> bool:
        return any(
            a.get("progressPercent") == 40 and a.get("progressMessage") == "halfway" for a in farm.actions(job_id)
        )

    farm.wait(running, "the task's progress is seen")
    assert farm.job(job_id)["taskRunStatus"] == "RUNNING"
    assert farm.wait_job(job_id)["taskRunStatus"] == "SUCCEEDED"


def test_attachments_in_and_out(farm: Any, templates: Any, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    scene = tmp_path / "project" / "scene.txt"
    output = tmp_path / "project" / "renders"
    scene.parent.mkdir()
    scene.write_text("a scene")
    bundle.mkdir()
    render = (
        "import pathlib; text = pathlib.Path(r'{{Param.Scene}}').read_text(); "
        "out = pathlib.Path(r'{{Param.Out}}'); out.mkdir(parents=True, exist_ok=True); "
        "(out / 'frame{{Task.Param.Frame}}.txt').write_text(text + ' {{Task.Param.Frame}}')"
    )
    collect = (
        "import pathlib; out = pathlib.Path(r'{{Param.Out}}'); "
        "(out / 'all.txt').write_text('|'.join(p.read_text() for p in sorted(out.glob('frame*.txt'))))"
    )
    template = templates.job(
        "files",
        templates.step("Render", templates.script(render), frames="1-3"),
        templates.step("Collect", templates.script(collect), dependencies=[{"dependsOn": "Render"}]),
        parameterDefinitions=[
            {"name": "Scene", "type": "PATH", "objectType": "FILE", "dataFlow": "IN", "default": str(scene)},
            {"name": "Out", "type": "PATH", "objectType": "DIRECTORY", "dataFlow": "OUT", "default": str(output)},
        ],
    )
    (bundle / "template.json").write_text(json.dumps(template))
    submitted = _native.create_job_from_job_bundle({"job_bundle_dir": str(bundle), "target": farm.target()})
    scene.unlink()  # the farm must live from what was submitted
    job_id = submitted["job_id"]
    assert farm.wait_job(job_id)["taskRunStatus"] == "SUCCEEDED", farm.output() + farm.log(job_id)
    assert not output.exists()
    runs = [action for action in farm.actions(job_id) if "taskRun" in action["definition"]]
    assert all(len(action["manifests"]) == 1 and action["manifests"][0]["outputManifestHash"] for action in runs)
    _native.download_job_outputs(
        {
            "farm_id": farm.state["farm_id"],
            "queue_id": farm.state["queue_id"],
            "job_id": job_id,
            "target": farm.target(),
        }
    )
    assert sorted(path.name for path in output.iterdir()) == ["all.txt", "frame1.txt", "frame2.txt", "frame3.txt"]
    assert (output / "all.txt").read_text() == "a scene 1|a scene 2|a scene 3"
