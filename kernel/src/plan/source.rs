//! Where a plan's places are looked up.

use super::{Of, Place};
use crate::json::{Found, Kind, Value};

/// A payload and, within it, an entry, with what was found in them.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The payload.
    pub payload: &'a [u8],
    /// Its values.
    pub found: &'a Found,
    /// The entry's bytes.
    pub entry: &'a [u8],
    /// Its values.
    pub entry_found: &'a Found,
    /// Texts of the spec itself.
    pub constants: &'a [Box<[u8]>],
}

impl<'a> Source<'a> {
    /// The value at a place.
    #[inline]
    pub fn value(&self, place: Place) -> Value {
        let found = match place.of {
            Of::Payload => self.found,
            Of::Entry => self.entry_found,
            Of::Spec => return self.constant(place),
        };
        found.slots.get(usize::from(place.slot)).copied().unwrap_or_default()
    }

    #[cold]
    fn constant(&self, place: Place) -> Value {
        Value { start: 0, end: self.text(place).len() as u32, kind: Kind::Text }
    }

    /// The bytes a place's spans point into.
    #[inline]
    pub fn text(&self, place: Place) -> &'a [u8] {
        match place.of {
            Of::Payload => self.payload,
            Of::Entry => self.entry,
            Of::Spec => self.constants.get(usize::from(place.slot)).map_or(b"", |text| text),
        }
    }

    /// The text at a place; empty where it is absent or null.
    #[inline]
    pub fn get(&self, place: Place) -> &'a [u8] {
        let value = self.value(place);
        if value.given() {
            value.of(self.text(place))
        } else {
            b""
        }
    }
}
