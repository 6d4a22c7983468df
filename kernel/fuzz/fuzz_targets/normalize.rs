//! Payloads, one a line behind a channel's letter, through both sinks and a restart.

#![no_main]

#[path = "../../tests/hostile/mod.rs"]
mod hostile;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::normalize(bytes));
