//! Batches that were never encoded: payloads as columns.

use super::{BatchView, PayloadView, WireError};

/// Payloads as columns, little endian, a value a payload.
#[derive(Debug, Clone, Copy)]
pub struct Columns<'a> {
    /// Index of the channel, 32 bits.
    pub channel: &'a [u8],
    /// Receive time, ns since the Unix epoch, 64 bits.
    pub ts_recv: &'a [u8],
    /// The connection it came by, 64 bits.
    pub connection: &'a [u8],
    /// Where each payload begins in `data`, and where the last ends, 64 bits.
    pub offsets: &'a [u8],
    /// The payloads.
    pub data: &'a [u8],
}

impl<'a> Columns<'a> {
    fn payloads(&self) -> Result<Vec<PayloadView<'a>>, WireError> {
        let count = self.channel.len() / 4;
        let whole = self.channel.len() == 4 * count
            && [self.ts_recv, self.connection].iter().all(|column| column.len() == 8 * count)
            && self.offsets.len() == 8 * (count + 1);
        if !whole {
            return Err(WireError::Columns);
        }
        let mut payloads = Vec::with_capacity(count);
        for place in 0..count {
            let connection = u32::try_from(word(self.connection, place)).map_err(|_| WireError::Columns)?;
            let [start, end] = [place, place + 1].map(|place| usize::try_from(word(self.offsets, place)));
            let (Ok(start), Ok(end)) = (start, end) else { return Err(WireError::Columns) };
            let data = self.data.get(start..end).ok_or(WireError::Columns)?;
            let mut channel = [0; 4];
            channel.copy_from_slice(&self.channel[4 * place..4 * place + 4]);
            let channel = u32::from_le_bytes(channel);
            payloads.push(PayloadView { channel, ts_recv: word(self.ts_recv, place), connection, data });
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
