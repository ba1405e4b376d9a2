"""The native module: Rust under a Python name. Values cross as plain dicts and lists, errors are ``shotput.errors``."""
# Every function that may block releases the GIL. `config_path` names the client configuration file
# (default: $DEADLINE_CONFIG_FILE_PATH, else ~/.deadline/config). `target` is a resolved target as a dict (for the local
# farm: `shotput.local_farm.FarmState.target()`); with it, no configuration file and no AWS profile is read.

from typing import Any, Literal, final

__version__: str

# --- Open Job Description: templates, jobs, parameter spaces ---

def check_template(document: str | dict[str, Any], kind: Literal["job", "environment"] = "job") -> list[dict[str, str]]:
    """List everything in a template that breaks the OpenJD rules.

    ``document`` is YAML or JSON text, or plain values. Each finding is ``{"path", "message"}``, with a path like
    ``steps[0] -> script -> actions -> onRun`` (``""`` for the document as a whole); an empty list means valid. Text
    that is not YAML and duplicate keys are findings too. Mistakes of shape come first: while there are any, the rules about
    meaning are not looked at.
    """

def decode_job_template(document: str | dict[str, Any]) -> JobTemplate:
    """Decode a job template. Raises ``TemplateError`` with every finding."""

def decode_environment_template(document: str | dict[str, Any]) -> EnvironmentTemplate:
    """Decode an environment template. Raises ``TemplateError`` with every finding."""

def parse_template(text: str) -> dict[str, Any]:
    """Read a template's YAML or JSON, no rules applied. Raises ``TemplateError`` when it is neither, or no mapping."""

def create_job(
    template: JobTemplate | str | dict[str, Any],
    parameter_values: dict[str, Any] | None = None,
    *,
    environment_templates: list[EnvironmentTemplate | str | dict[str, Any]] | None = None,
    job_template_dir: str | None = None,
    current_dir: str | None = None,
) -> Job:
    """Put parameter values into a template.

    ``parameter_values`` maps names to texts, numbers, booleans or lists. ``environment_templates`` are the queue's, in
    the order they are entered: their parameters are merged with the template's. With ``job_template_dir`` relative
    defaults of PATH parameters are joined to it and may not leave it; with ``current_dir`` relative PATH values are
    joined to it; without, they stay as written. Raises ``TemplateError`` with a finding (path: the parameter's name)
    for each value that is missing, unknown, of the wrong type or outside its constraints.
    """

def step_from_template(
    template: str | dict[str, Any],
    parameters: dict[str, dict[str, Any]] | None = None,
    *,
    schema_version: str = "jobtemplate-2023-09",
    extensions: list[str] | None = None,
    job_name: str | None = None,
) -> Step:
    """Make a step from ``stepDetails.template`` of BatchGetJobEntity and ``jobDetails.parameters``.

    Parameters are typed: ``{"Frame": {"int": "1"}}`` or ``{"Frame": {"type": "INT", "value": "1"}}``. ``extensions``
    are the job's, None allows all. ``Step.script`` is what ``Session.run_task`` takes. Raises ``TemplateError`` (paths
    within the step's template) and ``SessionError`` (schema version not supported).
    """

def environment_from_template(
    template: str | dict[str, Any],
    parameters: dict[str, dict[str, Any]] | None = None,
    *,
    schema_version: str = "jobtemplate-2023-09",
    extensions: list[str] | None = None,
) -> Environment:
    """Make an environment from ``environmentDetails.template`` of BatchGetJobEntity, as ``step_from_template`` does."""

@final
class JobTemplate:
    """A valid job template."""

    @property
    def name(self) -> str:
        """The name, format strings unresolved."""
    @property
    def step_names(self) -> list[str]:
        """Names of the steps, in order."""
    @property
    def document(self) -> dict[str, Any]:
        """The document as it was given."""

@final
class EnvironmentTemplate:
    """A valid environment template."""

    @property
    def name(self) -> str:
        """Name of the environment."""
    @property
    def document(self) -> dict[str, Any]:
        """The document as it was given."""

@final
class Job:
    """A job: a template with every parameter bound."""

    @property
    def name(self) -> str:
        """The name, resolved."""
    @property
    def description(self) -> str | None:
        """The description."""
    @property
    def parameters(self) -> dict[str, dict[str, Any]]:
        """Bound parameters, ``{name: {"type", "value"}}``: values as text, lists as lists. A Session takes them."""
    @property
    def steps(self) -> list[Step]:
        """The steps, in order."""
    @property
    def queue_environments(self) -> list[Environment]:
        """Environments of the queue, in the order they are entered: before those of the job."""
    @property
    def job_environments(self) -> list[Environment]:
        """Environments of the job, in the order they are entered."""
    def to_dict(self) -> dict[str, Any]:
        """Return the job in the shape of a template, resolved as far as the parameters reach."""

@final
class Step:
    """A step of a job."""

    @property
    def name(self) -> str:
        """The name."""
    @property
    def dependencies(self) -> list[str]:
        """Names of the steps that end before this one begins."""
    @property
    def host_requirements(self) -> dict[str, Any] | None:
        """``{"amounts": [{"name", "min", "max"}], "attributes": [{"name", "anyOf", "allOf"}]}``, or None."""
    @property
    def environments(self) -> list[Environment]:
        """Environments of the step, in the order they are entered."""
    @property
    def script(self) -> StepScript:
        """What its tasks run."""
    @property
    def parameter_space(self) -> ParameterSpace | None:
        """Its tasks; None when it has no parameters and thus one task."""
    def to_dict(self) -> dict[str, Any]:
        """Return the step in the shape of a template."""

@final
class StepScript:
    """What the tasks of a step run; a session resolves it for each task."""

    @property
    def step_name(self) -> str:
        """Name of the step."""
    def to_dict(self) -> dict[str, Any]:
        """Return the script in the shape of a template."""

@final
class Environment:
    """An environment that a session enters before tasks and exits after them."""

    @property
    def name(self) -> str:
        """The name."""
    def to_dict(self) -> dict[str, Any]:
        """Return the environment in the shape of a template."""

@final
class ParameterSpace:
    """The tasks of a step, by ordinal; nothing is materialised, however many there are.

    The parameters of a task are ``{name: {"type": "INT|FLOAT|STRING|PATH|CHUNK[INT]", "value": text}}``.
    """

    def __len__(self) -> int:
        """Count the tasks: a chunk is one. In an adaptive space tasks are counted unchunked."""
    @property
    def names(self) -> list[str]:
        """Names of the parameters, as defined."""
    @property
    def task_count(self) -> int:
        """Tasks if nothing were chunked."""
    @property
    def is_adaptive(self) -> bool:
        """Whether chunk sizes are found while the job runs (``targetRuntimeSeconds``)."""
    @property
    def chunk_parameter(self) -> str | None:
        """Name of the CHUNK[INT] parameter."""
    @property
    def default_task_count(self) -> int | None:
        """``chunks.defaultTaskCount``."""
    @property
    def target_runtime_seconds(self) -> int | None:
        """``chunks.targetRuntimeSeconds``; None when it is 0."""
    @property
    def range_constraint(self) -> str | None:
        """``CONTIGUOUS`` or ``NONCONTIGUOUS``."""
    def get(self, ordinal: int) -> dict[str, dict[str, str]]:
        """Return the parameters of one task. Raises IndexError past the end."""
    def __getitem__(self, key: int, /) -> dict[str, dict[str, str]]: ...
    def slice(self, start: int, stop: int) -> list[dict[str, dict[str, str]]]:
        """Return the parameters of tasks ``start`` to ``stop`` (excluded). Raises ValueError below 0."""
    def chunk(self, offset: int, count: int) -> tuple[dict[str, dict[str, str]], int]:
        """Cut the next chunk of an adaptive space: at most ``count`` tasks from unchunked task ``offset``.

        Returns the parameters and the number of tasks covered; the next chunk begins at ``offset`` plus that. A chunk
        ends early where other parameters change and, when CONTIGUOUS, at a gap. In a space that is not adaptive, the
        task at ``offset`` and 1. Raises IndexError past the end.
        """
    def to_dict(self) -> dict[str, Any] | None:
        """Return ``parameterSpace`` as in a template, resolved; None when the step has no parameters."""
