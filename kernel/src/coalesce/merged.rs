//! What comes out: columns, little endian, a row a message.

use super::side::Row;

/// Messages of a coalesced stream.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Merged {
    /// Whose copy it is: 0 or 1.
    pub side: Vec<u8>,
    /// Who has it: 1 the first side, 2 the second, 3 both.
    pub seen: Vec<u8>,
    /// The copy's own place.
    pub epoch: Vec<u8>,
    /// The same.
    pub sequence: Vec<u8>,
    /// The connection it came by.
    pub connection: Vec<u8>,
    /// When it came, ns since the epoch.
    pub ts_recv: Vec<u8>,
    /// Never falls; ns by the first side's clock.
    pub order: Vec<u8>,
    /// The other side's place of it; 0 where that has none.
    pub other_epoch: Vec<u8>,
    /// The same.
    pub other_sequence: Vec<u8>,
    /// When the other side had it; 0 where it has not.
    pub other_ts_recv: Vec<u8>,
    /// Where each payload ends in `data`, less the last of all, which is the length: the first is 0.
    pub offsets: Vec<u8>,
    /// The payloads, back to back.
    pub data: Vec<u8>,
}

/// Bytes of all columns a row has, without its payload.
const ROW_BYTES: usize = 2 + 9 * 8;

impl Merged {
    /// What it takes.
    pub fn bytes(&self) -> usize {
        self.side.len() * ROW_BYTES + self.data.len()
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.side.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.side.is_empty()
    }

    pub(super) fn push(&mut self, side: usize, row: &Row, twin: Option<&Row>, order: i64, payload: &[u8]) {
        if self.offsets.is_empty() {
            self.offsets.extend_from_slice(&0u64.to_le_bytes());
        }
        self.side.push(side as u8);
        self.seen.push(if twin.is_some() { 3 } else { 1 << side });
        let (epoch, sequence, ts_recv) = twin.map_or((0, 0, 0), |twin| (twin.epoch, twin.sequence, twin.ts_recv));
        for (column, value) in [
            (&mut self.epoch, row.epoch),
            (&mut self.sequence, row.sequence),
            (&mut self.connection, row.connection),
            (&mut self.ts_recv, row.ts_recv),
            (&mut self.order, order),
            (&mut self.other_epoch, epoch),
            (&mut self.other_sequence, sequence),
            (&mut self.other_ts_recv, ts_recv),
        ] {
            column.extend_from_slice(&value.to_le_bytes());
        }
        self.data.extend_from_slice(payload);
        self.offsets.extend_from_slice(&(self.data.len() as u64).to_le_bytes());
    }
}
