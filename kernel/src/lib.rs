//! What Tapeline does once per message: route, normalise, encode; bytes in, bytes out.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod book;
pub mod coalesce;
pub mod decimal;
pub mod decode;
pub mod glob;
pub mod instrument;
pub mod json;
pub mod merge;
pub mod merger;
pub mod normalize;
pub mod plan;
pub mod record;
pub mod resp;
pub mod router;
pub mod rows;
pub mod spec;
pub mod sync;
pub mod time;
pub mod wire;

#[cfg(feature = "python")]
mod py;
