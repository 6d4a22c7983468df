//! Levels that are coded in a rarer way: one alone, as a text, with an id of their own.

use super::books::{read_row, Change};
use super::values::{self, Reject};
use crate::decimal::Dec;
use crate::json::{Found, Kind, Row, Tree, Value};
use crate::plan::{Place, Rows, Source};
use crate::spec::Coding;

/// Reads the one level a path leads to; an absent or null one is none.
pub(super) fn read_single(
    source: &Source<'_>,
    rows: &Rows,
    place: Place,
    side: usize,
    into: &mut Vec<Change>,
) -> Result<(), Reject> {
    let value = source.value(place);
    if !value.given() {
        return Ok(());
    }
    let text = value.of(source.text(place));
    let row = match (value.kind, rows.coding) {
        (Kind::Text, Coding::Text) => [Value { start: 0, end: text.len() as u32, kind: Kind::Text }, NONE, NONE],
        (Kind::Object, Coding::Object) => keyed(text, rows)?,
        (Kind::Array, coding) if !matches!(coding, Coding::Text | Coding::Object) => placed(text)?,
        _ => return Err(Reject("syntax")),
    };
    read_marked(&[row], text, rows, side, into)
}

const NONE: Value = Value { start: 0, end: 0, kind: Kind::Absent };

fn placed(array: &[u8]) -> Result<Row, Reject> {
    let mut tree = Tree::default();
    let slots = ["0", "1", "2"].map(|place| tree.slot(place));
    found_in(&tree, slots.to_vec(), array)
}

fn keyed(object: &[u8], rows: &Rows) -> Result<Row, Reject> {
    let mut tree = Tree::default();
    let keys = rows.words.iter().take(3).map(|key| String::from_utf8_lossy(key).into_owned());
    let slots = keys.map(|key| tree.slot(&key)).collect();
    found_in(&tree, slots, object)
}

fn found_in(tree: &Tree, slots: Vec<u16>, text: &[u8]) -> Result<Row, Reject> {
    let mut found = Found::default();
    tree.scan(text, &mut found).map_err(|_| Reject("syntax"))?;
    let mut row = [NONE; 3];
    for (cell, slot) in row.iter_mut().zip(slots) {
        *cell = found.slots.get(usize::from(slot)).copied().unwrap_or_default();
    }
    Ok(row)
}

/// Reads levels that have an id of their own, or of which those of price zero are to be left out.
pub(super) fn read_marked(
    list: &[Row],
    text: &[u8],
    rows: &Rows,
    side: usize,
    into: &mut Vec<Change>,
) -> Result<(), Reject> {
    for row in list {
        let mut change = read_row(row, text, rows, side)?;
        if let Some(cell) = rows.row_id.and_then(|place| row.get(place)).filter(|cell| cell.given()) {
            change.id = values::digits(cell.of(text)).ok_or(Reject("bad_id"))?;
        }
        if !(rows.skip_zero_price && change.price.is_zero()) {
            into.push(change);
        }
    }
    Ok(())
}

/// Reads `price,side,size`.
pub(super) fn read_text(row: &Row, text: &[u8], rows: &Rows) -> Result<Change, Reject> {
    let written = row[0].of(text);
    let mut pieces = written.split(|byte| *byte == b',');
    let (Some(price), Some(word), Some(size), None) = (pieces.next(), pieces.next(), pieces.next(), pieces.next())
    else {
        return Err(Reject("bad_level"));
    };
    let side = rows.words.iter().position(|known| **known == *word).ok_or(Reject("bad_side"))?;
    let (price, size) = (Dec::parse(price)?, Dec::parse(size)?);
    if size.mantissa < 0 {
        return Err(Reject("number_range"));
    }
    Ok(Change { side: side & 1, price, size, id: 0 })
}
