//! Reads and writes the bytes of `proto/tapeline/ingest/v1` without copying a payload more than once.
//!
//! Written by hand because the hot path needs what generated code does not give: a batch that grows as frames arrive,
//! and a view of one that copies no payload. `tests/kernel/test_wire_agrees_with_protobuf.py` holds it
//! against generated code.

mod columns;
mod writer;

use std::fmt;

pub use columns::{gather, laid_out, Chunk, Columns};
pub use writer::BatchWriter;

/// Bytes that are not a `SubscribeResponse` of this contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireError {
    /// The bytes end inside a value.
    Truncated,
    /// A varint of more than ten bytes or more than 64 bits.
    Varint,
    /// A tag that protobuf does not allow: field 0, an unknown wire type, a group that does not match.
    Tag,
    /// Groups nested deeper than any honest writer would.
    Depth,
    /// A string that is not UTF-8.
    Text,
    /// Neither a batch nor a gap.
    Empty,
    /// More than one batch or gap.
    Repeated,
    /// A payload that names a channel the batch does not list.
    Channel,
    /// Sequences that run past 64 bits.
    Sequence,
    /// Columns that are not of the same rows, or that hold what no payload has.
    Columns,
    /// The kernel itself failed on these bytes; the last defence of the binding.
    Internal,
}

impl fmt::Display for WireError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Truncated => "bytes end inside a value",
            Self::Varint => "varint is longer than 64 bits",
            Self::Tag => "tag is not one protobuf allows",
            Self::Depth => "groups are nested too deep",
            Self::Text => "string is not UTF-8",
            Self::Empty => "response holds neither batch nor gap",
            Self::Repeated => "response holds more than one batch or gap",
            Self::Channel => "payload names a channel the batch does not list",
            Self::Sequence => "sequence runs past 64 bits",
            Self::Columns => "columns do not belong together",
            Self::Internal => "kernel failed on these bytes",
        })
    }
}

impl std::error::Error for WireError {}

/// A decoded `SubscribeResponse`.
#[derive(Debug, Clone)]
pub enum Response<'a> {
    /// Payloads, in sequence.
    Batch(BatchView<'a>),
    /// The statement that some payloads are out of reach.
    Gap(GapView<'a>),
}

/// A `RawBatch`, checked as a whole, whose payloads stay where they are.
#[derive(Debug, Clone)]
pub struct BatchView<'a> {
    /// The provider, such as `BINANCE_SPOT`.
    pub provider: &'a str,
    /// The stream instance, `PRIMARY` or `REPLICA`.
    pub instance: &'a str,
    /// The session manager's start, ns since the Unix epoch.
    pub epoch: u64,
    /// The sequence of the first payload.
    pub first_sequence: u64,
    /// Name and schema of the channels that payloads name by index.
    pub channels: Vec<(&'a str, &'a str)>,
    payloads: Vec<PayloadView<'a>>,
}

/// One payload of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PayloadView<'a> {
    /// Index into the batch's channels; within bounds.
    pub channel: u32,
    /// Receive time, ns since the Unix epoch.
    pub ts_recv: u64,
    /// The connection it came by.
    pub connection: u32,
    /// The bytes as the venue sent them.
    pub data: &'a [u8],
}

/// A `Gap`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GapView<'a> {
    /// The provider, such as `BINANCE_SPOT`.
    pub provider: &'a str,
    /// The stream instance, `PRIMARY` or `REPLICA`.
    pub instance: &'a str,
    /// The epoch in which payloads were lost, ns since the Unix epoch.
    pub epoch: u64,
    /// The first lost sequence.
    pub from_sequence: u64,
    /// The last lost sequence; 0 where it is not known.
    pub to_sequence: u64,
}

impl<'a> Response<'a> {
    /// Reads one encoded `SubscribeResponse`; every payload is checked, so that a bad batch changes nothing.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut event = None;
        let mut fields = Fields::new(bytes);
        while let Some((number, value)) = fields.next()? {
            let (Value::Bytes(body), 1 | 2) = (value, number) else { continue };
            if event.is_some() {
                return Err(WireError::Repeated);
            }
            event =
                Some(if number == 1 { Self::Batch(BatchView::parse(body)?) } else { Self::Gap(GapView::parse(body)?) });
        }
        event.ok_or(WireError::Empty)
    }
}

impl<'a> BatchView<'a> {
    fn parse(body: &'a [u8]) -> Result<Self, WireError> {
        let mut batch = Self {
            provider: "",
            instance: "",
            epoch: 0,
            first_sequence: 0,
            channels: Vec::new(),
            payloads: Vec::with_capacity(body.len() / TYPICAL_PAYLOAD),
        };
        // A payload may stand before the channel it names: protobuf fixes no order of fields.
        let mut channels_needed = 0u64;
        let mut fields = Fields::new(body);
        while let Some((number, value)) = fields.next()? {
            match (number, value) {
                (6, Value::Bytes(payload)) => {
                    let payload = PayloadView::parse(payload)?;
                    channels_needed = channels_needed.max(u64::from(payload.channel) + 1);
                    batch.payloads.push(payload);
                }
                (1, Value::Bytes(text)) => batch.provider = utf8(text)?,
                (2, Value::Bytes(text)) => batch.instance = utf8(text)?,
                (3, Value::Fixed64(epoch)) => batch.epoch = epoch,
                (4, Value::Varint(first)) => batch.first_sequence = first,
                (5, Value::Bytes(channel)) => batch.channels.push(channel_view(channel)?),
                _ => {}
            }
        }
        batch.checked(channels_needed)
    }

    fn checked(self, channels_needed: u64) -> Result<Self, WireError> {
        if channels_needed > self.channels.len() as u64 {
            return Err(WireError::Channel);
        }
        // One more than the next sequence must fit too, for whoever counts on.
        self.first_sequence.checked_add(self.payloads.len() as u64 + 1).ok_or(WireError::Sequence)?;
        Ok(self)
    }

    /// How many payloads the batch holds.
    pub fn len(&self) -> usize {
        self.payloads.len()
    }

    /// Whether the batch holds no payload.
    pub fn is_empty(&self) -> bool {
        self.payloads.is_empty()
    }

    /// The sequence of the last payload; one less than the first of an empty batch, 0 where that is 0.
    pub fn last_sequence(&self) -> u64 {
        (self.first_sequence + self.payloads.len() as u64).saturating_sub(1)
    }

    /// The payloads, in order; their sequences count up from `first_sequence`.
    pub fn payloads(&self) -> &[PayloadView<'a>] {
        &self.payloads
    }
}

impl<'a> PayloadView<'a> {
    #[inline]
    fn parse(body: &'a [u8]) -> Result<Self, WireError> {
        let mut payload = Self::default();
        let mut fields = Fields::new(body);
        while let Some((number, value)) = fields.next()? {
            match (number, value) {
                // uint32 takes the low bits of whatever varint stands there, as every protobuf reader does.
                (1, Value::Varint(channel)) => payload.channel = channel as u32,
                (2, Value::Fixed64(ts_recv)) => payload.ts_recv = ts_recv,
                (3, Value::Varint(connection)) => payload.connection = connection as u32,
                (4, Value::Bytes(data)) => payload.data = data,
                _ => {}
            }
        }
        Ok(payload)
    }
}

impl<'a> GapView<'a> {
    fn parse(body: &'a [u8]) -> Result<Self, WireError> {
        let mut gap = Self::default();
        let mut fields = Fields::new(body);
        while let Some((number, value)) = fields.next()? {
            match (number, value) {
                (1, Value::Bytes(text)) => gap.provider = utf8(text)?,
                (2, Value::Bytes(text)) => gap.instance = utf8(text)?,
                (3, Value::Fixed64(epoch)) => gap.epoch = epoch,
                (4, Value::Varint(from)) => gap.from_sequence = from,
                (5, Value::Varint(to)) => gap.to_sequence = to,
                _ => {}
            }
        }
        Ok(gap)
    }
}

fn channel_view(body: &[u8]) -> Result<(&str, &str), WireError> {
    let (mut name, mut schema) = ("", "");
    let mut fields = Fields::new(body);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Bytes(text)) => name = utf8(text)?,
            (2, Value::Bytes(text)) => schema = utf8(text)?,
            _ => {}
        }
    }
    Ok((name, schema))
}

fn utf8(text: &[u8]) -> Result<&str, WireError> {
    std::str::from_utf8(text).map_err(|_| WireError::Text)
}

/// What a payload takes in a batch at the least, for a first guess at their number.
const TYPICAL_PAYLOAD: usize = 128;

/// How deep unknown groups may nest; the limit of protobuf's own readers.
const MAX_DEPTH: u32 = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    /// A value of a wire type this contract has no field of.
    Other,
}

/// Walks over the fields of one message.
#[derive(Debug, Clone)]
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    #[inline]
    fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (number, wire_type) = self.tag()?;
        Ok(Some((number, self.value(number, wire_type, 0)?)))
    }

    #[inline]
    fn tag(&mut self) -> Result<(u32, u8), WireError> {
        let tag = u32::try_from(self.varint()?).map_err(|_| WireError::Tag)?;
        let (number, wire_type) = (tag >> 3, (tag & 7) as u8);
        if number == 0 {
            return Err(WireError::Tag);
        }
        Ok((number, wire_type))
    }

    #[inline]
    fn value(&mut self, number: u32, wire_type: u8, depth: u32) -> Result<Value<'a>, WireError> {
        match wire_type {
            0 => Ok(Value::Varint(self.varint()?)),
            1 => {
                let (bytes, rest) = self.rest.split_first_chunk::<8>().ok_or(WireError::Truncated)?;
                self.rest = rest;
                Ok(Value::Fixed64(u64::from_le_bytes(*bytes)))
            }
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| WireError::Truncated)?;
                let (bytes, rest) = self.rest.split_at_checked(length).ok_or(WireError::Truncated)?;
                self.rest = rest;
                Ok(Value::Bytes(bytes))
            }
            3 => self.group(number, depth),
            5 => {
                self.rest = self.rest.get(4..).ok_or(WireError::Truncated)?;
                Ok(Value::Other)
            }
            _ => Err(WireError::Tag),
        }
    }

    /// Skips a group, whose start tag has been read, up to its end tag.
    #[cold]
    fn group(&mut self, number: u32, depth: u32) -> Result<Value<'a>, WireError> {
        if depth >= MAX_DEPTH {
            return Err(WireError::Depth);
        }
        loop {
            if self.rest.is_empty() {
                return Err(WireError::Truncated);
            }
            let (inner, wire_type) = self.tag()?;
            if wire_type == 4 {
                return if inner == number { Ok(Value::Other) } else { Err(WireError::Tag) };
            }
            self.value(inner, wire_type, depth + 1)?;
        }
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, WireError> {
        match *self.rest {
            [first, ref rest @ ..] if first < 0x80 => {
                self.rest = rest;
                Ok(u64::from(first))
            }
            [first, second, ref rest @ ..] if second < 0x80 => {
                self.rest = rest;
                Ok(u64::from(first & 0x7f) | u64::from(second) << 7)
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0u64;
        for (place, &byte) in self.rest.iter().enumerate().take(10) {
            if place == 9 && byte > 1 {
                return Err(WireError::Varint);
            }
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                self.rest = &self.rest[place + 1..];
                return Ok(value);
            }
        }
        Err(WireError::Truncated)
    }
}

#[cfg(test)]
mod tests;
