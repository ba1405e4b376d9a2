"""Templates that are checked and decoded."""

from __future__ import annotations

import json

import pytest
from shotput import _native
from shotput.errors import TemplateError
from templates import job_template, step


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
