//! What a book holds, as records: for late joiners, and for a snapshot where one side knows what the other lost.

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use super::identity::word;
use crate::record::{F_LAST, F_SNAPSHOT};

const STRIDE: usize = 56;
const FLAGS: usize = 36;
const ACTION: usize = 38;

#[derive(Clone, Copy, Debug)]
struct Rest {
    record: [u8; STRIDE],
    arrival: u64,
}

/// One instrument's book out of MBO records.
#[derive(Debug, Default)]
pub struct Mirror {
    rests: HashMap<u64, Rest, FxBuildHasher>,
    arrivals: u64,
    /// The record that cleared the book, for the fields that are the book's own.
    clear: Option<[u8; STRIDE]>,
    newest: Option<[u8; STRIDE]>,
}

impl Mirror {
    /// Applies one venue message.
    pub fn apply(&mut self, unit: &[u8]) {
        for record in unit.chunks_exact(STRIDE) {
            let Ok(record) = <[u8; STRIDE]>::try_from(record) else { continue };
            let id = word(&record, 16);
            match record[ACTION] {
                b'R' => {
                    self.rests.clear();
                    self.clear = Some(record);
                }
                b'A' | b'M' => {
                    self.arrivals += 1;
                    let arrival = self.arrivals;
                    let rest = self.rests.entry(id).or_insert(Rest { record, arrival });
                    rest.record = record;
                }
                b'C' => {
                    self.rests.remove(&id);
                }
                _ => {}
            }
            self.newest = Some(record);
        }
    }

    /// Whether nothing was ever applied.
    pub fn is_blank(&self) -> bool {
        self.newest.is_none()
    }

    /// The book as a snapshot: `R`, then `A…`, bids best first, then asks; `more` is added to the flags. Times, ids and
    /// publisher are the newest record's; `ts_recv` is `stamp`, if one is given.
    pub fn snapshot(&self, out: &mut Vec<u8>, more: u8, stamp: Option<u64>) {
        let Some(mut newest) = self.newest else { return };
        if let Some(stamp) = stamp {
            newest[40..48].copy_from_slice(&stamp.to_le_bytes());
            newest[2] = newest[2] & !3 | 2;
        }
        let mut rows: Vec<&Rest> = self.rests.values().collect();
        rows.sort_unstable_by_key(|rest| {
            let price = word(&rest.record, 24) as i64;
            let bid = rest.record[39] == b'B';
            (!bid, if bid { price.wrapping_neg() } else { price }, rest.arrival)
        });
        let mut clear = self.clear.unwrap_or_else(|| cleared(&newest));
        clear[FLAGS] &= !F_LAST;
        let start = out.len();
        for record in std::iter::once(&clear).chain(rows.iter().map(|rest| &rest.record)) {
            let at = out.len();
            out.extend_from_slice(record);
            let row = &mut out[at..];
            if row[ACTION] != b'R' {
                row[ACTION] = b'A';
            }
            row[2..4].copy_from_slice(&newest[2..4]);
            row[8..16].copy_from_slice(&newest[8..16]);
            row[40..STRIDE].copy_from_slice(&newest[40..STRIDE]);
            row[FLAGS] = (row[FLAGS] & !(F_LAST | crate::record::F_MAYBE_BAD_BOOK)) | F_SNAPSHOT | more;
        }
        if out.len() > start {
            let last = out.len() - STRIDE + FLAGS;
            out[last] |= F_LAST;
        }
    }
}

/// A record that clears, of a book of which none was seen.
fn cleared(newest: &[u8; STRIDE]) -> [u8; STRIDE] {
    let mut record = *newest;
    record[16..24].fill(0);
    record[24..32].copy_from_slice(&dbn::UNDEF_PRICE.to_le_bytes());
    record[32..36].fill(0);
    record[ACTION] = b'R';
    record[39] = b'N';
    record
}
