//! Admission and routing allocate nothing for a message.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use allocation_counter::measure;
use tidegate_benches::desk::{Asker, Desk, MESSAGES};

#[test]
fn a_message_is_admitted_and_routed_without_an_allocation() {
    for (asker, carriers) in [(Asker::Plain, 1), (Asker::Typical, 3), (Asker::ByCountry, 3)] {
        let dir = tempfile::tempdir().unwrap();
        let mut desk = Desk::new(asker, dir.path()).unwrap();
        // What is made when it is first asked for is made. None is refused: a refusal costs nothing.
        let mut chosen: Vec<_> = (0..MESSAGES).map(|_| desk.take().unwrap()).collect();
        chosen.sort_unstable();
        chosen.dedup();
        assert_eq!(chosen.len(), carriers, "{asker:?}");
        let counted = measure(|| {
            for _ in 0..MESSAGES {
                let _ = desk.take();
            }
        });
        assert_eq!(counted.count_total, 0, "{asker:?}");
    }
}
