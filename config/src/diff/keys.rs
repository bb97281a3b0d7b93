//! Which keys of a table differ. Each key is named once; one that is left out does not compile.

use std::fmt::Debug;

use crate::abuse::{Abuse, AbuseRules};
use crate::account::{
    Account, CapRules, CategoryRules, Destinations, Numbering, OptOutRules, RetentionTerms,
};
use crate::audit::Audit;
use crate::carrier::{Carrier, Texts, Writing};
use crate::compliance::Compliance;
use crate::content::Screening;
use crate::hours::SendingHours;
use crate::limits::Limits;
use crate::node::{Http, Node};
use crate::quota::Quota;
use crate::retention::Retention;
use crate::storage::Storage;
use crate::tables::Tables;
use crate::tls::AccountTransport;
use crate::words::AccountWords;

/// A key whose value differs.
pub(super) struct KeyChange {
    pub(super) key: &'static str,
    pub(super) what: String,
}

/// A table whose keys can be told apart.
pub(super) trait Keyed: Clone + Eq {
    /// The keys in which `new` differs.
    fn changed_keys(&self, new: &Self) -> Vec<KeyChange>;

    /// All its keys, by which the example and the guide are held.
    #[cfg(test)]
    fn keys(&self) -> Vec<&'static str>;
}

/// Names the keys of tables. `shown` stands before those whose values may be read by everybody: numbers, times and
/// words; all others have "changed". `nested` stands before values whose own keys stand in the same table of the file.
macro_rules! keys {
    ($($table:ident { $($(#$how:ident)? $key:ident),* $(,)? })*) => {
        $(impl Keyed for $table {
            fn changed_keys(&self, new: &Self) -> Vec<KeyChange> {
                let Self { $($key),* } = self;
                let mut changed = Vec::new();
                $(if *$key != new.$key {
                    keys!(@tell changed, $($how)? $key, new.$key);
                })*
                changed
            }

            #[cfg(test)]
            fn keys(&self) -> Vec<&'static str> {
                let Self { $($key),* } = self;
                let mut keys = Vec::new();
                $(keys!(@name keys, $($how)? $key);)*
                keys
            }
        })*
    };
    (@name $keys:ident, nested $key:ident) => { $keys.extend($key.keys()) };
    (@name $keys:ident, shown $key:ident) => { keys!(@name $keys, $key) };
    (@name $keys:ident, $key:ident) => {{
        let _ = $key;
        $keys.push(stringify!($key));
    }};
    (@tell $changed:ident, nested $key:ident, $new:expr) => { $changed.extend($key.changed_keys(&$new)) };
    (@tell $changed:ident, shown $key:ident, $new:expr) => {
        $changed.push(KeyChange {
            key: stringify!($key),
            what: format!("{} -> {}", word($key), word(&$new)),
        })
    };
    (@tell $changed:ident, $key:ident, $new:expr) => {
        $changed.push(KeyChange { key: stringify!($key), what: "changed".to_owned() })
    };
}

/// Its keys are called otherwise in the file.
impl Keyed for AccountTransport {
    fn changed_keys(&self, new: &Self) -> Vec<KeyChange> {
        let Self { min, exception } = self;
        let mut changed = Vec::new();
        if *min != new.min {
            changed.push(KeyChange {
                key: "min_transport",
                what: format!("{} -> {}", min.label(), new.min.label()),
            });
        }
        if *exception != new.exception {
            changed.push(KeyChange {
                key: "transport_exception",
                what: "changed".to_owned(),
            });
        }
        changed
    }

    #[cfg(test)]
    fn keys(&self) -> Vec<&'static str> {
        vec!["min_transport", "transport_exception"]
    }
}

/// Its keys have a word in front in the file.
impl Keyed for Quota {
    fn changed_keys(&self, new: &Self) -> Vec<KeyChange> {
        let Self { day, month, zone } = self;
        let mut changed = Vec::new();
        for (key, old, new) in [("quota_day", day, new.day), ("quota_month", month, new.month)] {
            if *old != new {
                let what = format!("{} -> {}", word(old), word(&new));
                changed.push(KeyChange { key, what });
            }
        }
        if *zone != new.zone {
            let what = "changed".to_owned();
            changed.push(KeyChange {
                key: "quota_zone",
                what,
            });
        }
        changed
    }

    #[cfg(test)]
    fn keys(&self) -> Vec<&'static str> {
        vec!["quota_day", "quota_month", "quota_zone"]
    }
}

/// Two of its keys have a word in front in the file.
impl Keyed for OptOutRules {
    fn changed_keys(&self, new: &Self) -> Vec<KeyChange> {
        let Self {
            brand,
            scope,
            opted_out,
            replies,
            program,
            contact,
            opt_out_text,
            opt_in_text,
            help_text,
            opt_in,
            ask_text,
        } = self;
        let differs = [
            ("brand", *brand != new.brand),
            ("opt_out_scope", *scope != new.scope),
            ("opted_out", *opted_out != new.opted_out),
            ("automatic_replies", *replies != new.replies),
            ("program", *program != new.program),
            ("contact", *contact != new.contact),
            ("opt_out_text", *opt_out_text != new.opt_out_text),
            ("opt_in_text", *opt_in_text != new.opt_in_text),
            ("help_text", *help_text != new.help_text),
            ("opt_in", *opt_in != new.opt_in),
            ("ask_text", *ask_text != new.ask_text),
        ];
        let change = |(key, _)| KeyChange {
            key,
            what: "changed".to_owned(),
        };
        differs
            .into_iter()
            .filter(|(_, differs)| *differs)
            .map(change)
            .collect()
    }

    #[cfg(test)]
    fn keys(&self) -> Vec<&'static str> {
        vec![
            "brand",
            "opt_out_scope",
            "opted_out",
            "automatic_replies",
            "program",
            "contact",
            "opt_out_text",
            "opt_in_text",
            "help_text",
            "opt_in",
            "ask_text",
        ]
    }
}

/// Two of its keys are called otherwise in the file.
impl Keyed for RetentionTerms {
    fn changed_keys(&self, new: &Self) -> Vec<KeyChange> {
        let Self {
            profile,
            jurisdiction,
            no_store_service_types,
            instructions,
        } = self;
        let mut changed = Vec::new();
        if *profile != new.profile {
            changed.push(KeyChange {
                key: "retention_profile",
                what: format!("{} -> {}", word(profile), word(&new.profile)),
            });
        }
        let differs = [
            ("jurisdiction", *jurisdiction != new.jurisdiction),
            (
                "no_store_service_types",
                *no_store_service_types != new.no_store_service_types,
            ),
            ("retention", *instructions != new.instructions),
        ];
        let differing = differs.into_iter().filter(|(_, differs)| *differs);
        changed.extend(differing.map(|(key, _)| KeyChange {
            key,
            what: "changed".to_owned(),
        }));
        changed
    }

    #[cfg(test)]
    fn keys(&self) -> Vec<&'static str> {
        vec![
            "retention_profile",
            "jurisdiction",
            "no_store_service_types",
            "retention",
        ]
    }
}

/// A value as people write it, near enough.
fn word(value: &dyn Debug) -> String {
    let text = format!("{value:?}");
    let inner = text.strip_prefix("Some(").and_then(|text| text.strip_suffix(')'));
    match inner {
        Some(inner) => inner.to_owned(),
        None => text.to_ascii_lowercase(),
    }
}

keys! {
    Node { #shown id }
    Http { #shown address, admin_address, admin_tls, #shown admin_max_per_ip }
    Storage {
        data,
        key_ring,
        kek,
        legal_kek,
        subrec_kek,
        #shown limit,
        #shown segment_size,
        #shown reserve_segments,
        #shown turn_pacing,
        #shown lazy_flush,
        #shown auto_init,
        #shown accept_damaged_opt_outs,
        #shown max_unfinished,
        #shown receipt_hot,
    }
    Limits {
        #shown session_init,
        #shown enquire_link,
        #shown enquire_link_response,
        #shown inactivity,
        #shown response,
        #shown pdu_read,
        #shown unbind_wait,
        #shown shutdown_grace,
        #shown tls_handshake,
        #shown max_handshakes,
        #shown max_connections,
        #shown max_unbound_per_ip,
        #shown max_connections_per_ip,
        #shown ban_after,
        #shown ban_window,
        #shown ban_min,
        #shown ban_max,
        never_ban,
        #shown pdu_max,
        #shown esme_window,
        #shown delivery_window,
        #shown throttle_after,
        #shown throttle_hold,
        #shown throttle_hold_max,
        #shown throttle_close_after,
        country_rates,
        #shown password_max,
        #shown bind_queue,
        #shown bind_wait,
    }
    Account {
        system_id,
        password_hashes,
        #shown state,
        #shown max_binds,
        binds,
        #shown rate,
        #shown link_rate,
        country_rates,
        #shown weight,
        #shown window,
        #shown delivery_window,
        allow_ips,
        #nested transport,
        #shown message_id,
        #shown default_validity,
        #shown max_validity,
        #shown outbox_max,
        #shown outbox_ttl,
        #shown duplicate_window,
        #shown receipt_text,
        default_alphabet,
        #shown long_message_outcome,
        #shown outside_hours,
        #shown consent,
        #nested caps,
        #shown screening,
        abuse,
        senders,
        #nested quota,
        #nested numbering,
        #nested category,
        #nested destinations,
        #nested opt_outs,
        #nested words,
        #nested retention,
    }
    AccountWords {
        opt_out_keywords,
        opt_in_keywords,
        help_keywords,
        confirm_keywords,
        opt_out_phrases,
    }
    CapRules { caps, #shown over_cap }
    CategoryRules { category, categories, sender_settings }
    Destinations { countries, number_modes, #shown destination_approval, approvals }
    Numbering {
        #shown country,
        #shown numbers,
        #shown short_codes,
        default_source,
        rewrite,
        senders_by_country,
    }
    Compliance { approval_required }
    Abuse { #nested rules, #shown review_within, #shown keep_cases }
    AbuseRules {
        #shown watch,
        #shown number_limit,
        #shown number_within,
        #shown back_off,
        #shown back_off_max,
        #shown number_action,
        #shown prefix_limit,
        #shown prefix_action,
        #shown run,
        #shown run_action,
        #shown completion,
        #shown completion_over,
        #shown completion_block,
        #shown completion_action,
        country_day,
        #shown country_action,
        suspect_numbers,
        #shown suspect_action,
        #shown new_country_after,
        #shown new_country_action,
        #shown delivered,
        #shown delivered_over,
        #shown delivered_action,
        #shown held_max,
    }
    Audit { #shown checkpoint_every, #shown checkpoint_interval, checkpoint_directory, origin }
    Tables { networks, ported }
    Retention { profiles, overlays, #shown sweep_every, #shown sweep_budget }
    Screening { file, rules }
    SendingHours { file, rules, fallback_zones, #shown jitter }
    Carrier {
        name,
        addresses,
        local_address,
        tls,
        clear_text,
        binds,
        #shown links,
        #shown window,
        #shown rate,
        country_rates,
        system_id,
        password,
        system_type,
        addr_ton,
        addr_npi,
        address_range,
        interface_version,
        assume_version,
        #shown default_validity,
        #shown max_validity,
        #shown receipt_deadline,
        opted_out_codes,
        request_receipts,
        id_base,
        #shown unanswered,
        #shown connect,
        #shown bind_response,
        #shown enquire_link,
        #shown enquire_link_response,
        #shown response,
        #shown reconnect_min,
        #shown reconnect_max,
        #shown detect_receipts_by_text,
        verdicts,
        #shown max_attempts,
        #shown retry_min,
        #shown retry_max,
        #nested writing,
        #nested texts,
        prices,
        takes_over,
    }
    Texts { long_messages, default_alphabet, #shown transcode }
    Writing {
        #shown country,
        #shown numbers,
        source_ton_npi,
        destination_ton_npi,
        rewrite,
        drop_tlvs,
        add_tlvs,
    }
}
