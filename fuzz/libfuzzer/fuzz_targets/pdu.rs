//! See `tidegate_fuzz::pdu`.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| tidegate_fuzz::pdu(octets));
