//! alert_notification: a handset that an ESME waited for can be reached (SMPP 3.4 §4.12,
//! smpp-pdus.md §4.1). It has no response.

use crate::address::{ADDR_DATA, Address};
use crate::error::{BodyError, Field};
use crate::field::address;
use crate::tlv::Tlvs;

/// The body of alert_notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct AlertNotification<'a> {
    /// The handset; up to 64 octets.
    pub source: Address<'a, ADDR_DATA>,
    /// Who asked to be told, by set_dpf; up to 64 octets.
    pub esme: Address<'a, ADDR_DATA>,
    /// Usually [`crate::tlv::Tag::MS_AVAILABILITY_STATUS`] alone.
    pub tlvs: Tlvs<'a>,
}

impl<'a> AlertNotification<'a> {
    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, BodyError> {
        let (body, source) = address(
            [Field::SourceAddrTon, Field::SourceAddrNpi, Field::SourceAddr],
            body,
        )?;
        let (body, esme) = address([Field::EsmeAddrTon, Field::EsmeAddrNpi, Field::EsmeAddr], body)?;
        Ok(Self {
            source,
            esme,
            tlvs: Tlvs::new(body),
        })
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.source.encode(out);
        self.esme.encode(out);
        out.extend_from_slice(self.tlvs.as_bytes());
    }
}
