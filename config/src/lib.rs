//! Tidegate's configuration: one TOML file, read whole, every problem reported at once.
