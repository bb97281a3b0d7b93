//! See `tidegate_fuzz::session`.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| tidegate_fuzz::session(octets));
