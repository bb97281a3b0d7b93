//! The gateway: sockets, tasks, time and policy over [`tidegate_codec`], [`tidegate_config`] and
//! [`tidegate_store`].

pub mod clock;
