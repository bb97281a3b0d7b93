//! Single fields, as every form of the store puts and gets them: integers, short octets, names, addresses.

use bytes::Buf;
use tidegate_codec::address::{AddressBuf, Npi, Ton};

use super::RecordError;

/// One octet of length, then the octets; callers pass names and ids, which are far below 256.
#[inline]
pub(crate) fn put_short(out: &mut Vec<u8>, octets: &[u8]) {
    debug_assert!(octets.len() <= 255);
    let length = u8::try_from(octets.len()).unwrap_or(u8::MAX);
    out.push(length);
    out.extend_from_slice(&octets[..usize::from(length)]);
}

#[inline]
pub(super) fn put_address(out: &mut Vec<u8>, address: &AddressBuf) {
    out.extend_from_slice(&[address.ton().0, address.npi().0]);
    put_short(out, address.as_bytes());
}

#[inline]
pub(super) fn get_address(fields: &mut &[u8]) -> Result<AddressBuf, RecordError> {
    let (ton, npi) = (Ton(get_u8(fields)?), Npi(get_u8(fields)?));
    AddressBuf::new(ton, npi, get_short(fields)?).map_err(|_| RecordError::Malformed)
}

#[inline]
pub(super) fn get_name<'a>(fields: &mut &'a [u8]) -> Result<&'a str, RecordError> {
    std::str::from_utf8(get_short(fields)?).map_err(|_| RecordError::Malformed)
}

#[inline]
pub(crate) fn get_short<'a>(fields: &mut &'a [u8]) -> Result<&'a [u8], RecordError> {
    let length = usize::from(get_u8(fields)?);
    let (octets, rest) = fields.split_at_checked(length).ok_or(RecordError::Malformed)?;
    *fields = rest;
    Ok(octets)
}

#[inline]
pub(crate) fn get_array<const N: usize>(fields: &mut &[u8]) -> Result<[u8; N], RecordError> {
    let (octets, rest) = fields.split_first_chunk().ok_or(RecordError::Malformed)?;
    *fields = rest;
    Ok(*octets)
}

#[inline]
pub(crate) fn get_u8(fields: &mut &[u8]) -> Result<u8, RecordError> {
    fields.try_get_u8().map_err(|_| RecordError::Malformed)
}

#[inline]
pub(crate) fn get_u16(fields: &mut &[u8]) -> Result<u16, RecordError> {
    fields.try_get_u16().map_err(|_| RecordError::Malformed)
}

#[inline]
pub(crate) fn get_u32(fields: &mut &[u8]) -> Result<u32, RecordError> {
    fields.try_get_u32().map_err(|_| RecordError::Malformed)
}

#[inline]
pub(crate) fn get_u64(fields: &mut &[u8]) -> Result<u64, RecordError> {
    fields.try_get_u64().map_err(|_| RecordError::Malformed)
}
