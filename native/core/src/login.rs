//! Who the service takes the caller for, and the Deadline Cloud monitor that logs people in and out.
//!
//! The monitor is a program of the user's. It is started with the profile's name, its output is only shown when it
//! fails, and whether somebody is logged in is asked at the service and never at the monitor.

use std::fs::File;
use std::future::Future;
use std::io::{Read as _, Seek as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::config::{Config, expand_home};
use crate::credentials::{CredentialsSource, Target, credentials_source};
use crate::error::{CoreError, Result};
use crate::service::{Service, block_on, forget_queue_roles};

/// Time between two questions whether the login is done.
const POLL: Duration = Duration::from_millis(500);
/// Time between two looks at a program that is to end by itself.
const WATCH: Duration = Duration::from_millis(50);
/// More of what a failed monitor said is cut off.
const MOST_OUTPUT: u64 = 64 * 1024;

/// What the service thinks of the caller. The names are those of the official client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AuthStatus {
    /// It refuses or is silent, and no login would change that.
    ConfigurationError,
    /// It answers.
    Authenticated,
    /// The login through the monitor ended.
    NeedsLogin,
}

impl AuthStatus {
    /// From an answer, or none, and where the credentials come from.
    #[must_use]
    pub fn of(answered: bool, source: CredentialsSource) -> Self {
        match (answered, source) {
            (true, _) => Self::Authenticated,
            (false, CredentialsSource::DeadlineCloudMonitorLogin) => Self::NeedsLogin,
            (false, _) => Self::ConfigurationError,
        }
    }
}

/// Whether the service answers whoever it is connected for. Only a cancel is an error.
pub async fn is_answered(service: impl Future<Output = Result<Service>>) -> Result<bool> {
    let probe = async { service.await?.probe().await };
    match probe.await {
        Ok(()) => Ok(true),
        Err(err @ CoreError::Canceled(_)) => Err(err),
        Err(_) => Ok(false),
    }
}

/// The Deadline Cloud monitor of a configuration, for its AWS profile.
#[derive(Debug)]
pub struct Monitor {
    config: Config,
    program: PathBuf,
    profile: String,
}

impl Monitor {
    /// The monitor that made the profile of `config`.
    ///
    /// # Errors
    /// `UnsupportedProfile` when the profile was not made by the monitor; `Config` when its program is not known.
    pub fn of(config: Config, token: &CancellationToken) -> Result<Self> {
        let configured = config.get("defaults.aws_profile_name")?;
        let profile = if ["", "default"].contains(&configured.as_str()) { "(default)".into() } else { configured };
        if block_on(token, credentials_source(&config))? != CredentialsSource::DeadlineCloudMonitorLogin {
            return Err(CoreError::UnsupportedProfile(format!(
                "Logging in and out is only supported for AWS profiles that the Deadline Cloud monitor made; the \
                 profile {profile:?} is none. Log in with the tool that made it, or set defaults.aws_profile_name in \
                 {} to a profile of the monitor.",
                config.path().display()
            )));
        }
        let program = config.get("deadline-cloud-monitor.path")?;
        if program.is_empty() {
            return Err(CoreError::Config(format!(
                "The setting deadline-cloud-monitor.path in {} is empty, so the Deadline Cloud monitor cannot be \
                 started. Start the monitor once and log in there, or set the path of its program.",
                config.path().display()
            )));
        }
        Ok(Self { program: expand_home(&program), profile, config })
    }

    /// The name of the AWS profile, `(default)` for the default one.
    #[must_use]
    pub fn profile(&self) -> &str {
        &self.profile
    }

    /// Starts the monitor and waits until the service answers. `on_pending` is called once when the monitor runs;
    /// `is_canceled` is asked between two looks. The monitor goes on when the login is done.
    ///
    /// # Errors
    /// `Canceled`; `Operation` when the monitor cannot be started, or fails.
    pub fn login(
        &self,
        on_pending: &dyn Fn(),
        is_canceled: &dyn Fn() -> bool,
        token: &CancellationToken,
    ) -> Result<String> {
        let mut running = self.start("login")?;
        on_pending();
        let outcome = block_on(token, self.wait_for_login(&mut running, is_canceled));
        match outcome {
            Ok(()) => {
                running.leave();
                Ok(format!("Deadline Cloud monitor profile: {}", self.profile))
            }
            Err(err) => {
                running.kill();
                Err(match err {
                    CoreError::Canceled(_) => {
                        CoreError::Canceled(format!("The login to the profile {:?} was canceled.", self.profile))
                    }
                    err => err,
                })
            }
        }
    }

    async fn wait_for_login(&self, running: &mut Running, is_canceled: &dyn Fn() -> bool) -> Result<()> {
        let canceled = || CoreError::Canceled(String::new());
        loop {
            // Roles that were assumed for somebody else must not outlive a login.
            forget_queue_roles();
            let probe = is_answered(async { Service::connect(&Target::resolve(&self.config).await?).await });
            tokio::pin!(probe);
            // A service that is slow to answer does not keep a person from canceling.
            let answered = loop {
                tokio::select! {
                    biased;
                    answered = &mut probe => break answered?,
                    () = tokio::time::sleep(POLL) => if is_canceled() { return Err(canceled()) },
                }
            };
            if answered {
                return Ok(());
            }
            if is_canceled() {
                return Err(canceled());
            }
            // A monitor that hands over to one that runs already ends at once, and well.
            if let Some(status) = running.ended()?
                && !status.success()
            {
                return Err(self.failure("login", status, &running.output()));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Has the monitor log out, and gives what it said.
    ///
    /// # Errors
    /// `Canceled`; `Operation` when the monitor cannot be started, or fails.
    pub fn logout(&self, token: &CancellationToken) -> Result<String> {
        let mut running = self.start("logout")?;
        let ended = block_on(token, async {
            loop {
                if let Some(status) = running.ended()? {
                    return Ok(status);
                }
                tokio::time::sleep(WATCH).await;
            }
        });
        let status = match ended {
            Ok(status) => status,
            Err(err) => {
                running.kill();
                return Err(match err {
                    CoreError::Canceled(_) => {
                        CoreError::Canceled(format!("The logout from the profile {:?} was canceled.", self.profile))
                    }
                    err => err,
                });
            }
        };
        let output = running.output();
        if !status.success() {
            return Err(self.failure("logout", status, &output));
        }
        forget_queue_roles();
        Ok(output)
    }

    fn start(&self, verb: &str) -> Result<Running> {
        let refuse = |err: std::io::Error| {
            CoreError::Operation(format!(
                "Cannot start the Deadline Cloud monitor {}: {err}. Install the monitor, or correct \
                 deadline-cloud-monitor.path in {}.",
                self.program.display(),
                self.config.path().display()
            ))
        };
        // A file and no pipe: the monitor writes on when nobody reads any more.
        let output = tempfile::tempfile().map_err(refuse)?;
        // On Windows a program without a standard input opens a console.
        let input = if cfg!(windows) { Stdio::piped() } else { Stdio::null() };
        let child = Command::new(&self.program)
            .args([verb, "--profile", &self.profile])
            .stdin(input)
            .stdout(output.try_clone().map_err(refuse)?)
            .stderr(Stdio::null())
            .spawn()
            .map_err(refuse)?;
        Ok(Running { child, output })
    }

    fn failure(&self, verb: &str, status: ExitStatus, output: &str) -> CoreError {
        let how = match status.code() {
            Some(code) => format!("ended with code {code}"),
            None => format!("was ended ({status})"),
        };
        let said = if output.trim().is_empty() { "nothing".into() } else { format!("{:?}", output.trim()) };
        CoreError::Operation(format!(
            "The Deadline Cloud monitor {how} at the {verb} of the profile {:?}, and said {said}. Try again, or {verb} \
             in the monitor itself.",
            self.profile
        ))
    }
}

/// A monitor that was started here.
struct Running {
    child: Child,
    output: File,
}

impl Running {
    fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().map_err(|err| {
            CoreError::Operation(format!("The Deadline Cloud monitor cannot be watched: {err}. Log in there by hand."))
        })
    }

    /// What it wrote. It shares the place in the file with the program, so this is for one that ended.
    fn output(&mut self) -> String {
        let mut bytes = Vec::new();
        let read = self.output.rewind().and_then(|()| (&self.output).take(MOST_OUTPUT).read_to_end(&mut bytes));
        if read.is_err() {
            return String::new();
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn kill(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Lets it run on. Somebody has to take note when it ends, or it stays in the table of processes.
    fn leave(self) {
        let mut child = self.child;
        let waiter = std::thread::Builder::new().name("shotput-monitor".into()).stack_size(64 * 1024);
        // Without a thread it stays in the table until this process ends: no reason to fail a login.
        let _ = waiter.spawn(move || child.wait());
    }
}
