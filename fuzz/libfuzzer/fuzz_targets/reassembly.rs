//! See `tidegate_fuzz::reassembly`.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| tidegate_fuzz::reassembly(octets));
