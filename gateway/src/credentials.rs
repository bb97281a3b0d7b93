//! Whether a system_id and a password belong together (design §6, SEC-2 to SEC-4).
//!
//! argon2id is slow on purpose: 19 ms of CPU and 19 MiB each. So checks run on blocking threads of a
//! runtime, a few at a time, from a bounded [`queue`]; simultaneous binds with one credential share one
//! check; and what was right is remembered for [`REMEMBERED`] as an HMAC under a key that lives as long as
//! the process. Wrong ones are not remembered: each guess costs its guesser a place in the queue.
//!
//! A name that is no account's is checked like one that is ([`accounts`]), so neither the answer nor its
//! time tells which names exist.

mod accounts;
mod queue;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use argon2::password_hash::PasswordHasher as _;
use argon2::{Algorithm, Argon2, Params, Version};
use rand_core::CryptoRng;
use tidegate_codec::identity::Password;
use tidegate_config::{Account, Limits};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::clock::Clock;
use accounts::{Accounts, Work};
use queue::{Entered, Queue, Ticket};

/// How long a password that was right is not computed again, unless a reload changes the hashes of its account.
pub const REMEMBERED: Duration = Duration::from_secs(5 * 60);
/// Checks that run at a time unless somebody says otherwise: one core's worth, of which a rebind of all
/// clients needs 19 s for a thousand credentials.
pub const DEFAULT_WORKERS: usize = 1;

/// Costs of new hashes: memory in KiB, passes, lanes (SEC-3).
const COSTS: (u32, u32, u32) = (19_456, 2, 1);
/// Octets of salt and of hash in new ones.
const SALT_LEN: usize = 16;
const HASH_LEN: usize = 32;

/// By which of its account's hashes a bind was let in: the beginning of the hash's own hash. It is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credential(u64);

/// What a bind is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The password is the account's, by this hash.
    Granted(Credential),
    /// It is not, or there is no such account: 0x0D for both (SEC-4).
    Denied,
    /// Nobody looked: too many wait, or the check could not be made. Trying again may help.
    Busy,
}

/// Bounds of a [`Verifier`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Binds that wait at a time, those that share a check included (`limits.bind_queue`).
    pub queue: usize,
    /// How long clients wait; past it the newest is served first (`limits.bind_wait`).
    pub wait: Duration,
    /// Checks at a time, at least 1: [`DEFAULT_WORKERS`].
    pub workers: usize,
}

impl From<&Limits> for Bounds {
    fn from(limits: &Limits) -> Self {
        Self {
            queue: limits.bind_queue,
            wait: limits.bind_wait,
            workers: DEFAULT_WORKERS,
        }
    }
}

/// Checks passwords. Cheap to clone; all clones share queue and memory.
#[derive(Clone)]
pub struct Verifier(Arc<Shared>);

struct Shared {
    accounts: Mutex<Accounts>,
    queue: Mutex<Queue<Work, oneshot::Sender<Verdict>>>,
    clock: Clock,
    runtime: Handle,
}

impl Verifier {
    /// A verifier of these accounts, whose checks run on the blocking threads of `runtime`.
    pub fn new(
        accounts: &[Account],
        bounds: Bounds,
        clock: Clock,
        runtime: Handle,
        rng: &mut impl CryptoRng,
    ) -> Self {
        Self(Arc::new(Shared {
            accounts: Mutex::new(Accounts::new(accounts, rng)),
            queue: Mutex::new(Queue::new(bounds)),
            clock,
            runtime,
        }))
    }

    /// Takes other accounts and bounds over. What was remembered of an account whose hashes are others now means nothing
    /// any more, nor does a check of them that still runs.
    pub fn set_accounts(&self, accounts: &[Account], bounds: Bounds) {
        self.0.accounts().set(accounts);
        self.0.lock().set_bounds(bounds);
        pump(&self.0);
    }

    /// Checks a credential; `system_id` as it stood in the bind, whatever that was. Begins at once;
    /// dropping the future gives the place in the queue free, so let it fall when the socket closes.
    ///
    /// Ready at the first poll if the answer needs no computing. Takes about a microsecond of the caller.
    pub fn check(&self, system_id: &[u8], password: Password) -> Check {
        let accounts = self.0.accounts();
        let tag = accounts.tag(system_id, &password);
        let now = self.0.clock.now().monotonic;
        let (sender, receiver) = oneshot::channel();
        let entered = self
            .0
            .lock()
            .enter(now, tag, sender, || accounts.work(system_id, password));
        drop(accounts);
        let state = match entered {
            Entered::Remembered(by) => State::Known(Verdict::Granted(by)),
            Entered::Full => State::Known(Verdict::Busy),
            Entered::Waiting(ticket) => {
                pump(&self.0);
                State::Waiting {
                    receiver,
                    _place: Place {
                        shared: Arc::clone(&self.0),
                        ticket,
                    },
                }
            }
        };
        Check(state)
    }

    /// Binds that wait for their check, for the metric.
    pub fn waiting(&self) -> usize {
        self.0.lock().waiting()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

impl Shared {
    /// Taken before the queue's, where both are.
    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Queue<Work, oneshot::Sender<Verdict>>> {
        // The queue is never left half changed: what could panic runs outside the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts as many checks as may run.
fn pump(shared: &Arc<Shared>) {
    loop {
        let Some((number, work)) = shared.lock().next(shared.clock.now().monotonic) else {
            return;
        };
        let running = Running {
            shared: Arc::clone(shared),
            number,
            begun: false,
            granted: None,
        };
        shared.runtime.spawn_blocking(move || running.run(&work));
    }
}

/// One check under way. However it ends, its waiters hear of it and its worker is free again.
struct Running {
    shared: Arc<Shared>,
    number: u64,
    begun: bool,
    /// `None`: the check could not be made.
    granted: Option<Option<Credential>>,
}

impl Running {
    fn run(mut self, work: &Work) {
        self.begun = true;
        let granted = work.check();
        // Hashes that a reload has taken away meanwhile say nothing: whoever asks again is told.
        self.granted = granted.filter(|_| self.shared.accounts().has(work));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let now = self.shared.clock.now().monotonic;
        let waiters = self.shared.lock().done(now, self.number, self.granted.flatten());
        let verdict = match self.granted {
            Some(Some(by)) => Verdict::Granted(by),
            Some(None) => Verdict::Denied,
            None => Verdict::Busy,
        };
        for waiter in waiters {
            // Who has gone does not want to know.
            let _ = waiter.send(verdict);
        }
        // A runtime that shuts down drops its tasks unbegun; more of them would end the same way.
        if self.begun {
            pump(&self.shared);
        }
    }
}

/// The answer to [`Verifier::check`], when it is there.
#[must_use = "dropping it gives up the check"]
pub struct Check(State);

enum State {
    Known(Verdict),
    Waiting {
        receiver: oneshot::Receiver<Verdict>,
        /// Held for what its end does.
        _place: Place,
    },
}

/// A place in the queue, given free when it is dropped.
struct Place {
    shared: Arc<Shared>,
    ticket: Ticket,
}

impl Drop for Place {
    fn drop(&mut self) {
        let left = self.shared.lock().leave(self.ticket);
        // Outside the lock: it wipes a password or closes a channel.
        drop(left);
    }
}

impl Future for Check {
    type Output = Verdict;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Verdict> {
        let verdict = match &mut self.0 {
            State::Known(verdict) => *verdict,
            // The sender falls unused only if the process is going down.
            State::Waiting { receiver, .. } => {
                std::task::ready!(Pin::new(receiver).poll(cx)).unwrap_or(Verdict::Busy)
            }
        };
        self.0 = State::Known(verdict);
        Poll::Ready(verdict)
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Check")
    }
}

/// argon2id would not make a hash: there is no memory, as far as anybody knows.
#[derive(Debug, thiserror::Error)]
#[error("cannot hash the password: {0}")]
pub struct HashError(argon2::password_hash::Error);

/// The PHC string of a password for `password_hashes`, with a fresh salt.
pub fn hash_password(password: &Password, rng: &mut impl CryptoRng) -> Result<String, HashError> {
    let (memory, passes, lanes) = COSTS;
    let mut salt = [0; SALT_LEN];
    rng.fill_bytes(&mut salt);
    let params = Params::new(memory, passes, lanes, Some(HASH_LEN))
        .map_err(|_| HashError(argon2::password_hash::Error::ParamsInvalid))?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = argon2.hash_password_with_salt(password.expose(), &salt);
    Ok(hash.map_err(HashError)?.to_string())
}

#[cfg(test)]
mod tests;
