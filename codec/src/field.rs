//! The pieces of a body, read with nom over octets of known length ("complete": a short body is an
//! error, never a wish for more).

use nom::number::complete::be_u32;
use nom::{IResult, Parser};

use crate::address::{Address, Npi, Ton};
use crate::error::{BodyError, Fault, Field};
use crate::octets::{COctets, zeros};

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

/// As many octets in a row as there are fields, each a field by itself: one look at what is left for all of them.
#[inline(always)]
pub(crate) fn octets<const N: usize>(fields: [Field; N], input: &[u8]) -> Parsed<'_, [u8; N]> {
    match input.split_first_chunk() {
        Some((octets, rest)) => Ok((rest, *octets)),
        // The first that is not there.
        None => Err(fail(fields[input.len()], Fault::Truncated)),
    }
}

/// One octet.
#[inline(always)]
pub(crate) fn octet(field: Field, input: &[u8]) -> Parsed<'_, u8> {
    let (rest, [octet]) = octets([field], input)?;
    Ok((rest, octet))
}

/// Four octets.
pub(crate) fn word(field: Field, input: &[u8]) -> Parsed<'_, u32> {
    be_u32::<_, ()>
        .parse(input)
        .map_err(|_| fail(field, Fault::Truncated))
}

/// A C-Octet String of at most `MAX` octets with its NUL.
#[inline(always)]
pub(crate) fn c_octets<const MAX: usize>(field: Field, input: &[u8]) -> Parsed<'_, COctets<'_, MAX>> {
    match input {
        // Most fields of most PDUs are empty.
        [0, rest @ ..] => Ok((rest, COctets::EMPTY)),
        _ => c_octets_searched(field, input),
    }
}

fn c_octets_searched<const MAX: usize>(field: Field, input: &[u8]) -> Parsed<'_, COctets<'_, MAX>> {
    match nul_within(input, MAX) {
        Some(nul) => Ok((&input[nul + 1..], COctets::from_checked(&input[..nul]))),
        None => Err(without_nul(field, input)),
    }
}

/// Where the first NUL is among the first `max` octets. A field is short: eight octets at a time in registers are
/// faster than a search made for long texts.
#[inline]
fn nul_within(octets: &[u8], max: usize) -> Option<usize> {
    let (words, rest) = octets.as_chunks::<8>();
    for (at, word) in words.iter().enumerate().take(max.div_ceil(8)) {
        let zeros = zeros(*word);
        if zeros != 0 {
            let nul = at * 8 + zeros.trailing_zeros() as usize / 8;
            return (nul < max).then_some(nul);
        }
    }
    let behind = words.len() * 8;
    let nul = behind + rest.iter().position(|&octet| octet == 0)?;
    (nul < max).then_some(nul)
}

/// Why a field has no NUL where one must be.
#[cold]
fn without_nul(field: Field, input: &[u8]) -> nom::Err<BodyError> {
    match memchr::memchr(0, input) {
        Some(_) => fail(field, Fault::TooLong),
        None => fail(field, Fault::Unterminated),
    }
}

/// A C-Octet String whose limit is the receiver's choice: at most `limit` octets with its NUL, never
/// more than `MAX`.
pub(crate) fn c_octets_up_to<const MAX: usize>(
    field: Field,
    limit: usize,
    input: &[u8],
) -> Parsed<'_, COctets<'_, MAX>> {
    let (rest, octets) = c_octets::<MAX>(field, input)?;
    if octets.len() >= limit {
        return Err(fail(field, Fault::TooLong));
    }
    Ok((rest, octets))
}

/// TON, NPI and address in a row.
#[inline(always)]
pub(crate) fn address<const MAX: usize>(
    [ton, npi, addr]: [Field; 3],
    input: &[u8],
) -> Parsed<'_, Address<'_, MAX>> {
    let (input, [ton, npi]) = octets([ton, npi], input)?;
    let (input, addr) = c_octets(addr, input)?;
    Ok((
        input,
        Address {
            ton: Ton(ton),
            npi: Npi(npi),
            addr,
        },
    ))
}

/// The sender.
#[inline(always)]
pub(crate) fn source<const MAX: usize>(input: &[u8]) -> Parsed<'_, Address<'_, MAX>> {
    address(
        [Field::SourceAddrTon, Field::SourceAddrNpi, Field::SourceAddr],
        input,
    )
}

/// The recipient.
#[inline(always)]
pub(crate) fn destination<const MAX: usize>(input: &[u8]) -> Parsed<'_, Address<'_, MAX>> {
    address(
        [Field::DestAddrTon, Field::DestAddrNpi, Field::DestinationAddr],
        input,
    )
}

/// `sm_length` and as many octets of `short_message`.
#[inline(always)]
pub(crate) fn short_message(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (input, length) = octet(Field::SmLength, input)?;
    match input.split_at_checked(usize::from(length)) {
        Some((text, rest)) => Ok((rest, text)),
        None => Err(fail(Field::ShortMessage, Fault::Truncated)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every place of the NUL, before and behind the limit and the ends of words, against a plain search.
    #[test]
    fn a_nul_is_found_where_it_is_and_only_within_the_limit() {
        for length in 0..40 {
            for nul in 0..=length {
                // 0x01 and 0x80 are what a search by words takes for zeros when it is wrong.
                for other in [0x01, 0x80, 0xff, b'7'] {
                    let mut octets = vec![other; length];
                    if nul < length {
                        octets[nul..].fill(0);
                        octets[nul + 1..].fill(0x01);
                    }
                    for max in [1, 6, 8, 9, 17, 21, 65] {
                        let plain = octets.iter().position(|&octet| octet == 0).filter(|&at| at < max);
                        assert_eq!(nul_within(&octets, max), plain, "{octets:?} {max}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_row_that_ends_early_names_the_field_that_is_missing() {
        let fields = [Field::EsmClass, Field::ProtocolId, Field::PriorityFlag];
        assert_eq!(octets(fields, &[1, 2, 3, 4]), Ok((&[4][..], [1, 2, 3])));
        for (length, field) in fields.into_iter().enumerate() {
            let error = octets(fields, &[7; 3][..length]).unwrap_err();
            assert_eq!(error, fail(field, Fault::Truncated));
        }
    }
}
