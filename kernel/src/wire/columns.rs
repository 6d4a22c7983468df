//! Batches that were never encoded: payloads as columns, their bytes in chunks where they lie already.

use super::{BatchView, PayloadView, WireError};

/// Payloads back to back.
#[derive(Debug, Clone, Copy)]
pub struct Chunk<'a> {
    /// Where each payload begins in `data`, and where the last ends, 64 bits each.
    pub offsets: &'a [u8],
    /// The payloads.
    pub data: &'a [u8],
}

impl<'a> Chunk<'a> {
    #[inline]
    fn payload(&self, row: usize) -> Option<&'a [u8]> {
        let bounds = self.offsets.get(8 * row..8 * row + 16)?;
        let [start, end] = [0, 1].map(|place| usize::try_from(word(bounds, place)));
        self.data.get(start.ok()?..end.ok()?)
    }
}

/// A payload by its place: the chunk in the upper 32 bits, its row there in the lower.
#[inline]
fn payload<'a>(chunks: &[Chunk<'a>], place: u64) -> Option<&'a [u8]> {
    let (chunk, row) = (usize::try_from(place >> 32).ok()?, usize::try_from(place & 0xffff_ffff).ok()?);
    chunks.get(chunk)?.payload(row)
}

/// Where payloads, known by their places (64 bits each), begin and end when they lie back to back: offsets as in a chunk.
pub fn laid_out(chunks: &[Chunk<'_>], places: &[u8]) -> Result<Vec<u8>, WireError> {
    let count = places.len() / 8;
    if places.len() != 8 * count {
        return Err(WireError::Columns);
    }
    let mut size = 0u64;
    let mut offsets = Vec::with_capacity(8 * (count + 1));
    offsets.extend_from_slice(&size.to_le_bytes());
    for row in 0..count {
        let found = payload(chunks, word(places, row)).ok_or(WireError::Columns)?;
        size = size.checked_add(found.len() as u64).ok_or(WireError::Columns)?;
        offsets.extend_from_slice(&size.to_le_bytes());
    }
    Ok(offsets)
}

/// Copies these payloads back to back; what does not fit is left out.
pub fn gather(chunks: &[Chunk<'_>], places: &[u8], mut into: &mut [u8]) {
    for row in 0..places.len() / 8 {
        let found = payload(chunks, word(places, row)).unwrap_or_default();
        let Some((here, rest)) = into.split_at_mut_checked(found.len()) else { return };
        here.copy_from_slice(found);
        into = rest;
    }
}

/// Payloads as columns, little endian, a value a payload.
#[derive(Debug, Clone, Copy)]
pub struct Columns<'a> {
    /// Index of the channel, 32 bits.
    pub channel: &'a [u8],
    /// Receive time, ns since the Unix epoch, 64 bits.
    pub ts_recv: &'a [u8],
    /// The connection it came by, 64 bits.
    pub connection: &'a [u8],
    /// Where the payload lies, 64 bits: the chunk in the upper 32, its row there in the lower.
    pub places: &'a [u8],
    /// What the payloads lie in.
    pub chunks: &'a [Chunk<'a>],
}

impl<'a> Columns<'a> {
    fn payloads(&self) -> Result<Vec<PayloadView<'a>>, WireError> {
        let count = self.channel.len() / 4;
        let whole = self.channel.len() == 4 * count
            && [self.ts_recv, self.connection, self.places].iter().all(|column| column.len() == 8 * count);
        if !whole {
            return Err(WireError::Columns);
        }
        let mut payloads = Vec::with_capacity(count);
        for row in 0..count {
            let connection = u32::try_from(word(self.connection, row)).map_err(|_| WireError::Columns)?;
            let data = payload(self.chunks, word(self.places, row)).ok_or(WireError::Columns)?;
            let mut channel = [0; 4];
            channel.copy_from_slice(&self.channel[4 * row..4 * row + 4]);
            let channel = u32::from_le_bytes(channel);
            payloads.push(PayloadView { channel, ts_recv: word(self.ts_recv, row), connection, data });
        }
        Ok(payloads)
    }
}

#[inline]
fn word(column: &[u8], place: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&column[8 * place..8 * place + 8]);
    u64::from_le_bytes(bytes)
}

impl<'a> BatchView<'a> {
    /// The batch that payloads in columns would have been; checked as `parse` does.
    pub fn of_columns(
        epoch: u64,
        first_sequence: u64,
        channels: Vec<(&'a str, &'a str)>,
        columns: &Columns<'a>,
    ) -> Result<Self, WireError> {
        let payloads = columns.payloads()?;
        let channels_needed = payloads.iter().map(|payload| u64::from(payload.channel) + 1).max().unwrap_or(0);
        Self { provider: "", instance: "", epoch, first_sequence, channels, payloads }.checked(channels_needed)
    }
}
