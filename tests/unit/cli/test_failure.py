import pickle

import pytest
from shotput import errors
from shotput.cli.failure import CommandFailure, ExitCode, exit_code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UserInitiatedCancel("no"), ExitCode.CANCELED),
        (errors.CreateJobWaiterCanceled("no"), ExitCode.CANCELED),
        (errors.DeadlineOperationTimedOut("late"), ExitCode.TIMED_OUT),
        (errors.MissingInputsError("gone", ["/a"]), ExitCode.MISSING_FILES),
        (errors.AttachmentsError("bad"), ExitCode.TRANSFER),
        (errors.ConfigError("bad"), ExitCode.CONFIG),
        (errors.UnsupportedProfileTypeForLoginLogout("bad"), ExitCode.CONFIG),
        (errors.ServiceError("bad", "AccessDeniedException", "GetFarm", 403), ExitCode.SERVICE),
        (errors.FarmError("bad"), ExitCode.SERVICE),
        (errors.TemplateError("bad"), ExitCode.DOCUMENT),
        (errors.BundleError("bad"), ExitCode.DOCUMENT),
        (errors.SceneError("bad"), ExitCode.DOCUMENT),
        (errors.SessionError("bad"), ExitCode.FAILED),
        (CommandFailure("bad", ExitCode.FRAMES_DIFFER), ExitCode.FRAMES_DIFFER),
        (KeyboardInterrupt(), ExitCode.CANCELED),
        (ValueError("a fault"), ExitCode.INTERNAL),
    ],
)
def test_each_kind_of_failure_has_its_exit_code(error, code):
    assert exit_code(error) is code


@pytest.mark.parametrize("name", errors.__all__)
def test_every_exception_survives_pickling_with_its_attributes(name):
    kind = getattr(errors, name)
    arguments = {
        "ServiceError": ("text", "ThrottlingException", "GetJob", 429),
        "TemplateError": ("text", [{"path": "steps[0]", "message": "no"}]),
        "ProfileError": ("text", [{"path": "host", "message": "no"}]),
        "MissingInputsError": ("text", ["/a", "/b"]),
    }.get(name, ("text",))
    error = kind(*arguments)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert str(copy) == "text"
    assert vars(copy) == vars(error)
    assert isinstance(copy, errors.DeadlineOperationError)
