//! See `tidegate_fuzz::record`.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| tidegate_fuzz::record(octets));
