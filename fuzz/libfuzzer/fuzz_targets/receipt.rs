//! See `tidegate_fuzz::receipt`.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| tidegate_fuzz::receipt(octets));
