//! What only the whole reading can show.

mod abuse;
mod destinations;
mod diffs;
mod examples;
mod guide;
mod handsets;
mod mutations;
mod numbering;
mod problems;
mod tls;
mod values;
mod words;

/// A file with nothing but what is required, and every line of it known by number.
pub(crate) const MINIMAL: &str = r#"[storage]
data = "./tidegate-data"
key_ring = "./tidegate-keys"
kek_file = "./tidegate-kek/kek"
[[listen]]
address = "127.0.0.1:2775"
[[account]]
system_id = "example"
password_hashes = ["$argon2id$v=19$m=19456,t=2,p=1$XyyRamUkVmkzj0sh/+/QmA$nnI+s8jPQKNyyp/xu1SVvxYzgVicvgxKv4aywyZIvt0"]
[[carrier]]
name = "example"
addresses = ["127.0.0.1:2900"]
system_id = "tidegate"
password_env = "TIDEGATE_EXAMPLE_PASSWORD"
[[route.mt]]
prefix = ""
carriers = ["example"]
[[route.mo]]
number = "*"
account = "example"
"#;
