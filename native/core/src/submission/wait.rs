//! Waiting for the farm to create the job.

use std::time::{Duration, Instant};

use super::{Callbacks, Lane, Submission};
use crate::error::{CoreError, Result};
use crate::service::Service;

/// After the first look, which comes at once: a farm on this machine has made the job by then.
const FIRST_DELAY: Duration = Duration::from_millis(300);
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// Looks at the job until it is no longer being created; gives the service's sentence about it.
pub(super) fn until_created(
    lane: &Lane<'_>,
    service: &Service,
    submission: &Submission,
    job_id: &str,
    callbacks: &Callbacks<'_>,
) -> Result<String> {
    let started = Instant::now();
    let mut delay = Duration::ZERO;
    loop {
        lane.run(async {
            tokio::time::sleep(delay).await;
            Ok(())
        })?;
        if callbacks.on_continue.is_some_and(|go_on| !go_on()) {
            return Err(CoreError::WaiterCanceled(format!(
                "The wait for the job {job_id} was canceled. The job itself goes on; cancel it if it is not wanted."
            )));
        }
        let job = lane.run(service.get_job(&submission.farm_id, &submission.queue_id, job_id))?;
        // `state` is what the member was called before the protocol was published.
        let status = job["lifecycleStatus"].as_str().or_else(|| job["state"].as_str()).unwrap_or_default();
        let message = job["lifecycleStatusMessage"].as_str().unwrap_or_default();
        match status {
            "CREATE_IN_PROGRESS" => {}
            "CREATE_FAILED" => {
                return Err(CoreError::Operation(format!(
                    "The farm could not create the job {job_id}: {message} Correct the bundle, and submit it again."
                )));
            }
            _ => return Ok(message.to_owned()),
        }
        if started.elapsed() >= submission.create_timeout {
            return Err(CoreError::TimedOut(format!(
                "The job {job_id} was not created within {} seconds. Look at it later with `shotput job show \
                 {job_id}`.",
                submission.create_timeout.as_secs_f64()
            )));
        }
        delay = (delay * 2).clamp(FIRST_DELAY, LONGEST_DELAY);
    }
}
