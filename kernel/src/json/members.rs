//! Takes an array or an object apart, one level deep.

use super::scan::Scan;
use super::{Found, JsonError, Tree};

/// Where the items of an array, or the values of an object, stand in it; it is checked as a whole. Empty bytes are an empty array.
pub fn items(array: &[u8]) -> Result<Vec<(usize, usize)>, JsonError> {
    let mut found = Vec::new();
    if !array.is_empty() {
        walk(array, 0, |_, start, end| found.push((start, end)))?;
    }
    Ok(found)
}

/// Gives the name (as it is written, without its quotes; none in an array) and value of each member of a payload that is an
/// object or array; the payload is checked as a whole, but only while its members are given.
pub fn members<'a>(payload: &'a [u8], mut member: impl FnMut(Option<&'a [u8]>, &'a [u8])) -> Result<(), JsonError> {
    if std::str::from_utf8(payload).is_err() {
        return Err(JsonError::Utf8);
    }
    let space =
        |at: usize| payload[at..].iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t')).count();
    let end = walk(payload, space(0), |name, start, end| {
        member(name.map(|(start, end)| &payload[start..end]), &payload[start..end]);
    })?;
    match end + space(end) {
        at if at == payload.len() => Ok(()),
        at => Err(JsonError::Syntax(at.min(u32::MAX as usize) as u32)),
    }
}

/// Gives the places of each member's name and value; where the container ends.
fn walk(
    text: &[u8],
    start: usize,
    mut member: impl FnMut(Option<(usize, usize)>, usize, usize),
) -> Result<usize, JsonError> {
    let tree = Tree::default();
    let mut scan = Scan { b: text, at: start, tree: &tree, found: &mut Found::default(), goal: 0, missing: 0 };
    let close = match scan.peek()? {
        b'[' => b']',
        b'{' => b'}',
        _ => return scan.syntax(),
    };
    scan.at += 1;
    scan.space();
    if scan.peek()? == close {
        return Ok(scan.at + 1);
    }
    loop {
        let mut name = None;
        if close == b'}' {
            let start = scan.at + 1;
            scan.string()?;
            name = Some((start, scan.at - 1));
            scan.colon()?;
        }
        let start = scan.at;
        scan.skip(1)?;
        member(name, start, scan.at);
        if scan.next_or(close)? {
            return Ok(scan.at);
        }
    }
}
