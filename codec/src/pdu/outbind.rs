//! outbind: a message centre that opened the connection says who it is (SMPP 3.4 §4.1.7,
//! smpp-pdus.md §4.1). It has no response; the answer is a bind on the same connection.
//!
//! ```
//! use tidegate_codec::header::CommandId;
//! use tidegate_codec::octets::COctets;
//! use tidegate_codec::pdu::outbind::Outbind;
//! use tidegate_codec::pdu::{Limits, Operation, Read, encode, read};
//! use tidegate_codec::status::CommandStatus;
//!
//! let outbind = Outbind { system_id: COctets::new(b"centre")?, ..Outbind::default() };
//! let mut octets = Vec::new();
//! encode(CommandId::OUTBIND, CommandStatus::ROK, 1, &mut octets, |out| outbind.encode(out));
//! let Read::Pdu(pdu) = read(&octets, &Limits::default()) else { panic!("it is whole") };
//! assert_eq!(pdu.operation, Operation::Outbind(outbind));
//! # Ok::<(), tidegate_codec::octets::OctetsError>(())
//! ```

use crate::error::{BodyError, Field};
use crate::field::{c_octets, c_octets_up_to};
use crate::identity::{PASSWORD_MAX_LENIENT, SYSTEM_ID_MAX};
use crate::octets::COctets;
use crate::pdu::Limits;
use crate::tlv::Tlvs;

/// The body of outbind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Outbind<'a> {
    /// Who calls; may be empty.
    pub system_id: COctets<'a, SYSTEM_ID_MAX>,
    /// The secret that the ESME checks it by; may be empty. [`Limits::password_max`] holds here too.
    pub password: COctets<'a, PASSWORD_MAX_LENIENT>,
    /// None are defined; kept as they came.
    pub tlvs: Tlvs<'a>,
}

impl<'a> Outbind<'a> {
    pub(crate) fn decode(body: &'a [u8], limits: &Limits) -> Result<Self, BodyError> {
        let (body, system_id) = c_octets(Field::SystemId, body)?;
        let (body, password) = c_octets_up_to(Field::Password, limits.password_max, body)?;
        Ok(Self {
            system_id,
            password,
            tlvs: Tlvs::new(body),
        })
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.system_id.encode(out);
        self.password.encode(out);
        out.extend_from_slice(self.tlvs.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Fault;

    #[test]
    fn the_password_keeps_to_the_same_limit_as_that_of_a_bind() {
        let body = b"inventory\0ipassword\0";
        let error = Outbind::decode(body, &Limits::default()).unwrap_err();
        assert_eq!((error.field, error.fault), (Field::Password, Fault::TooLong));
        let lenient = Limits {
            password_max: PASSWORD_MAX_LENIENT,
            ..Limits::default()
        };
        let read = Outbind::decode(body, &lenient).unwrap();
        assert_eq!((read.system_id.len(), read.password.len()), (9, 9));
    }
}
