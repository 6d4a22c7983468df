//! Writes batches.

/// Grows one batch: payloads are written once, in their final form, as they come.
#[derive(Debug)]
pub struct BatchWriter {
    /// Fields 1 to 3, the same in every batch.
    preface: Vec<u8>,
    channels: Vec<u8>,
    channel_count: u32,
    payloads: Vec<u8>,
    payload_count: u64,
    first_sequence: u64,
}

impl BatchWriter {
    /// A writer of batches of one provider, instance and epoch (ns since the Unix epoch), starting at sequence 1.
    pub fn new(provider: &str, instance: &str, epoch: u64) -> Self {
        let mut preface = Vec::new();
        put_bytes(&mut preface, 1, provider.as_bytes());
        put_bytes(&mut preface, 2, instance.as_bytes());
        if epoch != 0 {
            preface.push(3 << 3 | 1);
            preface.extend_from_slice(&epoch.to_le_bytes());
        }
        Self {
            preface,
            channels: Vec::new(),
            channel_count: 0,
            payloads: Vec::new(),
            payload_count: 0,
            first_sequence: 1,
        }
    }

    /// The same, but the first payload carries `first`.
    pub fn starting_at(mut self, first: u64) -> Self {
        self.first_sequence = first;
        self
    }

    /// Adds a channel to the open batch and gives its index; the caller remembers it until `finish`.
    pub fn channel(&mut self, name: &str, schema: &str) -> u32 {
        let inner = bytes_len(name.len()) + bytes_len(schema.len());
        self.channels.push(5 << 3 | 2);
        put_varint(&mut self.channels, inner as u64);
        put_bytes(&mut self.channels, 1, name.as_bytes());
        put_bytes(&mut self.channels, 2, schema.as_bytes());
        self.channel_count += 1;
        self.channel_count - 1
    }

    /// Adds a payload to the open batch and gives its sequence.
    #[inline]
    pub fn payload(&mut self, channel: u32, ts_recv: u64, connection: u32, data: &[u8]) -> u64 {
        // Tag and value of channel, ts_recv and connection take at most 6 + 9 + 6 bytes, tag and length of data 11.
        let mut head = [0u8; 32];
        let mut at = 0;
        if channel != 0 {
            head[at] = 1 << 3;
            at = put_varint_at(&mut head, at + 1, u64::from(channel));
        }
        if ts_recv != 0 {
            head[at] = 2 << 3 | 1;
            head[at + 1..at + 9].copy_from_slice(&ts_recv.to_le_bytes());
            at += 9;
        }
        if connection != 0 {
            head[at] = 3 << 3;
            at = put_varint_at(&mut head, at + 1, u64::from(connection));
        }
        if !data.is_empty() {
            head[at] = 4 << 3 | 2;
            at = put_varint_at(&mut head, at + 1, data.len() as u64);
        }
        self.payloads.reserve(12 + at + data.len());
        self.payloads.push(6 << 3 | 2);
        put_varint(&mut self.payloads, (at + data.len()) as u64);
        self.payloads.extend_from_slice(&head[..at]);
        self.payloads.extend_from_slice(data);
        self.payload_count += 1;
        self.next_sequence() - 1
    }

    /// The sequence the next payload will carry.
    pub fn next_sequence(&self) -> u64 {
        self.first_sequence + self.payload_count
    }

    /// How many payloads the open batch holds.
    pub fn open_payloads(&self) -> u64 {
        self.payload_count
    }

    /// How many bytes channels and payloads of the open batch take.
    pub fn open_bytes(&self) -> usize {
        self.channels.len() + self.payloads.len()
    }

    /// Closes the open batch and opens the next: first and last sequence and what `write` gets, the two halves of the
    /// encoded `SubscribeResponse`; `None` where it holds no payload. Halves, so that they are copied once only.
    pub fn finish<T>(&mut self, write: impl FnOnce(&[u8], &[u8]) -> T) -> Option<(u64, u64, T)> {
        if self.payload_count == 0 {
            return None;
        }
        let mut sequence = Vec::with_capacity(11);
        sequence.push(4 << 3);
        put_varint(&mut sequence, self.first_sequence);
        let inner = self.preface.len() + sequence.len() + self.channels.len() + self.payloads.len();
        let mut head = Vec::with_capacity(11 + self.preface.len() + sequence.len() + self.channels.len());
        head.push(1 << 3 | 2);
        put_varint(&mut head, inner as u64);
        head.extend_from_slice(&self.preface);
        head.extend_from_slice(&sequence);
        head.extend_from_slice(&self.channels);
        let written = write(&head, &self.payloads);
        let (first, last) = (self.first_sequence, self.next_sequence() - 1);
        self.channels.clear();
        self.payloads.clear();
        self.channel_count = 0;
        self.payload_count = 0;
        self.first_sequence = last + 1;
        Some((first, last, written))
    }
}

/// Bytes that a length-delimited field with a one-byte tag takes; none where it is empty, as proto3 has it.
fn bytes_len(length: usize) -> usize {
    if length == 0 {
        return 0;
    }
    let bits = u64::BITS - (length as u64).leading_zeros();
    1 + bits.div_ceil(7) as usize + length
}

pub(super) fn put_bytes(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    out.push(number << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[inline]
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[inline]
fn put_varint_at(out: &mut [u8; 32], mut at: usize, mut value: u64) -> usize {
    while value >= 0x80 {
        out[at] = value as u8 | 0x80;
        value >>= 7;
        at += 1;
    }
    out[at] = value as u8;
    at + 1
}
