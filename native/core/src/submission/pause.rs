//! Holding a submission for a while.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// How often a held submission looks whether it was canceled meanwhile.
const LOOK: Duration = Duration::from_millis(50);

/// A switch that several threads hold. A submission stops at its next report of progress and before each of its
/// steps; connections are kept or made anew, and what was sent is not sent again.
#[derive(Debug, Clone, Default)]
pub struct PauseSwitch(Arc<(Mutex<bool>, Condvar)>);

impl PauseSwitch {
    /// Holds all submissions with this switch.
    pub fn pause(&self) {
        *self.lock() = true;
    }

    /// Lets them go on.
    pub fn resume(&self) {
        *self.lock() = false;
        self.0.1.notify_all();
    }

    /// Whether they are held.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        *self.lock()
    }

    /// Waits until the switch is off, or the token ends the work.
    pub(super) fn hold(&self, token: &CancellationToken) {
        let mut paused = self.lock();
        while *paused && !token.is_cancelled() {
            let woken = self.0.1.wait_timeout(paused, LOOK);
            paused = woken.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.0.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
