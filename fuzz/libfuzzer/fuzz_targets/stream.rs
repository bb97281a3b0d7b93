//! See `tidegate_fuzz::stream`.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| tidegate_fuzz::stream(octets));
