"""What programs that were written against the official package do without a thought, and what they get."""

from __future__ import annotations

import json
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
from deadline.client import api
from deadline.client.config import config_file, set_setting
from deadline.client.exceptions import DeadlineOperationCanceled, DeadlineOperationError, UserInitiatedCancel
from deadline.client.job_bundle import apply_job_parameters
from deadline.client.job_bundle.submission import AssetReferences
from drop_in.conftest import Workstation

DEFINITIONS = [
    {"name": "Text", "type": "STRING", "default": "a"},
    {"name": "Scene", "type": "PATH", "default": ""},
    {"name": "Count", "type": "INT", "default": 1},
]


def bundle_of(workstation: Workstation, values: list[dict[str, Any]] | None = None) -> str:
    folder = workstation.bundle("typed")
    template = json.loads((folder / "template.json").read_text())
    template["parameterDefinitions"] = DEFINITIONS
    (folder / "template.json").write_text(json.dumps(template))
    if values is not None:
        (folder / "parameter_values.json").write_text(json.dumps({"parameterValues": values}))
    return str(folder)


def submitted(workstation: Workstation, bundle: str, *args: Any, **keywords: Any) -> dict[str, Any]:
    job_id = api.create_job_from_job_bundle(bundle, *args, **{"print_function_callback": lambda _: None, **keywords})
    assert job_id is not None
    return workstation.farm.job(job_id)


class Number(float):
    """A number of another library."""


@pytest.mark.parametrize(
    ("value", "text"), [(2024, "2024"), (1.5, "1.5"), (True, "True"), (Path("/a"), "/a"), (None, "a"), ("b", "b")]
)
def test_values_that_are_no_text(workstation: Workstation, value: Any, text: str) -> None:
    job = submitted(workstation, bundle_of(workstation), [{"name": "Text", "value": value}])
    assert job["parameters"]["Text"] == {"string": text}
    # apply_job_parameters alone says the same.
    parameters: list[Any] = [dict(DEFINITIONS[0])]
    apply_job_parameters([{"name": "Text", "value": value}], "bundle", parameters, AssetReferences())
    assert parameters[0].get("value", "a") == text
    if isinstance(value, (int, float)):
        job = submitted(workstation, bundle_of(workstation, [{"name": "Text", "value": value}]))
        assert job["parameters"]["Text"] == {"string": text}


def test_paths_and_numbers_of_other_libraries(workstation: Workstation) -> None:
    given = [{"name": "Scene", "value": Path("shot.ma")}, {"name": "Count", "value": Number(3)}]
    job = submitted(workstation, bundle_of(workstation), given)
    assert job["parameters"]["Scene"] == {"path": str(Path("shot.ma").absolute())}
    assert job["parameters"]["Count"] == {"int": "3"}
    with pytest.raises(DeadlineOperationError, match='"Count" cannot be "x": it must be a whole number'):
        submitted(workstation, bundle_of(workstation), [{"name": "Count", "value": "x"}])


def test_a_padded_number_of_yaml_is_not_guessed(workstation: Workstation) -> None:
    bundle = Path(bundle_of(workstation))
    (bundle / "parameter_values.yaml").write_text("parameterValues:\n- {name: Text, value: 010}\n")
    with pytest.raises(DeadlineOperationError, match="it must be text; put it between quotes"):
        submitted(workstation, str(bundle))


def test_paths_that_only_a_queue_names_belong_to_the_job(workstation: Workstation) -> None:
    script = workstation.file("studio/setup.py", "pass")
    definition: Any = {
        "name": "Setup",
        "type": "PATH",
        "default": str(script),
        "objectType": "FILE",
        "dataFlow": "IN",
    }
    references = AssetReferences()
    apply_job_parameters([], "bundle", [definition.copy()], references)
    assert references.input_filenames == {str(script)}
    arguments = workstation.folder / "snapshot"
    api.create_job_from_job_bundle(
        bundle_of(workstation),
        queue_parameter_definitions=[definition],
        known_asset_paths=[str(script.parent)],
        debug_snapshot_dir=str(arguments),
        print_function_callback=lambda _: None,
    )
    attachments = json.loads((arguments / "create_job_args.json").read_text())["attachments"]
    assert [root["rootPath"] for root in attachments["manifests"]] == [str(script.parent)]


def test_values_that_nothing_defines_are_left_out_and_told(workstation: Workstation) -> None:
    lines: list[str] = []
    given = [{"name": "Camera", "value": "persp"}, {"name": "Text", "value": "b"}]
    job = submitted(workstation, bundle_of(workstation), given, print_function_callback=lines.append)
    assert "Camera" not in job["parameters"]
    assert job["parameters"]["Text"] == {"string": "b"}
    message = (
        'The value of the parameter "Camera" is left out: neither the template nor an environment of the queue defines '
        "it."
    )
    assert message in lines


def test_failures_are_limited_by_the_settings_defaults(workstation: Workstation) -> None:
    job = submitted(workstation, bundle_of(workstation))
    assert (job["maxFailedTasksCount"], job["maxRetriesPerTask"]) == (20, 5)
    set_setting("settings.max_failed_tasks_count", "7")
    assert submitted(workstation, bundle_of(workstation))["maxFailedTasksCount"] == 7
    of_bundle = [{"name": "deadline:maxFailedTasksCount", "value": 8}]
    assert submitted(workstation, bundle_of(workstation, of_bundle))["maxFailedTasksCount"] == 8
    assert submitted(workstation, bundle_of(workstation), max_failed_tasks_count=0)["maxFailedTasksCount"] == 0


def test_every_transfer_is_asked_about(workstation: Workstation) -> None:
    texture = workstation.file("bundle/wood.png", "texture")
    bundle = str(workstation.bundle(inputs=(texture,)))
    asked: list[tuple[str, bool]] = []

    def ask(message: str, default: bool) -> bool:
        asked.append((message, default))
        return False

    with pytest.raises(UserInitiatedCancel, match="The submission was declined"):
        submitted(workstation, bundle, interactive_confirmation_callback=ask)
    message = (
        f"The job reads 1 input file, 7 B in total. It reads and writes below:\n\n  {texture.parent}\n\nSubmit it?"
    )
    assert asked == [(message, True)]
    # Nobody to ask, and a yes to everything, are enough for files of the bundle.
    submitted(workstation, bundle)
    set_setting("settings.auto_accept", "true")
    submitted(workstation, bundle, interactive_confirmation_callback=ask)
    assert len(asked) == 1
    set_setting("settings.auto_accept", "false")
    # A job without files moves nothing.
    submitted(workstation, bundle_of(workstation), interactive_confirmation_callback=ask)
    assert len(asked) == 1
    elsewhere = workstation.file("elsewhere/secret", "s")
    with pytest.raises(DeadlineOperationCanceled, match="nobody could be asked"):
        submitted(workstation, str(workstation.bundle(inputs=(elsewhere,))))


def test_an_error_does_not_name_a_file_that_is_gone(workstation: Workstation) -> None:
    with pytest.raises(DeadlineOperationError) as refused:
        submitted(workstation, bundle_of(workstation), config=ConfigParser())
    assert str(refused.value) == (
        "No farm is chosen. Set defaults.farm_id in the given configuration, or give farm_id."
    )


def test_a_configuration_in_memory_changes_nothing_else(workstation: Workstation) -> None:
    memory = config_file.read_config()
    set_setting("defaults.farm_id", "farm-of-memory", memory)
    assert config_file.get_setting("defaults.farm_id") == workstation.farm_id
