//! What real carriers do that a tidy reading of SMPP does not expect: each a named option, numbered as in the
//! project's list of interoperability quirks.
//!
//! Quirks that need a number have an option of their own instead: the form of ids (1, 2), the dialect of
//! receipts (5, 6, 8), refusals with any status (23, 32), windows (31), bind caps (33), the version that
//! bind responses name (34), lost links (35), late answers (36).

use std::fmt;

use clap::ValueEnum;

/// A quirk of a carrier. Its name on the command line is the variant's in lower case with hyphens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Quirk {
    /// 3: the receipt leaves before the answer to the submit.
    ReceiptFirst,
    /// 4: receipts never use the link of the submit while another one receives.
    ReceiptElsewhere,
    /// 7: receipts spell states in words of their own, and report BUFFRED before the end.
    OddStat,
    /// 9: receipts have esm_class 0x44, although no header precedes the text.
    ReceiptWithUdhi,
    /// 9: receipts have esm_class 0, like messages.
    ReceiptAsMessage,
    /// 9: an intermediate notification (esm_class 0x20, ENROUTE) precedes every receipt, wanted or not.
    IntermediateFirst,
    /// 9: MOs begin with `id:` and are no receipts.
    MoLikeReceipt,
    /// 10: receipts are data_sm.
    ReceiptDataSm,
    /// 11: a receipt for every message, asked for or not.
    Unsolicited,
    /// 12: every receipt comes twice, although the first was answered.
    ReceiptTwice,
    /// 13: err:002 on DELIVRD.
    ErrOnDelivered,
    /// 14: one receipt for a long message, for its first part.
    FirstPartOnly,
    /// 14: one receipt for a long message, for its last part.
    LastPartOnly,
    /// 15: a refusing submit_sm_resp has a message_id all the same.
    ErrorWithId,
    /// 15: a refusing submit_sm_resp has a TLV and no message_id.
    ErrorWithTlv,
    /// 16: a refused bind is answered with a body.
    BindErrorWithBody,
    /// 18: enquire_link_resp has an octet behind its header.
    StrayOctet,
    /// 19: the last TLV of every delivery is cut short.
    CutTlv,
    /// 19: the message_id of submit_sm_resp has no NUL.
    MissingNul,
    /// 20: one delivery in 1 000 is of a link is followed by a PDU with an impossible command_length.
    BadLength,
    /// 21: our requests are numbered above 0x7FFFFFFF.
    HighSequence,
    /// 21: our requests all have the number 0.
    ZeroSequence,
    /// 21: enquire_link_resp has a number of its own.
    EnquireSequence,
    /// 22: the text of every delivery stands in message_payload.
    PayloadAlways,
    /// 22: short_message and message_payload are both filled.
    BothTexts,
    /// 23, 39: every delivery has TLVs of the vendor.
    VendorTlv,
    /// 23: a request of an unknown command follows every bind, and one delivery in 100 of a link.
    UnknownCommand,
    /// 24: MOs have 0x00 (`@`) and octets above 0x7F in data_coding 0.
    MoAlphabet,
    /// 25: MOs have a message class in data_coding (0x11, 0xF1, 0xF5).
    MoClass,
    /// 26: MOs come in parts of UCS-2, cut in the middle of a surrogate pair.
    MoSplitPair,
    /// 27: MOs come in parts with a 16-bit reference, other elements in front, and esm_class 0x48.
    MoUdh16,
    /// 27: MOs have a header that esm_class does not announce.
    MoUnflaggedUdh,
    /// 28: MOs come in parts, the last one first, told by sar_* TLVs.
    MoSarBackwards,
    /// 29: enquire_link comes before the bind.
    EnquireBeforeBind,
    /// 29: no enquire_link at all.
    NeverEnquires,
    /// 36: a submit_sm_resp that answers nothing follows one answer in 100 of a link.
    StrayAnswer,
    /// 37: destinations with a leading `+` are refused with 0x94.
    RefusePlus,
    /// 37: receipts name their addresses with a leading `+` and TON 0.
    ReceiptPlus,
    /// 38: every validity_period is refused with 0x62.
    RefuseValidity,
    /// 41: MOs come as submit_sm.
    MoSubmitSm,
}

impl Quirk {
    /// The quirk's name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }
}

/// A set of quirks.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Quirks(u64);

impl Quirks {
    /// None.
    pub const NONE: Self = Self(0);

    /// Whether the carrier has this one.
    pub const fn has(self, quirk: Quirk) -> bool {
        self.0 & 1 << quirk as u8 != 0
    }

    /// Whether the carrier has none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Quirk> for Quirks {
    fn from_iter<I: IntoIterator<Item = Quirk>>(quirks: I) -> Self {
        Self(quirks.into_iter().fold(0, |set, quirk| set | 1 << quirk as u8))
    }
}

impl fmt::Debug for Quirks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = Quirk::value_variants().iter().filter(|quirk| self.has(**quirk));
        f.debug_set().entries(all).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in_and_nothing_else() {
        let set: Quirks = [Quirk::ReceiptFirst, Quirk::MoSubmitSm].into_iter().collect();
        for quirk in Quirk::value_variants() {
            let inside = matches!(quirk, Quirk::ReceiptFirst | Quirk::MoSubmitSm);
            assert_eq!(set.has(*quirk), inside, "{quirk:?}");
        }
        assert!(Quirk::value_variants().len() <= 64);
    }

    /// The list of quirks, by number, and what here shows each: a carrier can show all but two.
    #[test]
    fn every_quirk_that_a_carrier_can_show_has_a_name() {
        /// Named options beside the quirks.
        const OPTIONS: &[u32] = &[1, 2, 5, 6, 8, 15, 16, 23, 30, 31, 32, 33, 34, 35, 36];
        /// What only an ESME or a gateway does: answering deliveries, transmitters without a receiver.
        const NOT_A_CARRIERS: &[u32] = &[17, 40];
        let mut shown: Vec<u32> = OPTIONS.iter().chain(NOT_A_CARRIERS).copied().collect();
        for quirk in Quirk::value_variants() {
            let help = quirk.to_possible_value().unwrap();
            let help = help.get_help().unwrap().to_string();
            let (rows, _) = help.split_once(": ").unwrap();
            shown.extend(rows.split(", ").map(|row| row.parse::<u32>().unwrap()));
        }
        let missing: Vec<u32> = (1..=41).filter(|row| !shown.contains(row)).collect();
        assert_eq!(missing, [] as [u32; 0]);
    }
}
