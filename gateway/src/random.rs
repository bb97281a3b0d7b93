//! Where randomness comes from: one generator per thread of work, seeded by the system, passed on as an
//! argument, so that tests can bring their own.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use zeroize::Zeroizing;

/// The system gave no randomness: without it there are no keys.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no randomness: {0}")]
pub struct NoRandomness(#[from] getrandom::Error);

/// A generator of its own, from another.
pub(crate) fn fork(rng: &mut ChaCha20Rng) -> ChaCha20Rng {
    let mut seed = Zeroizing::new([0; 32]);
    rng.fill_bytes(&mut seed[..]);
    ChaCha20Rng::from_seed(*seed)
}

/// A generator that is fit for keys and that nobody else has.
pub fn generator() -> Result<ChaCha20Rng, NoRandomness> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut seed[..])?;
    Ok(ChaCha20Rng::from_seed(*seed))
}
