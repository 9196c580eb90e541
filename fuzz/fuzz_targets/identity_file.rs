#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sealpost_agent::fuzzing::identity_file(input));
