//! What Tapeline does once per message: route, normalise, encode; bytes in, bytes out.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod wire;
