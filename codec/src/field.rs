//! The pieces of a body, read with nom over octets of known length ("complete": a short body is an
//! error, never a wish for more).

use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u32};
use nom::{IResult, Parser};

use crate::address::{Address, Npi, Ton};
use crate::error::{BodyError, Fault, Field};
use crate::octets::COctets;

/// What is left of the body, and the value read.
pub(crate) type Parsed<'a, T> = IResult<&'a [u8], T, BodyError>;

impl nom::error::ParseError<&[u8]> for BodyError {
    // nom reports through here only inside its own combinators; every parser below names its field.
    fn from_error_kind(_: &[u8], _: nom::error::ErrorKind) -> Self {
        Self {
            field: Field::Tlvs,
            fault: Fault::Truncated,
        }
    }

    fn append(_: &[u8], _: nom::error::ErrorKind, other: Self) -> Self {
        other
    }
}

/// Lets `?` leave nom's wrapper behind.
impl From<nom::Err<BodyError>> for BodyError {
    fn from(error: nom::Err<Self>) -> Self {
        match error {
            nom::Err::Error(error) | nom::Err::Failure(error) => error,
            // The parsers are complete ones; were this reached, the body would be short.
            nom::Err::Incomplete(_) => Self {
                field: Field::Tlvs,
                fault: Fault::Truncated,
            },
        }
    }
}

/// The parser cannot go on.
pub(crate) const fn fail(field: Field, fault: Fault) -> nom::Err<BodyError> {
    nom::Err::Error(BodyError { field, fault })
}

/// One octet.
pub(crate) fn octet(field: Field) -> impl Fn(&[u8]) -> Parsed<'_, u8> {
    move |input| {
        be_u8::<_, ()>
            .parse(input)
            .map_err(|_| fail(field, Fault::Truncated))
    }
}

/// Four octets.
pub(crate) fn word(field: Field) -> impl Fn(&[u8]) -> Parsed<'_, u32> {
    move |input| {
        be_u32::<_, ()>
            .parse(input)
            .map_err(|_| fail(field, Fault::Truncated))
    }
}

/// A C-Octet String of at most `MAX` octets with its NUL.
pub(crate) fn c_octets<const MAX: usize>(field: Field) -> impl Fn(&[u8]) -> Parsed<'_, COctets<'_, MAX>> {
    move |input| {
        let nul = memchr::memchr(0, input).ok_or(fail(field, Fault::Unterminated))?;
        if nul >= MAX {
            return Err(fail(field, Fault::TooLong));
        }
        Ok((&input[nul + 1..], COctets::from_checked(&input[..nul])))
    }
}

/// A C-Octet String whose limit is the receiver's choice: at most `limit` octets with its NUL, never
/// more than `MAX`.
pub(crate) fn c_octets_up_to<const MAX: usize>(
    field: Field,
    limit: usize,
) -> impl Fn(&[u8]) -> Parsed<'_, COctets<'_, MAX>> {
    move |input| {
        let (rest, octets) = c_octets::<MAX>(field)(input)?;
        if octets.len() >= limit {
            return Err(fail(field, Fault::TooLong));
        }
        Ok((rest, octets))
    }
}

/// TON, NPI and address in a row.
pub(crate) fn address<const MAX: usize>(
    ton: Field,
    npi: Field,
    addr: Field,
) -> impl Fn(&[u8]) -> Parsed<'_, Address<'_, MAX>> {
    move |input| {
        let (input, (ton, npi, addr)) = (octet(ton), octet(npi), c_octets(addr)).parse(input)?;
        Ok((
            input,
            Address {
                ton: Ton(ton),
                npi: Npi(npi),
                addr,
            },
        ))
    }
}

/// `sm_length` and as many octets of `short_message`.
pub(crate) fn short_message(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (input, length) = octet(Field::SmLength)(input)?;
    take::<_, _, ()>(length)
        .parse(input)
        .map_err(|_| fail(Field::ShortMessage, Fault::Truncated))
}
