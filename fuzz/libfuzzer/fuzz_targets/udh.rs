//! See `tidegate_fuzz::udh`.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| tidegate_fuzz::udh(octets));
