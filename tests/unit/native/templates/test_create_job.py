"""Jobs made of templates and values."""

from __future__ import annotations

import json
from typing import Any

import pytest
from shotput import _native
from shotput.errors import DeadlineOperationError, SessionError, TemplateError
from templates import chunked, frames, job_template, step

PARAMETERS = [
    {"name": "Count", "type": "INT", "minValue": 1, "maxValue": 9},
    {"name": "Scale", "type": "FLOAT", "default": 1.5},
    {"name": "Label", "type": "STRING", "allowedValues": ["a", "b"], "default": "a"},
    {"name": "Out", "type": "PATH", "default": "renders"},
]


class TestCreateJob:
    def test_values_and_defaults(self) -> None:
        template = job_template(name="shot {{Param.Label}}", parameterDefinitions=PARAMETERS)
        job = _native.create_job(template, {"Count": "3", "Scale": 2.25})
        assert job.name == "shot a"
        assert job.parameters == {
            "Count": {"type": "INT", "value": "3"},
            "Label": {"type": "STRING", "value": "a"},
            "Out": {"type": "PATH", "value": "renders"},
            "Scale": {"type": "FLOAT", "value": "2.25"},
        }
        assert job.steps[0].script.to_dict() == {"actions": {"onRun": {"command": "echo", "args": ["hi"]}}}
        assert job.to_dict()["steps"][0]["name"] == "render"
        assert repr(job) == '<Job "shot a", 1 steps>'
        assert repr(job.steps[0]) == '<Step "render", 1 tasks>'

    def test_paths_are_joined_when_the_folders_are_known(self) -> None:
        template = job_template(parameterDefinitions=PARAMETERS)
        job = _native.create_job(template, {"Count": 1}, job_template_dir="/bundle", current_dir="/here")
        assert job.parameters["Out"]["value"] == "/bundle/renders"
        job = _native.create_job(template, {"Count": 1, "Out": "x"}, job_template_dir="/bundle", current_dir="/here")
        assert job.parameters["Out"]["value"] == "/here/x"

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({}, "Values missing for required job parameters: Count"),
            (
                {"Count": 1, "Nope": 2, "Also": 3},
                "Job parameter values provided for parameters that are not defined in the template: Also, Nope",
            ),
            ({"Count": 10}, "Count: value 10 exceeds maximum 9"),
            ({"Count": 0}, "Count: value 0 is less than minimum 1"),
        ],
    )
    def test_refused_values(self, values: dict[str, Any], message: str) -> None:
        with pytest.raises(TemplateError) as raised:
            _native.create_job(job_template(parameterDefinitions=PARAMETERS), values)
        assert str(raised.value) == f"The job cannot be created from these parameter values. {message}"

    @pytest.mark.parametrize(
        ("declared", "member", "given", "bound"),
        [
            ("LIST[STRING]", "stringList", ["a", "b"], ["a", "b"]),
            ("LIST[STRING]", "stringList", [], []),
            ("LIST[PATH]", "pathList", [], []),
            ("LIST[PATH]", "pathList", ["a/b", "/c"], ["a/b", "/c"]),
            ("LIST[INT]", "intList", [1, "2", 3.0], ["1", "2", "3"]),
            ("LIST[FLOAT]", "floatList", [1, 2], ["1.0", "2.0"]),
            ("LIST[FLOAT]", "floatList", ["0.25", 2], ["0.25", "2.0"]),
            ("LIST[BOOL]", "boolList", [1, False, "yes"], ["true", "false", "true"]),
            ("LIST[LIST[INT]]", "intListList", [[1], [], ["3"]], [["1"], [], ["3"]]),
            ("LIST[LIST[INT]]", "intListList", [], []),
        ],
    )
    @pytest.mark.parametrize("of_queue", [False, True])
    def test_lists_are_read_as_the_declared_type(
        self, of_queue: bool, declared: str, member: str, given: list[Any], bound: list[Any]
    ) -> None:
        definitions = [{"name": "Items", "type": declared}]
        environment = {
            "specificationVersion": "environment-2023-09",
            "extensions": ["EXPR"],
            "parameterDefinitions": definitions,
            "environment": {"name": "e", "variables": {"A": "1"}},
        }
        template = job_template(extensions=["EXPR"], **({} if of_queue else {"parameterDefinitions": definitions}))
        for value in (given, json.dumps(given), {member: given}):
            job = _native.create_job(
                template, {"Items": value}, environment_templates=[environment] if of_queue else []
            )
            assert job.parameters["Items"] == {"type": declared, "value": bound}

    @pytest.mark.parametrize(
        ("declared", "given", "message"),
        [
            ("LIST[INT]", [1, "two"], "Items: Value 'two' is not a valid integer or integer string."),
            ("LIST[BOOL]", ["perhaps"], "Items: Value 'perhaps' is not a valid boolean."),
            ("LIST[LIST[INT]]", [1], "Items: Value is not a list for parameter type LIST[INT]. Got a number."),
            ("STRING", ["a"], "Items: Cannot coerce list to STRING"),
        ],
    )
    def test_lists_that_do_not_fit(self, declared: str, given: list[Any], message: str) -> None:
        template = job_template(extensions=["EXPR"], parameterDefinitions=[{"name": "Items", "type": declared}])
        with pytest.raises(TemplateError) as raised:
            _native.create_job(template, {"Items": given})
        assert message in str(raised.value)

    def test_wrong_types_are_all_named(self) -> None:
        with pytest.raises(TemplateError) as raised:
            _native.create_job(
                job_template(parameterDefinitions=PARAMETERS), {"Count": "many", "Scale": "big", "Label": "c"}
            )
        assert sorted(finding["path"] for finding in raised.value.findings) == ["Count", "Label", "Scale"]
        assert str(raised.value).startswith(
            "The job cannot be created from these parameter values, with 3 errors:\n  - "
        )

    def test_value_that_is_no_value(self) -> None:
        with pytest.raises(DeadlineOperationError) as raised:
            _native.create_job(job_template(parameterDefinitions=PARAMETERS), {"Count": None})
        assert str(raised.value) == "The value null of the job parameter 'Count' cannot be used: it is null."
        with pytest.raises(DeadlineOperationError) as raised:
            _native.create_job(job_template(parameterDefinitions=PARAMETERS), {"Count": {"a": 1}})
        assert str(raised.value) == (
            "The value {\"a\":1} of the job parameter 'Count' cannot be used: it is a mapping; give a text, a number, a boolean or a list."  # noqa: E501
        )

    def test_queue_environments_are_merged(self) -> None:
        queue_environment = {
            "specificationVersion": "environment-2023-09",
            "parameterDefinitions": [
                {"name": "Packages", "type": "STRING", "default": "blender"},
                {"name": "Count", "type": "INT", "maxValue": 4},
            ],
            "environment": {"name": "Conda", "variables": {"PACKAGES": "{{Param.Packages}}"}},
        }
        template = job_template(
            parameterDefinitions=PARAMETERS, jobEnvironments=[{"name": "Mine", "variables": {"A": "1"}}]
        )
        job = _native.create_job(template, {"Count": 3}, environment_templates=[queue_environment])
        assert job.parameters["Packages"] == {"type": "STRING", "value": "blender"}
        assert [environment.name for environment in job.queue_environments] == ["Conda"]
        assert [environment.name for environment in job.job_environments] == ["Mine"]
        assert job.queue_environments[0].to_dict() == {"name": "Conda", "variables": {"PACKAGES": "{{Param.Packages}}"}}
        with pytest.raises(TemplateError) as raised:
            _native.create_job(template, {"Count": 5}, environment_templates=[queue_environment])
        assert (
            str(raised.value)
            == "The job cannot be created from these parameter values. Count: value 5 exceeds maximum 4"
        )

    def test_decoded_queue_environments(self) -> None:
        document = {
            "specificationVersion": "environment-2023-09",
            "environment": {"name": "E", "variables": {"A": "1"}},
        }
        decoded = _native.decode_environment_template(json.dumps(document))
        assert (decoded.name, decoded.document, repr(decoded)) == ("E", document, '<EnvironmentTemplate "E">')
        job = _native.create_job(job_template(), environment_templates=[decoded])
        assert [environment.name for environment in job.queue_environments] == ["E"]

    def test_bad_queue_environment(self) -> None:
        with pytest.raises(TemplateError) as raised:
            _native.create_job(
                job_template(), {}, environment_templates=[{"specificationVersion": "environment-2023-09"}]
            )
        assert str(raised.value) == "The environment template is not valid. missing field `environment`"

    def test_steps(self) -> None:
        host = {
            "amounts": [{"name": "amount.worker.vcpu", "min": 2}],
            "attributes": [{"name": "attr.worker.os.family", "anyOf": ["linux"]}],
        }
        steps = [
            step("a"),
            step(
                "b",
                dependencies=[{"dependsOn": "a"}],
                hostRequirements=host,
                stepEnvironments=[{"name": "E", "variables": {"V": "1"}}],
            ),
        ]
        job = _native.create_job(job_template(steps=steps))
        assert job.steps[0].host_requirements is None
        assert job.steps[1].dependencies == ["a"]
        assert job.steps[1].host_requirements == {
            "amounts": [{"name": "amount.worker.vcpu", "min": 2.0}],
            "attributes": [{"name": "attr.worker.os.family", "anyOf": ["linux"]}],
        }
        assert [environment.name for environment in job.steps[1].environments] == ["E"]

    def test_embedded_files_keep_the_shape_of_a_template(self) -> None:
        script = {
            "actions": {"onRun": {"command": "{{Task.File.Run}}"}},
            "embeddedFiles": [{"name": "Run", "type": "TEXT", "runnable": True, "data": "echo"}],
        }
        assert _native.create_job(job_template(steps=[step(script=script)])).steps[0].script.to_dict() == script


class TestEntities:
    def test_a_step_with_the_parameters_of_its_job(self) -> None:
        template = step(
            script={"actions": {"onRun": {"command": "echo", "args": ["{{Param.Label}}", "{{Task.Param.Frame}}"]}}},
            parameterSpace={"taskParameterDefinitions": [chunked("1-{{Param.Last}}", 2, "CONTIGUOUS")]},
            dependencies=[{"dependsOn": "elsewhere"}],
        )
        made = _native.step_from_template(template, {"Label": {"string": "x"}, "Last": {"int": "4"}})
        assert made.name == "render"
        assert made.script.step_name == "render"
        assert repr(made.script) == '<StepScript of "render">'
        assert frames(made.parameter_space) == ["1-2", "3-4"]
        same = _native.step_from_template(
            template, {"Label": {"type": "STRING", "value": "x"}, "Last": {"type": "INT", "value": 4}}
        )
        assert same.to_dict() == made.to_dict()

    def test_findings_have_their_path_in_the_step(self) -> None:
        with pytest.raises(TemplateError) as raised:
            _native.step_from_template(step(colour="red"), {})
        assert str(raised.value).startswith(
            "The template of the step 'render' is not valid. colour: unknown field `colour`"
        )
        with pytest.raises(TemplateError) as raised:
            _native.environment_from_template({"name": "e", "variables": {"A": []}}, {})
        assert raised.value.findings[0]["path"].startswith("variables")

    def test_an_environment(self) -> None:
        made = _native.environment_from_template(
            {"name": "e", "variables": {"A": "{{Param.Label}}"}}, {"Label": {"string": "x"}}
        )
        assert made.name == "e"
        assert repr(made) == '<Environment "e">'

    def test_schema_versions(self) -> None:
        with pytest.raises(SessionError) as raised:
            _native.step_from_template(step(), {}, schema_version="jobtemplate-2030-01")
        assert (
            str(raised.value)
            == "The schema version 'jobtemplate-2030-01' is not supported. Supported: jobtemplate-2023-09."
        )

    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            (
                {"A": 3},
                'The job parameter \'A\' must be given as {"type": "INT", "value": "1"} or {"int": "1"}, but it is 3.',
            ),
            (
                {"A": {"colour": "x"}},
                'The job parameter \'A\' must be given as {"type": "INT", "value": "1"} or {"int": "1"}, but it is {"colour":"x"}.',  # noqa: E501
            ),
            (
                {"A": {"type": "COLOUR", "value": "x"}},
                "The job parameter 'A' has the type 'COLOUR', which OpenJD does not know.",
            ),
        ],
    )
    def test_parameters_that_are_not_typed(self, parameters: dict[str, Any], message: str) -> None:
        with pytest.raises(DeadlineOperationError) as raised:
            _native.step_from_template(step(), parameters)
        assert str(raised.value) == message

    def test_a_value_of_another_type(self) -> None:
        with pytest.raises(DeadlineOperationError) as raised:
            _native.step_from_template(step(), {"A": {"int": "many"}})
        assert str(raised.value).startswith(
            "The job parameter 'A' has the value \"many\", which is no INT: Cannot convert 'many' to int"
        )
