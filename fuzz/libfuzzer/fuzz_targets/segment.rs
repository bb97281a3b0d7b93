//! See `tidegate_fuzz::segment`.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| tidegate_fuzz::segment(octets));
