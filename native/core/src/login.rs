//! Who the service takes the caller for, and the programs that log people in and out.
//!
//! The Deadline Cloud monitor and the AWS command are programs of the user's. They are started with the profile's name,
//! their output is only shown when they fail, and whether somebody is logged in is asked at the service and never there.

use std::fs::File;
use std::future::Future;
use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use s3s::crypto::{Checksum as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, expand_home};
use crate::credentials::{CredentialsSource, ProfileLogin, Target, login_of};
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
    /// The login ended, through the monitor or to the AWS console.
    NeedsLogin,
}

impl AuthStatus {
    /// From an answer, or none, and where the credentials come from.
    #[must_use]
    pub fn of(answered: bool, source: CredentialsSource) -> Self {
        match (answered, source) {
            (true, _) => Self::Authenticated,
            (false, CredentialsSource::DeadlineCloudMonitorLogin | CredentialsSource::AwsConsoleLogin) => {
                Self::NeedsLogin
            }
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

/// The AWS profile of a configuration, and what logs it in and out.
#[derive(Debug)]
pub struct Login {
    config: Config,
    profile: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// The monitor made the profile, and does everything.
    Monitor(PathBuf),
    /// A sign-in to the AWS console. The monitor opens the browser for it where it is installed, else the AWS command.
    Console { session: String, monitor: Option<PathBuf> },
}

impl Login {
    /// For the profile of `config`.
    ///
    /// # Errors
    /// `UnsupportedProfile` when nobody logs in to the profile; `Config` when it is one of the monitor, and the
    /// monitor's program is not known.
    pub fn of(config: Config, token: &CancellationToken) -> Result<Self> {
        let configured = config.get("defaults.aws_profile_name")?;
        let profile = if ["", "default"].contains(&configured.as_str()) { "(default)".into() } else { configured };
        let path = config.get("deadline-cloud-monitor.path")?;
        let monitor = (!path.is_empty()).then(|| expand_home(&path));
        let kind = match (block_on(token, login_of(&config))?, monitor) {
            (ProfileLogin::Console { session }, monitor) => Kind::Console { session, monitor },
            (ProfileLogin::Monitor, Some(program)) => Kind::Monitor(program),
            (ProfileLogin::Monitor, None) => {
                return Err(CoreError::Config(format!(
                    "The setting deadline-cloud-monitor.path in {} is empty, so the Deadline Cloud monitor cannot be \
                     started. Start the monitor once and log in there, or set the path of its program.",
                    config.path().display()
                )));
            }
            (ProfileLogin::None, _) => {
                return Err(CoreError::UnsupportedProfile(format!(
                    "Logging in and out is only supported for AWS profiles of the Deadline Cloud monitor and of \
                     sign-ins to the AWS console; the profile {profile:?} is neither. Log in with the tool that made \
                     it, or set defaults.aws_profile_name in {} to such a profile.",
                    config.path().display()
                )));
            }
        };
        Ok(Self { config, profile, kind })
    }

    /// Where the credentials of the profile come from.
    #[must_use]
    pub fn source(&self) -> CredentialsSource {
        match self.kind {
            Kind::Monitor(_) => CredentialsSource::DeadlineCloudMonitorLogin,
            Kind::Console { .. } => CredentialsSource::AwsConsoleLogin,
        }
    }

    /// Starts the program that logs in and waits until the service answers. `on_pending` is called once when the
    /// program runs; `is_canceled` is asked between two looks. A monitor goes on when the login is done.
    ///
    /// # Errors
    /// `LoginCanceled`; `Operation` when the program cannot be started, or fails.
    pub fn log_in(
        &self,
        on_pending: &dyn Fn(),
        is_canceled: &dyn Fn() -> bool,
        token: &CancellationToken,
    ) -> Result<String> {
        let (label, program) = match &self.kind {
            Kind::Monitor(path) => ("Deadline Cloud monitor profile", self.monitor(path)),
            Kind::Console { monitor: Some(path), .. } => ("AWS Console sign-in profile", self.monitor(path)),
            Kind::Console { monitor: None, .. } => ("AWS Console sign-in profile", self.aws_command()),
        };
        let mut running = program.start("login")?;
        on_pending();
        let outcome = block_on(token, self.wait_for_login(&mut running, is_canceled));
        match outcome {
            Ok(()) => {
                running.leave();
                Ok(format!("{label}: {}", self.profile))
            }
            Err(err) => {
                running.kill();
                Err(match err {
                    CoreError::Canceled(_) => {
                        CoreError::LoginCanceled(format!("The login to the profile {:?} was canceled.", self.profile))
                    }
                    err => err,
                })
            }
        }
    }

    async fn wait_for_login(&self, running: &mut Running<'_>, is_canceled: &dyn Fn() -> bool) -> Result<()> {
        let canceled = || CoreError::Canceled(String::new());
        loop {
            // Keys that still hold while the AWS command runs are not those of the login that it does.
            if running.program.stays || running.ended()?.is_some_and(|status| status.success()) {
                // Roles that were assumed for somebody else must not outlive a login.
                forget_queue_roles();
                let probe = async { Service::connect(&Target::resolve(&self.config).await?).await?.probe().await };
                tokio::pin!(probe);
                // A service that is slow to answer does not keep a person from canceling.
                let answer = loop {
                    tokio::select! {
                        biased;
                        answer = &mut probe => break answer,
                        () = tokio::time::sleep(POLL) => if is_canceled() { return Err(canceled()) },
                    }
                };
                match answer {
                    Ok(()) => return Ok(()),
                    Err(err @ CoreError::Canceled(_)) => return Err(err),
                    Err(err) if !running.program.stays => {
                        return Err(CoreError::Operation(format!(
                            "The profile {:?} is signed in to the AWS console, but Deadline Cloud does not take it: \
                             {err}",
                            self.profile
                        )));
                    }
                    Err(_) => {}
                }
            }
            if is_canceled() {
                return Err(canceled());
            }
            // A monitor that hands over to one that runs already ends at once, and well.
            if let Some(status) = running.ended()?
                && !status.success()
            {
                return Err(running.failure("login", status));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Logs out, and gives what the monitor said, or a sentence where a console sign-in ended.
    ///
    /// # Errors
    /// `Canceled`; `Operation` when the monitor cannot be started, or fails, or the keys cannot be removed.
    pub fn log_out(&self, token: &CancellationToken) -> Result<String> {
        let said = match &self.kind {
            Kind::Monitor(path) => self.have_monitor_log_out(path, token)?,
            Kind::Console { session, monitor } => {
                self.forget_console_session(session)?;
                // A monitor that still takes the profile for signed in would answer the next login by doing nothing.
                match monitor.as_ref().map(|path| self.have_monitor_log_out(path, token)) {
                    Some(Err(err @ CoreError::Canceled(_))) => return Err(err),
                    Some(Err(err)) => log::warn!(
                        "{err} The profile is logged out all the same; quit the monitor before the next login."
                    ),
                    Some(Ok(_)) | None => {}
                }
                format!("Successfully logged out of AWS Console sign-in profile: {}", self.profile)
            }
        };
        forget_queue_roles();
        Ok(said)
    }

    /// Removes the keys of a sign-in to the AWS console, where all AWS tools keep them.
    fn forget_console_session(&self, session: &str) -> Result<()> {
        let folder = match std::env::var("AWS_LOGIN_CACHE_DIRECTORY") {
            Ok(folder) if !folder.is_empty() => expand_home(&folder),
            _ => expand_home("~/.aws/login/cache"),
        };
        let file = folder.join(hex::encode(Sha256::checksum(session.as_bytes()))).with_extension("json");
        match std::fs::remove_file(&file) {
            // Nothing is there: it was logged out before.
            Err(err) if err.kind() != std::io::ErrorKind::NotFound => Err(CoreError::Operation(format!(
                "Cannot remove the keys of the profile {:?}, the file {}: {err}. Remove it by hand.",
                self.profile,
                file.display()
            ))),
            _ => Ok(()),
        }
    }

    fn have_monitor_log_out(&self, path: &Path, token: &CancellationToken) -> Result<String> {
        let program = self.monitor(path);
        let mut running = program.start("logout")?;
        let ended = block_on(token, async {
            loop {
                if let Some(status) = running.ended()? {
                    return Ok(status);
                }
                tokio::time::sleep(WATCH).await;
            }
        });
        match ended {
            Ok(status) if status.success() => Ok(running.output()),
            Ok(status) => Err(running.failure("logout", status)),
            Err(err) => {
                running.kill();
                Err(match err {
                    CoreError::Canceled(_) => {
                        CoreError::Canceled(format!("The logout from the profile {:?} was canceled.", self.profile))
                    }
                    err => err,
                })
            }
        }
    }

    fn monitor(&self, path: &Path) -> Program {
        Program {
            name: "Deadline Cloud monitor",
            path: path.to_owned(),
            profile: self.profile.clone(),
            remedy: format!(
                "Install the monitor, or correct deadline-cloud-monitor.path in {}.",
                self.config.path().display()
            ),
            stays: true,
        }
    }

    fn aws_command(&self) -> Program {
        Program {
            name: "AWS command",
            path: "aws".into(),
            profile: if self.profile == "(default)" { "default".into() } else { self.profile.clone() },
            remedy: format!(
                "Install it (version 2.32 or newer), or the Deadline Cloud monitor (deadline-cloud-monitor.path in {}): \
                 one of the two opens the browser.",
                self.config.path().display()
            ),
            stays: false,
        }
    }
}

/// A program of the user's that logs in and out.
struct Program {
    name: &'static str,
    path: PathBuf,
    /// As the program calls it.
    profile: String,
    /// What to do when it cannot be started.
    remedy: String,
    /// Whether it has a window that stays after the login; else its end is the login's.
    stays: bool,
}

impl Program {
    fn start(&self, verb: &str) -> Result<Running<'_>> {
        let refuse = |err: std::io::Error| {
            CoreError::Operation(format!(
                "Cannot start the {} {}: {err}. {}",
                self.name,
                self.path.display(),
                self.remedy
            ))
        };
        // A file and no pipe: a program that stays writes on when nobody reads any more.
        let output = tempfile::tempfile().map_err(refuse)?;
        let errors = if self.stays { Stdio::null() } else { output.try_clone().map_err(refuse)?.into() };
        // On Windows a program without a standard input opens a console.
        let input = if cfg!(windows) { Stdio::piped() } else { Stdio::null() };
        let child = Command::new(&self.path)
            .args([verb, "--profile", &self.profile])
            .stdin(input)
            .stdout(output.try_clone().map_err(refuse)?)
            .stderr(errors)
            .spawn()
            .map_err(refuse)?;
        Ok(Running { program: self, child, output })
    }
}

/// A program that was started here.
struct Running<'a> {
    program: &'a Program,
    child: Child,
    output: File,
}

impl Running<'_> {
    fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().map_err(|err| {
            CoreError::Operation(format!("The {} cannot be watched: {err}. Log in there by hand.", self.program.name))
        })
    }

    fn failure(&mut self, verb: &str, status: ExitStatus) -> CoreError {
        let how = match status.code() {
            Some(code) => format!("ended with code {code}"),
            None => format!("was ended ({status})"),
        };
        let output = self.output();
        let said = if output.trim().is_empty() { "nothing".into() } else { format!("{:?}", output.trim()) };
        let Program { name, profile, stays, .. } = self.program;
        let then = if *stays {
            format!("{} there by hand", verb.replacen("log", "log ", 1))
        } else {
            format!("run `aws {verb} --profile {profile}` in a terminal")
        };
        CoreError::Operation(format!(
            "The {name} {how} at the {verb} of the profile {profile:?}, and said {said}. Try again, or {then}."
        ))
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
        let waiter = std::thread::Builder::new().name("shotput-login".into()).stack_size(64 * 1024);
        // Without a thread it stays in the table until this process ends: no reason to fail a login.
        let _ = waiter.spawn(move || child.wait());
    }
}
