//! A password that is taken back while a bind with it is being checked.

use tidegate_codec::identity::Password;
use tidegate_config::{Config, PasswordHash};
use tidegate_gateway::credentials::Credential;

use super::*;

/// Of no password.
const OTHER: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The bench's configuration with another hash in the place of this one.
fn config_with(hash: &PasswordHash) -> Config {
    let text = include_str!("../../../config/bench.toml").replace(hash.expose(), OTHER);
    tidegate_config::parse(&text).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn a_bind_that_was_let_in_by_a_hash_that_is_gone_is_refused() {
    scenario(|| async {
        let setup = Setup::new(bench_config(), 1 << 20, 1 << 28);
        let world = World::start_with(&setup, FaultyDisk::new(), Clock::virtual_from(START_MS), 53).unwrap();
        let hash = &setup.config.accounts[0].password_hashes[0];
        let (by, other) = (Credential::of(hash), config_with(hash));
        let (link, mut esme) = world.numbered_esme();
        world.hub.look(|gate, _| gate.set_credential(link, by));
        assert_eq!(esme.bind(b"secret").await, CommandStatus::ROK);
        // The check was made before the reload, its answer comes behind it.
        let (link, mut late) = world.numbered_esme();
        world.hub.look(|gate, _| gate.set_credential(link, by));
        let passwords = vec![Password::new(b"secret", 9).unwrap()];
        let taken = world
            .hub
            .with_gate(|gate, now| gate.reconfigure(now, &other, passwords, false));
        assert!(taken.is_ok());
        assert_eq!(late.bind(b"secret").await, CommandStatus::RBINDFAIL);
        esme.expect(CommandId::UNBIND).await;
        let left = world.hub.look(|gate, _| gate.accounts()[0].links.len());
        assert_eq!(left, 0);
    });
}
