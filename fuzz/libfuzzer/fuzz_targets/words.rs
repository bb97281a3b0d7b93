//! See `tidegate_fuzz::words`.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| tidegate_fuzz::words(octets));
