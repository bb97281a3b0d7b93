//! Every metric there is. A name is given here once; dashboards and alarms depend on it.

use metrics::Unit;

/// What a metric does over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts durations or sizes by what they come to.
    Histogram,
}

/// The declaration of one metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Full name, with prefix and unit.
    pub name: &'static str,
    /// Counter, gauge or histogram.
    pub kind: Kind,
    /// What one is.
    pub unit: Unit,
    /// Names of its labels, in their order.
    pub labels: &'static [&'static str],
    /// One line for people.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($name:ident $kind:ident $unit:ident $text:literal $labels:tt $help:literal)*) => {
        $(
            #[doc = $help]
            pub const $name: Metric = Metric {
                name: concat!("tidegate_", $text),
                kind: Kind::$kind,
                unit: Unit::$unit,
                labels: &$labels,
                help: $help,
            };
        )*

        /// All metrics, in the order of this file.
        pub const ALL: &[Metric] = &[$($name),*];
    };
}

metrics! {
    // The loop and the spool.
    TURNS Counter Count "turns_total" [] "Turns of the loop"
    BATCHES Counter Count "spool_batches_total" [] "Batches written and synced to the spool"
    BATCH_OCTETS Counter Bytes "spool_batch_bytes_total" [] "Octets of those batches"
    RECORDS Counter Count "spool_records_total" [] "Records in those batches"
    BATCH_RECORDS Histogram Count "spool_batch_records" [] "Records in a batch, those that could not be synced included"
    SYNC_SECONDS Histogram Seconds "spool_sync_seconds" [] "Time to write and sync one batch"
    COMMIT_FAILURES Counter Count "spool_commit_failures_total" ["cause"] "Batches that could not be written or synced"
    SPOOL_OCTETS Gauge Bytes "spool_bytes" [] "Octets that spool, waiting files and outbox files take from the disk"
    STORAGE_USED Gauge Bytes "storage_used_bytes" [] "Octets of all files that count in storage.limit: spool, waiting and outbox files, the history with its vault, and exports"
    STORAGE_INTAKE_LIMIT Gauge Bytes "storage_intake_limit_bytes" [] "Octets of these from which on nothing new is taken in: storage.limit less the reserve"
    SPOOL_SEGMENTS Gauge Count "spool_segments" [] "Segments of the spool"
    UNFINISHED Gauge Count "unfinished_legs" [] "Messages in memory without a final state"
    OUTBOX_ENTRIES Gauge Count "outbox_entries" [] "Receipts and messages that wait for a bind, all accounts"
    RECOVERED Counter Count "recovered_total" ["what"] "Unfinished work that the last start found on disk"
    DAMAGE Counter Count "spool_damage_total" ["what"] "Damage that was found on disk: an alarm"
    HANDSET_WORDS Counter Count "handset_words_total" ["word"] "Messages of handsets that mean something to the gateway itself"
    REPLIES Counter Count "automatic_replies_total" ["result"] "Answers of the gateway itself to handsets, by what became of them"
    OPT_OUTS Gauge Count "opt_outs" [] "People who have opted out, once for each scope"
    OPT_OUTS_WIDENED Counter Count "opt_outs_widened_total" [] "Opt-outs to numbers that the configuration does not list, over the bound of such numbers: they hold for the whole account, or where none has the number everywhere"
    STANDING_WAITING Gauge Count "standing_unjournaled" [] "Opt-outs and consents on disk that the journal does not hold yet"
    HISTORY_UNFILED Gauge Count "history_unfiled" [] "Finished messages of accounts that keep something of them, in memory and not in the history yet"
    HISTORY_FILED Counter Count "history_filed_total" [] "Finished messages that were given to the history; after a crash some are given again"
    HISTORY_FAILURES Counter Count "history_failures_total" [] "Tries to write the history, or to read what goes into it, that failed"
    HISTORY_FILES Gauge Count "history_files" [] "Files of the history, as the last sweep left them"
    ABUSE_CASES Gauge Count "abuse_cases_open" [] "Cases of abuse that nobody has decided yet"
    ABUSE_CASES_PAST_REVIEW Gauge Count "abuse_cases_past_review" [] "The same whose review is past its date"
    ABUSE_OLDEST_CASE Gauge Seconds "abuse_oldest_case_seconds" [] "Age of the oldest of them"
    ABUSE_FAILURES Counter Count "abuse_failures_total" [] "Tries to suspend or to restore an account by a case, or to give notice of it, that failed"
    ABUSE_EVICTED Counter Count "abuse_evicted_total" ["table"] "What the watch for abuse had to forget before its time, as a table of it was full"
    EXPORTS Counter Count "exports_total" ["result"] "Exports, by what became of them: ended are those whose date came, or that an operator or an erasure ended"
    EXPORT_FILES Gauge Count "export_files" [] "Exports that there are, one that is being made included"
    NOTICES_WAITING Gauge Count "notices_waiting" [] "Notices to accounts that are due and that nobody has sent"
    BREAK_GLASS Gauge Count "break_glass_grants" [] "Grants by which a token reads what its role does not open, that run"
    BREAK_GLASS_BEGUN Counter Count "break_glass_begun_total" [] "Grants that were begun since the register of break-glass was"
    DISCLOSURES_OPEN Gauge Count "disclosures_open" [] "Disclosures that have not ended, those that are to be reviewed included"
    DISCLOSURE_REVIEW_OVERDUE Gauge Seconds "disclosure_review_overdue_seconds" [] "Time since the oldest review of an emergency's disclosure was due; 0 where none is overdue"
    NOTICE_AGE Gauge Seconds "notice_age_seconds" [] "Age of the oldest of these since it was due; 0 where none is"
    EXPORT_OCTETS Gauge Bytes "export_bytes" [] "Octets of these, as far as they are written"
    HISTORY_OCTETS Gauge Bytes "history_bytes" [] "Octets of the history's files and of its vault, without indexes and filters"
    HISTORY_FILTERS Gauge Count "history_filters" [] "Filters of closed periods of the history that are in memory"
    HISTORY_FILTER_RECORDS Gauge Count "history_filter_records" [] "Records that these know of"
    HISTORY_FILTER_OCTETS Gauge Bytes "history_filter_bytes" [] "Octets of memory that these take"
    HISTORY_FILTER_LOOKS Counter Count "history_filter_looks_total" ["result"] "Periods of which a look asked the filter: passed over, or opened and found or in_vain"
    HISTORY_FILTERS_MADE Counter Count "history_filters_made_total" ["result"] "Filters that were made, or could not be; these are tried again in an hour"
    SWEEPS Counter Count "sweeps_total" ["result"] "Retention sweeps, by how they went: stopped are those that the clock keeps from doing anything"
    SWEPT_LOTS Counter Count "swept_lots_total" ["class"] "Keys that sweeps destroyed, each with all that an account's period held of a class"
    SWEPT_RECORDS Counter Count "swept_records_total" ["class"] "Records that are gone with these keys"
    SWEPT_OCTETS Counter Bytes "swept_bytes_total" [] "Octets of files that sweeps removed"
    DATA_ROTATION_LEFT Gauge Count "data_rotation_left_lots" [] "Keys of the history that a rotation of data keys still has to go through; 0 while there is none"
    HOLDS Gauge Count "holds" [] "Legal holds that hold"
    HOLDS_PAST_REVIEW Gauge Count "holds_past_review" [] "Legal holds whose day of review has passed"
    ERASURES_OPEN Gauge Count "erasures_open" [] "Orders to erase a person that are not executed yet, those that a hold defers included"
    SUBJECT_REQUESTS Gauge Count "subject_requests" ["state"] "Requests of people that have not ended, by how they stand: ordered are erasures that the next sweep executes, deferred those of which something waits for a date or a release"
    SUBJECT_REQUEST_DUE Gauge Seconds "subject_request_due_seconds" [] "Time until the nearest date of a request of a person that is not answered: less than 0 behind it, without end where nobody waits"
    SWEEP_SECONDS Gauge Seconds "sweep_seconds" [] "Time that the last sweep took that came to its end"
    SWEPT_AT Gauge Seconds "sweep_done_timestamp_seconds" [] "Unix time at which the last sweep came to its end; 0 before the first of this process"
    SWEEP_LEFT Gauge Count "sweep_left_lots" [] "Keys of what is due that the last sweep left to the next, for its budget was used up"
    LOTS_WITHOUT_RULE Gauge Count "lots_without_rule" [] "Keys of what no rule says anything about any more, as the last sweep found it: nobody reads it and nothing removes it"
    UNUSED_KEYS Counter Count "unused_keys_destroyed_total" [] "Keys of ended periods that sweeps destroyed because nothing lay under them: a process was cut off between a key and its first block"
    CLOCK_DOUBTED Gauge Count "retention_clock_doubted" [] "1 while the clock has jumped forward by more than 24 hours and nobody has confirmed it: no sweep removes anything: an alarm"
    INTAKE_REFUSED Counter Count "intake_refused_total" ["cause"] "Messages refused because of the spool"

    OUTBOX_FILED Gauge Count "outbox_filed_entries" [] "Of these, what lies in files and not in memory"
    OUTBOX_FILES Gauge Count "outbox_files" [] "Files that these lie in"
    OUTBOX_OCTETS Gauge Bytes "outbox_bytes" [] "Octets that these files take from the disk"
    OUTBOX_MOVED Counter Count "outbox_moved_total" [] "Receipts and messages that left memory for files because nobody fetched them"

    // Receipts that are long in coming.
    WAITING Gauge Count "waiting_legs" [] "Messages that wait for a receipt in files and not in memory"
    WAITING_FILES Gauge Count "waiting_files" [] "Files that these lie in"
    WAITING_OCTETS Gauge Bytes "waiting_bytes" [] "Octets that these files take from the disk"
    WAITING_MEMORY Gauge Bytes "waiting_memory_bytes" [] "Octets of memory that stand for these messages"
    WAITING_MOVED Counter Count "waiting_moved_total" [] "Messages that left memory to wait for their receipt in files"
    WAITING_EXPIRED Counter Count "waiting_expired_total" [] "Messages that came back from files because no receipt came in time"
    LATE_RECEIPTS Counter Count "late_receipts_total" ["result"] "Receipts that were looked for in waiting files"

    // Tables from files.
    TABLE_ROWS Gauge Count "table_rows" ["table"] "Rows of networks, ported numbers and prices that look-ups see"
    TABLE_OCTETS Gauge Bytes "table_memory_bytes" ["table"] "Octets of memory that these take"

    // Configuration.
    RELOADS Counter Count "reloads_total" ["result"] "Reloads of the configuration that were applied, or refused and changed nothing"
    RELOADED_AT Gauge Seconds "reload_applied_timestamp_seconds" [] "Unix time of the last reload that was applied; 0 before the first"

    // The key ring.
    KEYS Gauge Count "keys" ["owner"] "Keys in the key ring, by what they seal"
    KEY_NEWEST Gauge Seconds "key_newest_made_timestamp_seconds" ["owner"] "Unix time at which the newest of these keys was made, the one that seals; 0 where there is none"
    KEK_WRITTEN Gauge Seconds "kek_written_timestamp_seconds" [] "Unix time since which the key-encryption key wraps the ring; of a ring that does not say when its file was written, or 0"
    KEK_ROTATION_SLOTS Gauge Count "kek_rotation_slots" [] "Slots of the key ring that a rotation of the key-encryption key has to go through; 0 where none is under way"
    KEK_ROTATION_DONE Gauge Count "kek_rotation_slots_done" [] "Of these, those that it has gone through since it began or the gateway started"
    TIER_KEK_WRITTEN Gauge Seconds "tier_kek_written_timestamp_seconds" ["tier"] "Unix time since which the key-encryption key of a tier wraps its ring; 0 where its keys lie in the main ring"
    TIER_KEK_ROTATION_SLOTS Gauge Count "tier_kek_rotation_slots" ["tier"] "Slots of a tier's key ring that a rotation of its key-encryption key has to go through; 0 where none is under way"
    TIER_KEK_ROTATION_DONE Gauge Count "tier_kek_rotation_slots_done" ["tier"] "Of these, those that it has gone through since it began or the gateway started"
    KEY_OLDEST Gauge Seconds "key_oldest_made_timestamp_seconds" ["owner"] "Unix time at which the oldest of these keys was made; 0 where there is none"

    // The audit log.
    AUDIT_ENTRIES Counter Count "audit_entries_total" ["kind"] "Entries of the audit log"
    HTTP_CONNECTIONS Counter Count "http_connections_total" ["listener"] "Connections to the listener for metrics and to the admin listener"
    HTTP_CUT Counter Count "http_connections_cut_total" ["listener", "reason"] "Of these, those that came to no answer that was read, by why"
    ADMIN_REQUESTS Counter Count "admin_requests_total" ["status"] "Requests at the admin listener, by the status of their answer"
    ADMIN_WATCHERS Gauge Count "admin_watchers" [] "Streams of events that the admin listener serves"
    AUDIT_FAILURES Counter Count "audit_failures_total" [] "Times that the audit log could not be written; deeds that must be entered were refused: an alarm"
    AUDIT_FAILING Gauge Count "audit_failing" [] "1 while the audit log cannot be written: operators are refused, and opt-outs, consents and imports that are on disk wait in the spool, which fills: an alarm"
    AUDIT_DAMAGED Gauge Count "audit_damaged" [] "1 where the audit log was found damaged when it was opened: an alarm"
    AUDIT_SIGNED Gauge Count "audit_signed_entries" [] "Entries that the newest checkpoint signs; 0 before the first of this process"
    AUDIT_SIGNED_AT Gauge Seconds "audit_signed_timestamp_seconds" [] "Unix time of the newest checkpoint; 0 before the first of this process"
    AUDIT_UNSIGNED Gauge Count "audit_unsigned_entries" [] "Entries that no checkpoint signs yet"
    AUDIT_CHECKPOINT_FAILURES Counter Count "audit_checkpoint_failures_total" [] "Checkpoints that could not be written or dropped; they are tried again"

    // Connections.
    CONNECTIONS Gauge Count "connections" [] "ESME connections, bound or not"
    CONNECTIONS_ACCEPTED Counter Count "connections_accepted_total" [] "ESME connections accepted"
    CONNECTIONS_REFUSED Counter Count "connections_refused_total" ["reason"] "ESME connections closed at once"
    TLS_HANDSHAKES Counter Count "tls_handshakes_total" ["side", "result"] "TLS handshakes, by what became of them"
    CERTIFICATE_EXPIRY Gauge Seconds "certificate_expiry_timestamp_seconds" ["side", "name"] "Unix time at which our certificate on a listener or towards a carrier, or one that leads from it to its CA, does not hold any more; +Inf where there is none any more"
    EXCEPTION_EXPIRY Gauge Seconds "exception_expiry_timestamp_seconds" ["key"] "Unix time at which an exception from TLS 1.3 ends, by its key in the configuration; +Inf where there is none any more"
    LINKS_CLOSED Counter Count "links_closed_total" ["side", "reason"] "Connections that ended, by what ended them"
    REQUESTS_REFUSED Counter Count "requests_refused_total" ["command", "status"] "Requests that the session itself answered with an error"
    DROPPED Counter Count "pdus_dropped_total" [] "PDUs without an answer and a meaning here"
    TRACES Gauge Count "pdu_traces" [] "PDU traces that run"
    TRACE_DROPPED Counter Count "pdu_trace_dropped_total" [] "PDUs that a trace does not hold, as its file was not written fast enough"
    BANS Counter Count "bans_total" [] "Bans after failed binds"
    BANNED Gauge Count "banned_origins" [] "Addresses, and /64 networks of IPv6, whose new connections are closed for failed binds or by an operator"
    BINDS_UNKNOWN Counter Count "binds_unknown_account_total" [] "Binds with a system_id that is no account's"

    // Receipts before they are known to belong to somebody.
    RECEIPTS_PENNED Gauge Count "receipts_penned" [] "Receipts that came before their answer and wait for it"

    // Accounts.
    ACCOUNT_BINDS Gauge Count "account_binds" ["account", "state"] "Binds of an account, by their state: bound_tx, bound_rx, bound_trx"
    ACCOUNT_WINDOW Gauge Count "account_window_used" ["account", "direction"] "Requests under way on the binds of an account: submits that it has no answer to yet, deliveries that it has not answered"
    ACCOUNT_UNFINISHED Gauge Count "account_unfinished_legs" ["account"] "Messages of an account in memory without a final state"
    ACCOUNT_SUSPENDED Gauge Count "account_suspended" ["account"] "1 while an operator has an account suspended"
    ACCOUNT_HELD Gauge Count "account_held_messages" ["account"] "Messages of an account that are held until somebody releases them"
    ACCOUNT_HELD_OLDEST Gauge Seconds "account_held_oldest_seconds" ["account"] "Age of the oldest message of an account that is held, from its acceptance on; 0 where none is"
    ACCOUNT_HELD_TOTAL Counter Count "account_held_total" ["account"] "Messages of an account that a sign of abuse, or a rule about content, has held"
    ACCOUNT_HELD_ENDED Counter Count "account_held_ended_total" ["account", "outcome"] "Messages of an account that were held and are no longer, by why"
    ACCOUNT_SUSPENDED_SENDERS Gauge Count "account_suspended_senders" ["account"] "Senders of an account that are suspended, by an operator or a case of abuse"
    ACCOUNT_OLDEST Gauge Seconds "account_oldest_waiting_seconds" ["account"] "Age of the oldest message of an account that is next in a line for a carrier, from its acceptance on, scheduled or not; 0 where none stands in line"
    ACCOUNT_RETRIES Counter Count "account_retries_total" ["account"] "Messages of an account sent to a carrier again after a try that failed"
    ACCOUNT_HANDOVER_SECONDS Histogram Seconds "account_handover_seconds" ["account"] "Time from the acceptance of a message, scheduled or not, to the answer of the carrier that took it; each part of a text that was cut counts"
    ACCOUNT_RECEIPT_SECONDS Histogram Seconds "account_receipt_seconds" ["account"] "Time from the acceptance of a message, scheduled or not, to the receipt that ended it"
    ACCOUNT_BIND_ATTEMPTS Counter Count "account_bind_attempts_total" ["account", "result"] "Attempts to bind as an account"
    ACCOUNT_ACCEPTED Counter Count "account_submits_accepted_total" ["account"] "Messages accepted from an account"
    ACCOUNT_QUOTA_USED Gauge Count "account_quota_used_parts" ["account", "period"] "Parts that count towards the quota of an account, in its current day and month"
    ACCOUNT_DUPLICATES Counter Count "account_submits_duplicate_total" ["account"] "Messages that an account submitted twice within its duplicate_window, sent once"
    ACCOUNT_REFUSED Counter Count "account_submits_refused_total" ["account", "status"] "Messages refused to an account"
    ACCOUNT_STANDING_REFUSED Counter Count "account_standing_refused_total" ["account", "rule"] "Messages of an account that a standing rule refused, when they came or before they were handed over"
    ACCOUNT_ABUSE_SIGNALS Counter Count "account_abuse_signals_total" ["account", "rule"] "Signs that somebody pumps codes through an account, by the rule of [abuse] that saw them"
    ACCOUNT_CONTENT_HITS Counter Count "account_content_hits_total" ["account", "rule"] "Messages of an account that hit a rule about content, by the rule's id"
    ACCOUNT_DEFERRED Counter Count "account_deferred_total" ["account"] "Times that a message of an account was put off until its recipient's hours begin or fewer count towards a cap"
    ACCOUNT_UNCONSENTED Counter Count "account_without_consent_total" ["account"] "Marketing of an account in consent mode warn that was accepted without a consent"
    ACCOUNT_MONITORED Counter Count "account_monitored_total" ["account", "country"] "Messages accepted from an account to countries and numbers in mode monitor"
    ACCOUNT_THROTTLED Counter Count "account_throttled_total" ["account", "by"] "Messages of an account above a rate, by whose rate it is"
    ACCOUNT_HOLDS Counter Count "account_link_holds_total" ["account"] "Times that a link of an account was not read for a while because it went on past 0x58"
    ACCOUNT_FLOODERS_UNBOUND Counter Count "account_flooders_unbound_total" ["account"] "Links of an account that were unbound because they went on past that, too"
    ACCOUNT_DLR_DELIVERED Counter Count "account_dlr_delivered_total" ["account"] "Delivery receipts that an account took"
    ACCOUNT_MO_DELIVERED Counter Count "account_mo_delivered_total" ["account"] "Messages from handsets that an account took"
    ACCOUNT_DELIVERIES_REFUSED Counter Count "account_deliveries_refused_total" ["account", "status"] "Deliveries that an account answered with an error"
    ACCOUNT_OUTBOX Gauge Count "account_outbox_entries" ["account"] "Receipts and messages that wait for a bind of an account"
    ACCOUNT_OUTBOX_OVERFLOW Counter Count "account_outbox_overflow_total" ["account"] "Receipts not kept and messages not taken because an outbox is full: an alarm"
    ACCOUNT_MOS_WITHHELD Counter Count "account_mos_withheld_total" ["account"] "Messages of restricted people to an account that it is not shown"
    ACCOUNT_OUTBOX_EXPIRED Counter Count "account_outbox_expired_total" ["account"] "Receipts and messages that nobody fetched in time"
    ACCOUNT_FINALS Counter Count "account_finals_total" ["account", "state"] "Messages of an account that reached a final state"

    // Carriers.
    CARRIER_LINKS Gauge Count "carrier_links_bound" ["carrier", "state"] "Links to a carrier that are bound, by their state: bound_tx, bound_rx, bound_trx"
    CARRIER_LINKS_WANTED Gauge Count "carrier_links_wanted" ["carrier"] "Links to a carrier that the configuration asks for"
    CARRIER_WINDOW Gauge Count "carrier_window_used" ["carrier"] "Submits that a carrier has not answered yet"
    CARRIER_WINDOW_SIZE Gauge Count "carrier_window_size" ["carrier"] "Submits that may be unanswered at once on the links that are bound and take submits"
    CARRIER_RETRIES Counter Count "carrier_retries_total" ["carrier"] "Messages sent to a carrier after a try that failed, there or elsewhere"
    CARRIER_HANDED_OVER Counter Count "carrier_handed_over_total" ["carrier"] "Messages sent to a carrier, retries included"
    CARRIER_CUT Counter Count "carrier_cut_total" ["carrier"] "Messages that were cut into parts because the carrier wants it so"
    CARRIER_ANSWERS Counter Count "carrier_answers_total" ["carrier", "verdict"] "Answers of a carrier by what they mean"
    CARRIER_REFUSED Counter Count "carrier_refused_total" ["carrier", "status"] "Messages that a carrier answered with an error"
    CARRIER_BIND_REFUSED Counter Count "carrier_bind_refused_total" ["carrier", "status"] "Binds that a carrier refused"
    CARRIER_RESPONSE_SECONDS Histogram Seconds "carrier_response_seconds" ["carrier"] "Time from a submit to a carrier to its answer"
    CARRIER_HANDOVER_SECONDS Histogram Seconds "carrier_handover_seconds" ["carrier"] "Time from the acceptance of a message, scheduled or not, to the answer of the carrier that took it; each part of a text that was cut counts"
    CARRIER_RECEIPT_SECONDS Histogram Seconds "carrier_receipt_seconds" ["carrier"] "Time from the acceptance of a message, scheduled or not, to the receipt that ended it; each part of a text that was cut counts"
    CARRIER_RECEIPT_STATES Counter Count "carrier_receipt_states_total" ["carrier", "state"] "Receipts from a carrier for messages that we know, by the state that they tell"
    CARRIER_RECEIPTS Counter Count "carrier_receipts_total" ["carrier", "kind"] "Receipts from a carrier"
    CARRIER_MO Counter Count "carrier_mo_received_total" ["carrier"] "Messages from handsets that a carrier delivered"
    CARRIER_MO_UNOWNED Counter Count "carrier_mo_unowned_total" ["carrier"] "Messages from handsets to a number that is no account's: acknowledged, not kept"
    CARRIER_UNEXPECTED Counter Count "carrier_unexpected_answers_total" ["carrier"] "Answers of a carrier to nothing that we know; late ones are known"
    CARRIER_TLV_FAULTS Counter Count "carrier_tlv_faults_total" ["carrier"] "Answers and deliveries of a carrier with faulty TLVs, taken all the same"
    CARRIER_DELIVERIES_REFUSED Counter Count "carrier_deliveries_refused_total" ["carrier"] "Deliveries sent back because they cannot be kept now"
    CARRIER_UNANSWERED Counter Count "carrier_unanswered_total" ["carrier"] "Submits that a carrier did not answer, by time or by a lost link"
    CARRIER_CONNECTS Counter Count "carrier_connects_total" ["carrier"] "Connections made to a carrier"
    CARRIER_QUEUE Gauge Count "carrier_queue" ["carrier"] "Messages that wait for a carrier"
    CARRIER_OLDEST Gauge Seconds "carrier_oldest_waiting_seconds" ["carrier"] "Age of the oldest message that is next in a line for a carrier, from its acceptance on, scheduled or not; 0 where none stands in line"
    CARRIER_SLOW Gauge Count "carrier_slow" ["carrier"] "1 while a carrier asks for less and is sent less"
    CARRIER_HALTED Gauge Count "carrier_halted" ["carrier"] "1 while an operator has a carrier paused or drained"
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_follow_the_conventions_of_prometheus_and_are_given_once() {
        let mut seen = HashSet::new();
        for metric in ALL {
            let name = metric.name;
            assert!(seen.insert(name), "{name} twice");
            assert!(
                name.bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
                "{name}"
            );
            assert_eq!(name.ends_with("_total"), metric.kind == Kind::Counter, "{name}");
            let base = name.strip_suffix("_total").unwrap_or(name);
            assert_eq!(base.ends_with("_seconds"), metric.unit == Unit::Seconds, "{name}");
            assert_eq!(base.ends_with("_bytes"), metric.unit == Unit::Bytes, "{name}");
            for word in [
                "_octets",
                "_milliseconds",
                "_ms",
                "_percent",
                "_bucket",
                "_sum",
                "_count",
            ] {
                assert!(!base.ends_with(word), "{name}");
            }
            assert!(
                !metric.help.is_empty() && !metric.help.contains(['\n', '\\']),
                "{name}"
            );
        }
    }
}
