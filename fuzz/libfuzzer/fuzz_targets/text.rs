//! See `tidegate_fuzz::text`.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| tidegate_fuzz::text(octets));
