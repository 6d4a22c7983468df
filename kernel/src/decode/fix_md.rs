//! FIX market data as JSON: what a W, X or y says, regrouped so that the paths of the spec languages reach it.
//!
//! Fields before the first repeating group stand under their tags (`"35"`, `"262"`), `sent` is SendingTime as RFC 3339. The
//! entries of group 268 become
//! - `books`: one for each symbol and pair of update ids, with `symbol`, `first`, `last`, `time` and either `bids` and `asks`
//!   (`[price, size]`, a delete has size 0) or, where entries are keyed by their id, `orders` (`[id, price, size]`, an ask's size
//!   negative, a delete's price 0);
//! - `trades` and `others` (all further entry types): the entry's fields under their tags, with `symbol` and `time`.
//!
//! The entries of group 146 become `instruments`. A symbol and update ids that an entry leaves out are those of the entry before it,
//! of the first those of the message. Nothing is remembered from one message to the next.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use super::fix_fields::{self, Field};
use super::{Hook, Undecodable};
use crate::plan::SpecError;

const MD_ENTRIES: u32 = 268;
const SYMBOLS: u32 = 146;
/// Fields that belong to the message although they stand after its group.
const AFTER_GROUPS: [u32; 3] = [893, 93, 89];

/// What tells one book entry from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Price,
    Id,
}

/// The hook `fix_md`.
#[derive(Clone, Debug)]
pub struct FixMd {
    key: Key,
    first: u32,
    last: u32,
}

/// An entry's fields, by their places in the message.
#[derive(Clone, Copy, Default)]
struct Span {
    start: usize,
    end: usize,
}

/// A book entry of group 268.
struct Level<'a> {
    book: usize,
    ask: bool,
    delete: bool,
    price: &'a [u8],
    size: &'a [u8],
    id: &'a [u8],
    replaces: &'a [u8],
}

/// What a book of a message is told by: its symbol and the update ids its entries span.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Ident<'a> {
    symbol: &'a [u8],
    first: &'a [u8],
    last: &'a [u8],
}

#[derive(Default)]
struct Grouped<'a> {
    books: Vec<(Ident<'a>, Vec<u8>)>,
    index: HashMap<Ident<'a>, usize, FxBuildHasher>,
    levels: Vec<Level<'a>>,
    trades: Vec<(Span, &'a [u8])>,
    others: Vec<(Span, &'a [u8])>,
}

/// Makes the hook.
pub fn make(parameters: &[(String, String)]) -> Result<Box<dyn Hook>, SpecError> {
    Ok(Box::new(FixMd::new(parameters).map_err(SpecError)?))
}

impl Hook for FixMd {
    fn decode(&mut self, frame: &[u8], out: &mut Vec<u8>) -> Result<bool, Undecodable> {
        self.write(frame, out).map_err(Undecodable)?;
        Ok(true)
    }
}

impl FixMd {
    /// `key` is `price` (the default) or `id` (278); `first` and `last` are the tags of update ids. Anything else is refused: books
    /// keyed by position (290) would need a memory that a decoder has not.
    fn new(parameters: &[(String, String)]) -> Result<Self, String> {
        let mut made = Self { key: Key::Price, first: 0, last: 0 };
        for (name, value) in parameters {
            let tag = || {
                let tag = fix_fields::number(value.as_bytes()).and_then(|tag| u32::try_from(tag).ok());
                tag.filter(|tag| *tag > 0).ok_or_else(|| format!("fix_md: {name} {value:?} is no tag"))
            };
            match (name.as_str(), value.as_str()) {
                ("key", "price") => made.key = Key::Price,
                ("key", "id") => made.key = Key::Id,
                ("key", "position") => {
                    return Err(
                        "fix_md: entries keyed by position (290) are not supported: a decoder has no memory".into()
                    );
                }
                ("first", _) => made.first = tag()?,
                ("last", _) => made.last = tag()?,
                _ => return Err(format!("fix_md: no parameter {name:?} with value {value:?}")),
            }
        }
        Ok(made)
    }

    /// Writes a message as JSON; fails with a reason where it is damaged or says too little.
    fn write(&self, frame: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
        let all = fix_fields::fields(frame)?.collect::<Result<Vec<Field<'_>>, _>>()?;
        let kind = all.first().filter(|field| field.tag == 35).ok_or("fix_type")?.value;
        let group = all.iter().position(|field| field.tag == MD_ENTRIES || field.tag == SYMBOLS);
        let head = &all[..group.unwrap_or(all.len())];
        let after = all[head.len()..].iter().position(|field| AFTER_GROUPS.contains(&field.tag));
        let tail = after.map_or(&all[all.len()..], |after| &all[head.len() + after..]);
        let spans = match group {
            Some(at) => spans(&all[..all.len() - tail.len()], at)?,
            None => Vec::new(),
        };
        out.extend_from_slice(b"{\"8\":");
        text(out, fix_fields::version(frame));
        let mut seen = Vec::with_capacity(head.len() + tail.len());
        members(out, head.iter().chain(tail), &mut seen);
        if let Some(sent) = value(head, 52) {
            out.extend_from_slice(b",\"sent\":");
            instant(out, sent);
        }
        match group.map(|at| all[at].tag) {
            Some(MD_ENTRIES) => self.entries(kind, head, &all, &spans, out)?,
            Some(_) => list(out, "instruments", &all, spans.iter().map(|span| (*span, &b""[..]))),
            None => {}
        }
        out.push(b'}');
        Ok(())
    }

    fn entries<'a>(
        &self,
        kind: &[u8],
        head: &[Field<'a>],
        all: &[Field<'a>],
        spans: &[Span],
        out: &mut Vec<u8>,
    ) -> Result<(), &'static str> {
        let mut made = Grouped::default();
        let mut known = self.inherited(head, Ident::default());
        for span in spans {
            let entry = &all[span.start..span.end];
            known = self.inherited(entry, known);
            match value(entry, 269) {
                Some(b"0") => made.level(self.key, entry, known, false)?,
                Some(b"1") => made.level(self.key, entry, known, true)?,
                Some(b"2") => made.trades.push((*span, known.symbol)),
                Some(_) => made.others.push((*span, known.symbol)),
                // A delete by id need not say more; what else an earlier message told, nobody remembers here.
                None if self.key == Key::Id && value(entry, 279) == Some(b"2") => {
                    made.level(self.key, entry, known, false)?;
                }
                None => return Err("fix_entry_type"),
            }
        }
        if kind == b"W" && spans.is_empty() && !known.symbol.is_empty() {
            // A snapshot without entries says that the book is empty.
            made.book(known, &[]);
        }
        made.write(self.key, all, out);
        Ok(())
    }

    fn inherited<'a>(&self, fields: &[Field<'a>], before: Ident<'a>) -> Ident<'a> {
        let given = |tag: u32, before| if tag == 0 { before } else { value(fields, tag).unwrap_or(before) };
        let symbol = value(fields, 55).or_else(|| value(fields, 48)).unwrap_or(before.symbol);
        Ident { symbol, first: given(self.first, before.first), last: given(self.last, before.last) }
    }
}

impl<'a> Grouped<'a> {
    fn book(&mut self, ident: Ident<'a>, entry: &[Field<'a>]) -> usize {
        if let Some((last, _)) = self.books.last() {
            if *last == ident {
                return self.books.len() - 1;
            }
        }
        if let Some(found) = self.index.get(&ident) {
            return *found;
        }
        let mut time = Vec::new();
        time_of(&mut time, entry);
        self.books.push((ident, time));
        self.index.insert(ident, self.books.len() - 1);
        self.books.len() - 1
    }

    fn level(&mut self, key: Key, entry: &[Field<'a>], ident: Ident<'a>, ask: bool) -> Result<(), &'static str> {
        let action = value(entry, 279);
        let delete = match action {
            None | Some(b"0" | b"1") => false,
            Some(b"2") => true,
            Some(_) => return Err("fix_update_action"),
        };
        let id = value(entry, 278).unwrap_or_default();
        let replaced = value(entry, 280).filter(|old| action == Some(b"1") && *old != id).unwrap_or_default();
        let price = value(entry, 270).unwrap_or_default();
        let size = value(entry, 271).unwrap_or_default();
        match key {
            Key::Id if id.is_empty() => return Err("fix_entry_id"),
            Key::Price if price.is_empty() => return Err("fix_price"),
            _ if !delete && (price.is_empty() || size.is_empty()) => return Err("fix_price"),
            _ if size.first() == Some(&b'-') => return Err("fix_size"),
            _ => {}
        }
        let book = self.book(ident, entry);
        self.levels.push(Level { book, ask, delete, price, size, id, replaces: replaced });
        Ok(())
    }

    fn write(&mut self, key: Key, all: &[Field<'a>], out: &mut Vec<u8>) {
        self.levels.sort_by_key(|level| level.book);
        out.extend_from_slice(b",\"books\":[");
        let mut rest = &self.levels[..];
        for (at, (ident, time)) in self.books.iter().enumerate() {
            let (own, others) = rest.split_at(rest.partition_point(|level| level.book == at));
            rest = others;
            out.extend_from_slice(if at == 0 { b"{\"symbol\":" } else { b",{\"symbol\":" });
            text(out, ident.symbol);
            for (name, id) in [(&b",\"first\":"[..], ident.first), (&b",\"last\":"[..], ident.last)] {
                if !id.is_empty() {
                    out.extend_from_slice(name);
                    text(out, id);
                }
            }
            if !time.is_empty() {
                out.extend_from_slice(b",\"time\":");
                out.extend_from_slice(time);
            }
            match key {
                Key::Price => {
                    sided(out, b",\"bids\":[", own.iter().filter(|level| !level.ask));
                    sided(out, b",\"asks\":[", own.iter().filter(|level| level.ask));
                }
                Key::Id => orders(out, own),
            }
            out.push(b'}');
        }
        out.push(b']');
        list(out, "trades", all, self.trades.iter().copied());
        list(out, "others", all, self.others.iter().copied());
    }
}

fn sided<'a>(out: &mut Vec<u8>, name: &[u8], levels: impl Iterator<Item = &'a Level<'a>>) {
    out.extend_from_slice(name);
    for (at, level) in levels.enumerate() {
        out.extend_from_slice(if at == 0 { b"[" } else { b",[" });
        text(out, level.price);
        out.push(b',');
        text(out, if level.delete { b"0" } else { level.size });
        out.push(b']');
    }
    out.push(b']');
}

fn orders(out: &mut Vec<u8>, levels: &[Level<'_>]) {
    out.extend_from_slice(b",\"orders\":[");
    let mut first = true;
    let mut order = |id: &[u8], price: &[u8], size: &[u8], ask: bool| {
        out.extend_from_slice(if first { b"[" } else { b",[" });
        first = false;
        text(out, id);
        out.push(b',');
        text(out, price);
        out.extend_from_slice(if ask { b",\"-" } else { b",\"" });
        escaped(out, size);
        out.extend_from_slice(b"\"]");
    };
    for level in levels {
        if !level.replaces.is_empty() {
            order(level.replaces, b"0", b"1", level.ask);
        }
        if level.delete {
            order(level.id, b"0", b"1", level.ask);
        } else {
            order(level.id, level.price, level.size, level.ask);
        }
    }
    out.push(b']');
}

/// Where the entries of the group whose count stands at `at` begin and end; the count must be right.
fn spans(all: &[Field<'_>], at: usize) -> Result<Vec<Span>, &'static str> {
    let count = fix_fields::number(all[at].value).ok_or("fix_group")?;
    let Some(first) = all.get(at + 1).map(|field| field.tag) else {
        return if count == 0 { Ok(Vec::new()) } else { Err("fix_group") };
    };
    let mut made: Vec<Span> = Vec::new();
    if count > 0 {
        for (place, field) in all.iter().enumerate().skip(at + 1) {
            if field.tag == first {
                made.push(Span { start: place, end: place });
            }
            if let Some(last) = made.last_mut() {
                last.end = place + 1;
            }
        }
    }
    if made.len() as u64 == count {
        Ok(made)
    } else {
        Err("fix_group")
    }
}

fn list<'a>(out: &mut Vec<u8>, name: &str, all: &[Field<'_>], entries: impl Iterator<Item = (Span, &'a [u8])>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":[");
    for (at, (span, symbol)) in entries.enumerate() {
        let entry = &all[span.start..span.end];
        out.extend_from_slice(if at == 0 { b"{\"symbol\":" } else { b",{\"symbol\":" });
        text(out, if symbol.is_empty() { value(entry, 55).unwrap_or_default() } else { symbol });
        let mut seen = Vec::with_capacity(entry.len());
        members(out, entry.iter(), &mut seen);
        let mut time = Vec::new();
        time_of(&mut time, entry);
        if !time.is_empty() {
            out.extend_from_slice(b",\"time\":");
            out.extend_from_slice(&time);
        }
        out.push(b'}');
    }
    out.push(b']');
}

/// Fields under their tags, each once: the first counts (a nested group's second entry has nowhere to stand).
fn members<'a>(out: &mut Vec<u8>, fields: impl Iterator<Item = &'a Field<'a>>, seen: &mut Vec<u32>) {
    for field in fields {
        if seen.contains(&field.tag) {
            continue;
        }
        seen.push(field.tag);
        out.extend_from_slice(b",\"");
        out.extend_from_slice(itoa::Buffer::new().format(field.tag).as_bytes());
        out.extend_from_slice(b"\":");
        text(out, field.value);
    }
}

fn value<'a>(fields: &[Field<'a>], tag: u32) -> Option<&'a [u8]> {
    fields.iter().find(|field| field.tag == tag).map(|field| field.value)
}

/// When an entry happened: TransactTime (60), else MDEntryDate and MDEntryTime (272, 273); nothing where it does not say.
fn time_of(out: &mut Vec<u8>, entry: &[Field<'_>]) {
    if let Some(at) = value(entry, 60) {
        instant(out, at);
    } else if let (Some(date), Some(time)) = (value(entry, 272), value(entry, 273)) {
        instant(out, &[date, b"-", time].concat());
    }
}

/// `20241019-05:40:11.464` as `"2024-10-19T05:40:11.464Z"`; what is no such time is left as it is, for the plan to refuse.
fn instant(out: &mut Vec<u8>, at: &[u8]) {
    let shaped = at.len() >= 17 && at[8] == b'-' && at[..8].iter().all(u8::is_ascii_digit);
    if !shaped {
        text(out, at);
        return;
    }
    out.push(b'"');
    for (piece, then) in [(&at[..4], b'-'), (&at[4..6], b'-'), (&at[6..8], b'T')] {
        out.extend_from_slice(piece);
        out.push(then);
    }
    escaped(out, &at[9..]);
    out.extend_from_slice(b"Z\"");
}

fn text(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    escaped(out, value);
    out.push(b'"');
}

/// The inside of a JSON string; what is not UTF-8 becomes U+FFFD.
fn escaped(out: &mut Vec<u8>, value: &[u8]) {
    if value.iter().all(|byte| (0x20..0x7f).contains(byte) && *byte != b'"' && *byte != b'\\') {
        out.extend_from_slice(value);
        return;
    }
    for letter in String::from_utf8_lossy(value).chars() {
        match letter {
            '"' | '\\' => out.extend_from_slice(&[b'\\', letter as u8]),
            letter if (letter as u32) < 0x20 => {
                out.extend_from_slice(format!("\\u{:04x}", letter as u32).as_bytes());
            }
            letter => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests;
