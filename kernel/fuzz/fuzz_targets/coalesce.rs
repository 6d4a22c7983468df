//! Two raw streams of a channel through the coalescer.

#![no_main]

#[path = "../../tests/hostile/mod.rs"]
mod hostile;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::coalesce(bytes));
