//! bind_receiver, bind_transmitter, bind_transceiver and their responses (SMPP 3.4 §4.1).
//!
//! ```
//! use tidegate_codec::error::Field;
//! use tidegate_codec::header::CommandId;
//! use tidegate_codec::pdu::{Limits, Operation, Read, encode, read};
//! use tidegate_codec::status::CommandStatus;
//! use tidegate_codec::values::{BindKind, InterfaceVersion};
//!
//! let mut octets = Vec::new();
//! encode(CommandId::BIND_TRANSCEIVER, CommandStatus::ROK, 1, &mut octets, |out| {
//!     out.extend_from_slice(b"shop\0long secret\0\0\x34\0\0\0");
//! });
//! // By the specification a password has eight octets.
//! let Read::BadBody(header, error) = read(&octets, &Limits::default()) else { panic!("it is longer") };
//! assert_eq!((header.command_id, error.field), (CommandId::BIND_TRANSCEIVER, Field::Password));
//! assert_eq!(error.status(), CommandStatus::RINVPASWD);
//!
//! let limits = Limits { password_max: 65, ..Limits::default() };
//! let Read::Pdu(pdu) = read(&octets, &limits) else { panic!("it is allowed") };
//! let Operation::Bind(BindKind::Transceiver, bind) = pdu.operation else { panic!("{pdu:?}") };
//! assert_eq!((bind.system_id.as_bytes(), bind.interface_version), (&b"shop"[..], InterfaceVersion::V3_4));
//! ```
//!
//! **Limits.** [`Limits::password_max`], up to 65 octets with the NUL.

use crate::address::{Npi, Ton};
use crate::error::{BodyError, Field};
use crate::field::{c_octets, c_octets_up_to, octet};
use crate::header::Header;
use crate::identity::{PASSWORD_MAX_LENIENT, SYSTEM_ID_MAX, SYSTEM_TYPE_MAX};
use crate::octets::COctets;
use crate::pdu::Limits;
use crate::tlv::{Tag, Tlvs};
use crate::values::InterfaceVersion;

/// Size of an `address_range` field with its NUL (3.4 §5.2.7).
pub const ADDRESS_RANGE_MAX: usize = 41;

/// The body of the three bind requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bind<'a> {
    /// Who binds.
    pub system_id: COctets<'a, SYSTEM_ID_MAX>,
    /// The secret.
    pub password: COctets<'a, PASSWORD_MAX_LENIENT>,
    /// What kind of system; usually empty or `SMPP`.
    pub system_type: COctets<'a, SYSTEM_TYPE_MAX>,
    /// What the ESME speaks.
    pub interface_version: InterfaceVersion,
    /// Type of number of `address_range`.
    pub addr_ton: Ton,
    /// Numbering plan of `address_range`.
    pub addr_npi: Npi,
    /// Which numbers the ESME serves; usually empty or ignored.
    pub address_range: COctets<'a, ADDRESS_RANGE_MAX>,
    /// None are defined for binds; kept as they came.
    pub tlvs: Tlvs<'a>,
}

impl<'a> Bind<'a> {
    pub(crate) fn decode(body: &'a [u8], limits: &Limits) -> Result<Self, BodyError> {
        let (body, system_id) = c_octets(Field::SystemId, body)?;
        let (body, password) = c_octets_up_to(Field::Password, limits.password_max, body)?;
        let (body, system_type) = c_octets(Field::SystemType, body)?;
        let (body, interface_version) = octet(Field::InterfaceVersion, body)?;
        let (body, addr_ton) = octet(Field::AddrTon, body)?;
        let (body, addr_npi) = octet(Field::AddrNpi, body)?;
        let (body, address_range) = c_octets(Field::AddressRange, body)?;
        Ok(Self {
            system_id,
            password,
            system_type,
            interface_version: InterfaceVersion(interface_version),
            addr_ton: Ton(addr_ton),
            addr_npi: Npi(addr_npi),
            address_range,
            tlvs: Tlvs::new(body),
        })
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        self.system_id.encode(out);
        self.password.encode(out);
        self.system_type.encode(out);
        out.extend_from_slice(&[self.interface_version.0, self.addr_ton.0, self.addr_npi.0]);
        self.address_range.encode(out);
        out.extend_from_slice(self.tlvs.as_bytes());
    }
}

/// The body of the three bind responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindResp<'a> {
    /// Who answers.
    pub system_id: COctets<'a, SYSTEM_ID_MAX>,
    /// Usually sc_interface_version alone.
    pub tlvs: Tlvs<'a>,
}

impl<'a> BindResp<'a> {
    /// A refused bind has no body, and a receiver ignores one that is there (smpp-pdus.md §4.1). A name without its NUL
    /// ends with the PDU, and one that is too long is left out (interop quirk 19): were the response refused, a
    /// carrier that writes it so could never be used, and would take us for bound.
    pub(crate) fn decode(header: Header, body: &'a [u8]) -> Option<Self> {
        if body.is_empty() {
            return None;
        }
        match c_octets(Field::SystemId, body) {
            Ok((rest, system_id)) => Some(Self {
                system_id,
                tlvs: Tlvs::new(rest),
            }),
            Err(_) if !header.status.is_ok() => None,
            Err(_) => {
                let (name, rest) = match memchr::memchr(0, body) {
                    Some(nul) => (&[][..], &body[nul + 1..]),
                    None => (body, &[][..]),
                };
                Some(Self {
                    system_id: COctets::new(name).unwrap_or_default(),
                    tlvs: Tlvs::new(rest),
                })
            }
        }
    }

    /// Appends the body to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.system_id.encode(out);
        out.extend_from_slice(self.tlvs.as_bytes());
    }

    /// The highest version that the SMSC supports, if it says so.
    pub fn sc_interface_version(&self) -> Option<InterfaceVersion> {
        self.tlvs.octet(Tag::SC_INTERFACE_VERSION).map(InterfaceVersion)
    }
}
