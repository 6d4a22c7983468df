//! Protobuf messages by a schema that is data: fields in the schema's order, as a JSON object.
//!
//! A message is read as a whole before it is written: its fields may come in any order, again and again, and in pieces.

use serde::Deserialize;

use super::{Undecodable, LARGEST, TOO_LARGE};
use crate::plan::SpecError;

/// Messages nest no deeper, whether read or skipped; each may be two levels of JSON.
const MAX_DEPTH: u32 = 30;

const BROKEN: Undecodable = Undecodable("bad_protobuf");

/// No entry, no message.
const NONE: u32 = u32::MAX;

/// How a field is written.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// UTF-8.
    Text,
    /// A varint; ten bytes are a negative number.
    Integer,
    /// A varint whose lowest bit is the sign.
    Zigzag,
    /// A nested message.
    Message,
}

/// `tapeline.spec.decoding.ProtoField`.
#[derive(Clone, Debug, Deserialize)]
pub struct FieldSpec {
    number: u32,
    name: String,
    kind: Kind,
    message: String,
    repeated: bool,
}

/// `tapeline.spec.decoding.ProtoMessage`.
#[derive(Clone, Debug, Deserialize)]
pub struct MessageSpec {
    name: String,
    fields: Vec<FieldSpec>,
}

/// `tapeline.spec.decoding.Protobuf`.
#[derive(Clone, Debug, Deserialize)]
pub struct ProtobufSpec {
    root: String,
    messages: Vec<MessageSpec>,
}

#[derive(Debug)]
struct Field {
    number: u32,
    /// `"name":`, with what is to be escaped escaped.
    key: Vec<u8>,
    kind: Kind,
    message: u32,
    repeated: bool,
}

/// A value of a field: a number, or where its bytes stand; and the field's next.
#[derive(Clone, Copy, Debug)]
struct Entry {
    value: u64,
    end: u32,
    next: u32,
}

/// The first and the last value of a field.
#[derive(Clone, Copy, Debug)]
struct Chain {
    first: u32,
    last: u32,
}

/// Decodes messages of one schema.
#[derive(Debug)]
pub struct Protobuf {
    messages: Vec<Vec<Field>>,
    root: u32,
    notes: Notes,
}

/// What has been read of the message being written and of those around it.
#[derive(Debug, Default)]
struct Notes {
    entries: Vec<Entry>,
    /// One a field of these messages.
    chains: Vec<Chain>,
}

impl Protobuf {
    pub fn new(spec: &ProtobufSpec) -> Result<Self, SpecError> {
        let wrong = |what: String| SpecError(format!("decoder: {what}"));
        let place = |name: &str| {
            let found = spec.messages.iter().position(|message| message.name == name);
            found.map(|place| place as u32).ok_or_else(|| wrong(format!("no message is named {name:?}")))
        };
        let mut messages = Vec::with_capacity(spec.messages.len());
        for message in &spec.messages {
            let mut fields: Vec<Field> = Vec::with_capacity(message.fields.len());
            for field in &message.fields {
                let at = || format!("{}.{}", message.name, field.name);
                if field.number == 0 || field.number >= 1 << 29 || fields.iter().any(|one| one.number == field.number) {
                    return Err(wrong(format!("{}: its number is not its own or none", at())));
                }
                let target = if field.kind == Kind::Message { place(&field.message)? } else { NONE };
                let mut key = Vec::new();
                text(field.name.as_bytes(), &mut key).map_err(|_| wrong(at()))?;
                key.push(b':');
                let (number, kind, repeated) = (field.number, field.kind, field.repeated);
                fields.push(Field { number, key, kind, message: target, repeated });
            }
            messages.push(fields);
        }
        Ok(Self { messages, root: place(&spec.root)?, notes: Notes::default() })
    }

    /// Appends the JSON of a message to `out`.
    pub fn decode(&mut self, frame: &[u8], out: &mut Vec<u8>) -> Result<(), Undecodable> {
        let Ok(end) = u32::try_from(frame.len()) else { return Err(TOO_LARGE) };
        self.notes.entries.clear();
        self.notes.chains.clear();
        let whole = Entry { value: 0, end, next: NONE };
        let mut work = Work { messages: &self.messages, frame, notes: &mut self.notes };
        work.message(self.root, whole, out, 0)
    }
}

struct Work<'a> {
    messages: &'a [Vec<Field>],
    frame: &'a [u8],
    notes: &'a mut Notes,
}

impl Work<'_> {
    /// Writes one message, which stands in the pieces of the frame that `piece` and those after it tell.
    fn message(&mut self, message: u32, piece: Entry, out: &mut Vec<u8>, depth: u32) -> Result<(), Undecodable> {
        if depth >= MAX_DEPTH {
            return Err(Undecodable("too_deep"));
        }
        let fields = &self.messages[message as usize];
        let (entries, chains) = (self.notes.entries.len(), self.notes.chains.len());
        self.notes.chains.resize(chains + fields.len(), Chain { first: NONE, last: NONE });
        let mut piece = piece;
        loop {
            self.read(fields, chains, piece.value as usize, piece.end as usize, depth)?;
            if piece.next == NONE {
                break;
            }
            piece = self.notes.entries[piece.next as usize];
        }
        out.push(b'{');
        let mut first = true;
        for (place, field) in fields.iter().enumerate() {
            let chain = self.notes.chains[chains + place];
            if chain.first == NONE && !field.repeated {
                continue;
            }
            if !first {
                out.push(b',');
            }
            first = false;
            out.extend_from_slice(&field.key);
            if field.repeated {
                self.list(field, chain, out, depth)?;
            } else if field.kind == Kind::Message {
                // The pieces of a message that came in several are one message.
                self.message(field.message, self.notes.entries[chain.first as usize], out, depth + 1)?;
            } else {
                self.scalar(field.kind, self.notes.entries[chain.last as usize], out)?;
            }
            if out.len() > LARGEST {
                return Err(TOO_LARGE);
            }
        }
        out.push(b'}');
        self.notes.entries.truncate(entries);
        self.notes.chains.truncate(chains);
        Ok(())
    }

    fn list(&mut self, field: &Field, chain: Chain, out: &mut Vec<u8>, depth: u32) -> Result<(), Undecodable> {
        out.push(b'[');
        let mut at = chain.first;
        while at != NONE {
            let entry = self.notes.entries[at as usize];
            if at != chain.first {
                out.push(b',');
            }
            if field.kind == Kind::Message {
                self.message(field.message, Entry { next: NONE, ..entry }, out, depth + 1)?;
            } else {
                self.scalar(field.kind, entry, out)?;
            }
            if out.len() > LARGEST {
                return Err(TOO_LARGE);
            }
            at = entry.next;
        }
        out.push(b']');
        Ok(())
    }

    fn scalar(&self, kind: Kind, entry: Entry, out: &mut Vec<u8>) -> Result<(), Undecodable> {
        let number = match kind {
            Kind::Text | Kind::Message => return text(self.bytes(entry), out),
            Kind::Integer => entry.value as i64,
            Kind::Zigzag => (entry.value >> 1) as i64 ^ -((entry.value & 1) as i64),
        };
        out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        Ok(())
    }

    fn bytes(&self, piece: Entry) -> &[u8] {
        self.frame.get(piece.value as usize..piece.end as usize).unwrap_or_default()
    }

    /// Notes the fields of a piece of the frame; those the schema does not know, or knows otherwise, are passed over.
    fn read(
        &mut self,
        fields: &[Field],
        chains: usize,
        start: usize,
        end: usize,
        depth: u32,
    ) -> Result<(), Undecodable> {
        let frame = self.frame.get(..end).ok_or(BROKEN)?;
        let mut at = start;
        while at < end {
            let (number, wire) = tag(frame, &mut at)?;
            let place = fields.iter().position(|field| field.number == number);
            match (wire, place) {
                (0, place) => {
                    let value = varint(frame, &mut at)?;
                    if let Some(place) = place.filter(|&place| fields[place].kind.is_number()) {
                        self.note(chains + place, value, 0);
                    }
                }
                (2, place) => {
                    let (from, until) = span(frame, &mut at)?;
                    let Some(place) = place else { continue };
                    let field = &fields[place];
                    if !field.kind.is_number() {
                        self.note(chains + place, from as u64, until as u32);
                    } else if field.repeated {
                        let packed = frame.get(..until).ok_or(BROKEN)?;
                        let mut at = from;
                        while at < until {
                            let value = varint(packed, &mut at)?;
                            self.note(chains + place, value, 0);
                        }
                    }
                }
                (wire, _) => skip(frame, &mut at, number, wire, depth)?,
            }
        }
        Ok(())
    }

    fn note(&mut self, chain: usize, value: u64, end: u32) {
        let at = self.notes.entries.len() as u32;
        self.notes.entries.push(Entry { value, end, next: NONE });
        let chain = &mut self.notes.chains[chain];
        match self.notes.entries.get_mut(chain.last as usize) {
            Some(last) => last.next = at,
            None => chain.first = at,
        }
        chain.last = at;
    }
}

impl Kind {
    fn is_number(self) -> bool {
        matches!(self, Self::Integer | Self::Zigzag)
    }
}

/// A field's number and wire type.
fn tag(frame: &[u8], at: &mut usize) -> Result<(u32, u8), Undecodable> {
    let tag = u32::try_from(varint(frame, at)?).map_err(|_| BROKEN)?;
    let (number, wire) = (tag >> 3, (tag & 7) as u8);
    if number == 0 {
        return Err(BROKEN);
    }
    Ok((number, wire))
}

fn varint(frame: &[u8], at: &mut usize) -> Result<u64, Undecodable> {
    let mut value = 0u64;
    for place in 0..10 {
        let byte = *frame.get(*at).ok_or(BROKEN)?;
        *at += 1;
        // The tenth byte has room for one bit.
        if place == 9 && byte > 1 {
            return Err(BROKEN);
        }
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(BROKEN)
}

/// Where the bytes of a field with a length stand.
fn span(frame: &[u8], at: &mut usize) -> Result<(usize, usize), Undecodable> {
    let length = usize::try_from(varint(frame, at)?).map_err(|_| BROKEN)?;
    let start = *at;
    let end = start.checked_add(length).filter(|&end| end <= frame.len()).ok_or(BROKEN)?;
    *at = end;
    Ok((start, end))
}

/// Passes over a field; a group with all that is in it.
fn skip(frame: &[u8], at: &mut usize, number: u32, wire: u8, depth: u32) -> Result<(), Undecodable> {
    match wire {
        0 => varint(frame, at).map(|_| ()),
        1 => pass(frame, at, 8),
        2 => span(frame, at).map(|_| ()),
        5 => pass(frame, at, 4),
        3 => {
            if depth >= MAX_DEPTH {
                return Err(Undecodable("too_deep"));
            }
            loop {
                let (inner, wire) = tag(frame, at)?;
                if wire == 4 {
                    return if inner == number { Ok(()) } else { Err(BROKEN) };
                }
                skip(frame, at, inner, wire, depth + 1)?;
            }
        }
        _ => Err(BROKEN),
    }
}

fn pass(frame: &[u8], at: &mut usize, bytes: usize) -> Result<(), Undecodable> {
    *at = at.checked_add(bytes).filter(|&end| end <= frame.len()).ok_or(BROKEN)?;
    Ok(())
}

/// Appends a JSON string.
fn text(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Undecodable> {
    if std::str::from_utf8(bytes).is_err() {
        return Err(BROKEN);
    }
    out.push(b'"');
    let mut done = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[done..at]);
        done = at + 1;
        if byte >= 0x20 {
            out.extend_from_slice(&[b'\\', byte]);
        } else {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
    out.extend_from_slice(&bytes[done..]);
    out.push(b'"');
    Ok(())
}
