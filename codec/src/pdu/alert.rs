//! alert_notification: a handset that an ESME waited for can be reached (SMPP 3.4 §4.12,
//! smpp-pdus.md §4.1). It has no response.
//!
//! ```
//! use tidegate_codec::address::{Address, Npi, Ton};
//! use tidegate_codec::header::CommandId;
//! use tidegate_codec::pdu::alert::AlertNotification;
//! use tidegate_codec::pdu::{Limits, Operation, Pdu, Read, read};
//! use tidegate_codec::status::CommandStatus;
//! use tidegate_codec::tlv::{Tag, Tlvs, append};
//!
//! let mut tlvs = Vec::new();
//! assert!(append(&mut tlvs, Tag::MS_AVAILABILITY_STATUS, &[0]));
//! let alert = AlertNotification {
//!     source: Address::new(Ton::INTERNATIONAL, Npi::ISDN, b"447700900123")?,
//!     tlvs: Tlvs::new(&tlvs),
//!     ..AlertNotification::default()
//! };
//! let operation = Operation::AlertNotification(alert);
//! let sent = Pdu { status: CommandStatus::ROK, sequence: 1, operation };
//! let mut octets = Vec::new();
//! sent.encode(&mut octets);
//! let Read::Pdu(pdu) = read(&octets, &Limits::default()) else { panic!("it is whole") };
//! assert_eq!((pdu, pdu.operation.tlvs().ms_availability_status()), (sent, Ok(Some(0))));
//! assert_eq!(CommandId::ALERT_NOTIFICATION.response(), None);
//! # Ok::<(), tidegate_codec::octets::OctetsError>(())
//! ```

use crate::address::{ADDR_DATA, Address};
use crate::error::{BodyError, Field};
use crate::field::{self, address};
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
        let (body, source) = field::source(body)?;
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
