"""OpenJD templates, jobs and parameter spaces of the native module."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

import pytest
from shotput import _native
from shotput.errors import DeadlineOperationError, SessionError, TemplateError


def job_template(**changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = {
        "specificationVersion": "jobtemplate-2023-09",
        "name": "shot",
        "steps": [{"name": "render", "script": {"actions": {"onRun": {"command": "echo", "args": ["hi"]}}}}],
    }
    document.update(changes)
    return {key: value for key, value in document.items() if value is not None}


def step(name: str = "render", **changes: Any) -> dict[str, Any]:
    return {"name": name, "script": {"actions": {"onRun": {"command": "echo"}}}, **changes}


def space(
    definitions: list[dict[str, Any]],
    combination: str | None = None,
    parameters: dict[str, Any] | None = None,
    **job: Any,
) -> Any:
    parameter_space: dict[str, Any] = {"taskParameterDefinitions": definitions}
    if combination is not None:
        parameter_space["combination"] = combination
    template = job_template(extensions=["TASK_CHUNKING"], steps=[step(parameterSpace=parameter_space)], **job)
    return _native.create_job(template, parameters or {}).steps[0].parameter_space


def chunked(range_: Any, count: Any, constraint: str, **chunks: Any) -> dict[str, Any]:
    return {
        "name": "Frame",
        "type": "CHUNK[INT]",
        "range": range_,
        "chunks": {"defaultTaskCount": count, "rangeConstraint": constraint, **chunks},
    }


def frames(parameter_space: Any) -> list[str]:
    return [task["Frame"]["value"] for task in parameter_space.slice(0, len(parameter_space))]


class TestCheck:
    def test_valid_templates_have_no_findings(self) -> None:
        assert _native.check_template(job_template()) == []
        assert _native.check_template(json.dumps(job_template())) == []
        environment = {
            "specificationVersion": "environment-2023-09",
            "environment": {"name": "e", "variables": {"A": "b"}},
        }
        assert _native.check_template(environment, "environment") == []

    @pytest.mark.parametrize("extension", ["TASK_CHUNKING", "EXPR", "FEATURE_BUNDLE_1", "REDACTED_ENV_VARS"])
    def test_known_extensions(self, extension: str) -> None:
        assert _native.check_template(job_template(extensions=[extension])) == []

    def test_unknown_extension(self) -> None:
        assert _native.check_template(job_template(extensions=["EXPR", "TIME_TRAVEL"])) == [
            {
                "path": "extensions",
                "message": "Unsupported extension names: TIME_TRAVEL. Supported are EXPR, FEATURE_BUNDLE_1, REDACTED_ENV_VARS, TASK_CHUNKING.",  # noqa: E501
            }
        ]

    def test_not_yaml(self) -> None:
        (finding,) = _native.check_template("steps: [1, 2\nname: }{")
        assert finding["path"] == ""
        assert finding["message"].startswith("The document is not YAML: ")
        assert "line" in finding["message"]

    def test_duplicate_key(self) -> None:
        (finding,) = _native.check_template("name: a\nname: b\n")
        assert finding["path"] == ""
        assert finding["message"].startswith("The document is not YAML: ")
        assert "duplicate" in finding["message"].lower()
        assert "name" in finding["message"]

    @pytest.mark.parametrize(
        ("text", "kind"),
        [("- a\n", "a list"), ("", "empty"), ("just words", "a text"), ("7", "a number"), ("true", "a boolean")],
    )
    def test_not_a_mapping(self, text: str, kind: str) -> None:
        assert _native.check_template(text) == [
            {"path": "", "message": f"The document must be a mapping of keys to values, but it is {kind}."}
        ]

    def test_version_missing_or_wrong(self) -> None:
        assert _native.check_template({"name": "x"}) == [
            {
                "path": "",
                "message": "missing field `specificationVersion`; for a job template write `specificationVersion: jobtemplate-2023-09`",  # noqa: E501
            }
        ]
        assert _native.check_template(job_template(specificationVersion="environment-2023-09")) == [
            {
                "path": "specificationVersion",
                "message": "`environment-2023-09` is not known for a job template (this is an environment template); write `jobtemplate-2023-09`",  # noqa: E501
            }
        ]
        assert _native.check_template(job_template(), "environment") == [
            {
                "path": "specificationVersion",
                "message": "`jobtemplate-2023-09` is not known for an environment template (this is a job template); write `environment-2023-09`",  # noqa: E501
            }
        ]
        assert _native.check_template(job_template(specificationVersion=3)) == [
            {
                "path": "specificationVersion",
                "message": "`3` is not known for a job template; write `jobtemplate-2023-09`",
            }
        ]

    def test_every_structural_mistake_is_named_with_its_place(self) -> None:
        document = job_template(
            naem="typo",
            steps=[
                step("a", colour="red"),
                {"name": "b"},
                {"name": 7, "script": {"actions": {"onRun": {"args": "not a list"}}}},
                "not a step",
                step("c", hostRequirements={"amounts": [{"name": "amount.worker.vcpu", "min": 1, "mx": 2}]}),
            ],
        )
        findings = _native.check_template(document)
        paths = {finding["path"] for finding in findings}
        assert {"naem", "steps[0] -> colour", "steps[3]", "steps[4] -> hostRequirements -> amounts[0] -> mx"} <= paths
        assert "steps[2] -> name" in paths
        assert "steps[2] -> script -> actions -> onRun -> args" in paths
        (missing,) = [finding for finding in findings if finding["path"] == "steps[2] -> script -> actions -> onRun"]
        assert missing["message"] == "missing field `command`"
        assert len(findings) == len({json.dumps(finding) for finding in findings})

    def test_two_missing_fields_of_one_mapping(self) -> None:
        findings = _native.check_template({"specificationVersion": "jobtemplate-2023-09"})
        assert findings == [
            {"path": "", "message": "missing field `name`"},
            {"path": "", "message": "missing field `steps`"},
        ]

    def test_every_semantic_mistake_is_named_with_its_place(self) -> None:
        document = job_template(
            parameterDefinitions=[
                {"name": "A", "type": "INT"},
                {"name": "A", "type": "INT", "minValue": 5, "maxValue": 2},
            ],
            steps=[
                step("a", script={"actions": {"onRun": {"command": "{{Param.Missing}}"}}}),
                step("a"),
                step("b", dependencies=[{"dependsOn": "zz"}]),
            ],
        )
        findings = _native.check_template(document)
        assert len(findings) >= 4
        text = "\n".join(f"{finding['path']}: {finding['message']}" for finding in findings)
        assert "steps[0] -> script -> actions -> onRun -> command" in text
        assert "Param.Missing" in text
        assert "zz" in text

    def test_values_that_are_not_json(self) -> None:
        (finding,) = _native.check_template({"name": object()})
        assert finding["path"] == ""
        assert finding["message"].startswith(
            "The document holds something that is neither a text, a number, a boolean, a list nor a mapping: "
        )

    def test_wrong_arguments(self) -> None:
        with pytest.raises(TypeError) as type_error:
            _native.check_template(3)
        assert str(type_error.value) == "A template is a str (YAML or JSON) or a dict, not int."
        with pytest.raises(ValueError) as value_error:  # noqa: PT011
            _native.check_template({}, "step")
        assert str(value_error.value) == "kind must be 'job' or 'environment', not 'step'."


class TestParse:
    def test_text(self) -> None:
        assert _native.parse_template("a: 1\nb: [x]\n") == {"a": 1, "b": ["x"]}
        with pytest.raises(TemplateError) as raised:
            _native.parse_template("- a")
        assert str(raised.value) == (
            "The template cannot be read. The document must be a mapping of keys to values, but it is a list."
        )


class TestDecode:
    def test_decoded(self) -> None:
        template = _native.decode_job_template(job_template())
        assert template.name == "shot"
        assert template.step_names == ["render"]
        assert template.document == job_template()
        assert repr(template) == '<JobTemplate "shot", 1 steps>'

    def test_one_finding_is_one_sentence(self) -> None:
        with pytest.raises(TemplateError) as raised:
            _native.decode_job_template(job_template(naem="x"))
        assert str(raised.value).startswith(
            "The job template is not valid. naem: unknown field `naem`, expected one of "
        )
        assert [finding["path"] for finding in raised.value.findings] == ["naem"]

    def test_many_findings_are_a_list(self) -> None:
        with pytest.raises(TemplateError) as raised:
            _native.decode_job_template({"specificationVersion": "jobtemplate-2023-09"})
        assert (
            str(raised.value)
            == "The job template is not valid, with 2 errors:\n  - missing field `name`\n  - missing field `steps`"
        )


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


class TestParameterSpace:
    def test_a_step_without_parameters_has_one_task(self) -> None:
        parameter_space = _native.create_job(job_template()).steps[0].parameter_space
        assert len(parameter_space) == 1
        assert parameter_space.get(0) == {}
        assert parameter_space.names == []
        assert parameter_space.to_dict() is None

    def test_ranges_and_types(self) -> None:
        parameter_space = space(
            [
                {"name": "I", "type": "INT", "range": "1-5:2"},
                {"name": "F", "type": "FLOAT", "range": [0.5, 2]},
                {"name": "S", "type": "STRING", "range": ["a"]},
                {"name": "P", "type": "PATH", "range": ["/x"]},
            ]
        )
        assert len(parameter_space) == 6
        assert parameter_space.get(1) == {
            "I": {"type": "INT", "value": "1"},
            "F": {"type": "FLOAT", "value": "2.0"},
            "S": {"type": "STRING", "value": "a"},
            "P": {"type": "PATH", "value": "/x"},
        }
        assert [task["I"]["value"] for task in parameter_space.slice(0, 99)] == ["1", "1", "3", "3", "5", "5"]
        assert parameter_space.names == ["I", "F", "S", "P"]
        assert repr(parameter_space) == '<ParameterSpace of "render", 6 tasks>'

    def test_combination(self) -> None:
        parameter_space = space(
            [
                {"name": "A", "type": "INT", "range": [1, 2]},
                {"name": "B", "type": "STRING", "range": ["x", "y"]},
                {"name": "C", "type": "INT", "range": [7, 8, 9]},
            ],
            "C * (A, B)",
        )
        tasks = [tuple(task[name]["value"] for name in "ABC") for task in parameter_space.slice(0, 6)]
        assert tasks == [
            ("1", "x", "7"),
            ("2", "y", "7"),
            ("1", "x", "8"),
            ("2", "y", "8"),
            ("1", "x", "9"),
            ("2", "y", "9"),
        ]

    @pytest.mark.parametrize(
        ("range_", "count", "constraint", "expected"),
        [
            ("1-10", 4, "CONTIGUOUS", ["1-4", "5-7", "8-10"]),
            ("1-3", 1, "CONTIGUOUS", ["1-1", "2-2", "3-3"]),
            ("1-3,7-8", 2, "CONTIGUOUS", ["1-2", "3-3", "7-8"]),
            ("1-9:2", 3, "CONTIGUOUS", ["1-1", "3-3", "5-5", "7-7", "9-9"]),
            ("1-5:2,6-8", 2, "CONTIGUOUS", ["1-1", "3-3", "5-6", "7-8"]),
            ([1, 2, 3, 10], 2, "CONTIGUOUS", ["1-2", "3-3", "10-10"]),
            ("1-10", 4, "NONCONTIGUOUS", ["1-4", "5-7", "8-10"]),
            ("1-9:2", 2, "NONCONTIGUOUS", ["1,3", "5,7", "9"]),
        ],
    )
    def test_chunks(self, range_: Any, count: int, constraint: str, expected: list[str]) -> None:
        parameter_space = space([chunked(range_, count, constraint)])
        assert frames(parameter_space) == expected
        assert parameter_space.get(0)["Frame"]["type"] == "CHUNK[INT]"
        assert not parameter_space.is_adaptive
        assert parameter_space.chunk_parameter == "Frame"
        assert parameter_space.default_task_count == count
        assert parameter_space.range_constraint == constraint
        assert parameter_space.target_runtime_seconds is None

    def test_a_chunk_size_from_a_parameter(self) -> None:
        definitions = [
            {"name": "ChunkSize", "type": "INT", "default": 2},
            {"name": "Frames", "type": "STRING", "default": "1-4"},
        ]
        template = {"parameterDefinitions": definitions}
        parameter_space = space([chunked("{{Param.Frames}}", "{{Param.ChunkSize}}", "CONTIGUOUS")], **template)
        assert frames(parameter_space) == ["1-2", "3-4"]
        parameter_space = space(
            [chunked("{{Param.Frames}}", "{{Param.ChunkSize}}", "CONTIGUOUS")],
            None,
            {"ChunkSize": 4, "Frames": "5-8"},
            **template,
        )
        assert frames(parameter_space) == ["5-8"]

    def test_chunks_among_other_parameters(self) -> None:
        definitions = [{"name": "Camera", "type": "STRING", "range": ["l", "r"]}, chunked("1-4", 2, "CONTIGUOUS")]
        tasks = [(task["Camera"]["value"], task["Frame"]["value"]) for task in space(definitions).slice(0, 9)]
        assert tasks == list(itertools.product("lr", ["1-2", "3-4"]))
        tasks = [
            (task["Camera"]["value"], task["Frame"]["value"])
            for task in space(definitions, "Frame * Camera").slice(0, 9)
        ]
        assert tasks == [("l", "1-2"), ("r", "1-2"), ("l", "3-4"), ("r", "3-4")]

    def test_adaptive_chunks_are_cut_where_the_last_one_ended(self) -> None:
        definitions = [
            chunked("1-4,8-9", 2, "CONTIGUOUS", targetRuntimeSeconds=60),
            {"name": "Camera", "type": "STRING", "range": ["l", "r"]},
        ]
        parameter_space = space(definitions)
        assert parameter_space.is_adaptive
        assert parameter_space.target_runtime_seconds == 60
        assert len(parameter_space) == parameter_space.task_count == 12
        offset, cut = 0, []
        for count in itertools.cycle([3, 1, 10]):
            if offset == len(parameter_space):
                break
            task, covered = parameter_space.chunk(offset, count)
            cut.append((task["Camera"]["value"], task["Frame"]["value"]))
            offset += covered
        assert cut == [("l", "1-3"), ("l", "4-4"), ("l", "8-9"), ("r", "1-3"), ("r", "4-4"), ("r", "8-9")]
        assert parameter_space.get(7) == {
            "Frame": {"type": "CHUNK[INT]", "value": "2-2"},
            "Camera": {"type": "STRING", "value": "r"},
        }
        assert repr(parameter_space) == '<ParameterSpace of "render", 12 tasks, adaptive>'

    def test_adaptive_chunks_without_constraint_step_over_gaps(self) -> None:
        parameter_space = space([chunked("1-4,8-9", 2, "NONCONTIGUOUS", targetRuntimeSeconds=60)])
        task, covered = parameter_space.chunk(2, 3)
        assert (task["Frame"]["value"], covered) == ("3,4,8", 3)

    @pytest.mark.parametrize(
        ("definition", "length"),
        [
            ({"name": "Frame", "type": "INT", "range": "1-1000000"}, 1_000_000),
            (chunked("1-1000000", 10, "CONTIGUOUS"), 100_000),
            (chunked("1-2000000:2", 10, "CONTIGUOUS"), 1_000_000),
            (chunked("1-1000000", 10, "NONCONTIGUOUS"), 100_000),
            (chunked("1-1000000", 10, "CONTIGUOUS", targetRuntimeSeconds=5), 1_000_000),
        ],
    )
    def test_a_million_tasks_are_not_made(self, definition: dict[str, Any], length: int) -> None:
        before = time.process_time()
        parameter_space = space([definition])
        assert len(parameter_space) == length
        last = parameter_space.slice(length - 100, length + 5)
        assert len(last) == 100
        # Making them would take seconds; no threshold of speed, one of kind.
        assert time.process_time() - before < 2

    def test_past_the_end(self) -> None:
        parameter_space = space([{"name": "Frame", "type": "INT", "range": "1-3"}])
        for ordinal in (3, -1):
            with pytest.raises(IndexError) as raised:
                parameter_space.get(ordinal)
            assert str(raised.value) == f"There is no task {ordinal}: the step 'render' has 3 tasks, counted from 0."
        assert [task["Frame"]["value"] for task in parameter_space] == ["1", "2", "3"]
        with pytest.raises(ValueError) as raised_value:  # noqa: PT011
            parameter_space.slice(-1, 2)
        assert str(raised_value.value) == "A slice of tasks counts from 0, but -1 to 2 was asked for."


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
