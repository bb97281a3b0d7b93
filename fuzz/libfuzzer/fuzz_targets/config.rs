//! See `tidegate_fuzz::config`.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| tidegate_fuzz::config(octets));
