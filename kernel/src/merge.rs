//! Several small batches as one, for subscribers who would rather be called seldom than at once.

use rustc_hash::FxHashMap;

use crate::wire::{BatchView, BatchWriter, Response, WireError};

/// One encoded `SubscribeResponse` with the payloads of all; they must be batches of one stream that follow one another.
pub fn merge<T: AsRef<[u8]>>(responses: &[T]) -> Result<Vec<u8>, WireError> {
    let mut batches: Vec<BatchView<'_>> = Vec::with_capacity(responses.len());
    for response in responses {
        let Response::Batch(batch) = Response::parse(response.as_ref())? else { return Err(WireError::Sequence) };
        if let Some(before) = batches.last() {
            let same =
                (before.provider, before.instance, before.epoch) == (batch.provider, batch.instance, batch.epoch);
            if !same || before.last_sequence() + 1 != batch.first_sequence {
                return Err(WireError::Sequence);
            }
        }
        batches.push(batch);
    }
    let first = batches.first().ok_or(WireError::Empty)?;
    let mut writer = BatchWriter::new(first.provider, first.instance, first.epoch).starting_at(first.first_sequence);
    let mut known: FxHashMap<(&str, &str), u32> = FxHashMap::default();
    for batch in &batches {
        let channels: Vec<u32> = batch
            .channels
            .iter()
            .map(|(name, schema)| *known.entry((name, schema)).or_insert_with(|| writer.channel(name, schema)))
            .collect();
        for payload in batch.payloads() {
            let channel = channels.get(payload.channel as usize).ok_or(WireError::Channel)?;
            writer.payload(*channel, payload.ts_recv, payload.connection, payload.data);
        }
    }
    let written = writer.finish(|head, body| [head, body].concat());
    Ok(written.ok_or(WireError::Empty)?.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(first: u64, channels: &[&str], payloads: &[(u32, &[u8])]) -> Vec<u8> {
        let mut writer = BatchWriter::new("P", "PRIMARY", 7).starting_at(first);
        for channel in channels {
            writer.channel(channel, "MBO");
        }
        for (channel, data) in payloads {
            writer.payload(*channel, 5, 1, data);
        }
        writer.finish(|head, body| [head, body].concat()).unwrap().2
    }

    #[test]
    fn batches_that_follow_become_one() {
        let one = batch(10, &["a", "b"], &[(0, b"x"), (1, b"y")]);
        let two = batch(12, &["b", "c"], &[(0, b"z"), (1, b"")]);
        let whole = batch(10, &["a", "b", "c"], &[(0, b"x"), (1, b"y"), (1, b"z"), (2, b"")]);
        assert_eq!(merge(&[one.as_slice(), &two]), Ok(whole));
    }

    #[test]
    fn what_does_not_follow_is_refused() {
        let one = batch(10, &["a"], &[(0, b"x")]);
        let far = batch(12, &["a"], &[(0, b"x")]);
        assert_eq!(merge(&[one.as_slice(), &far]), Err(WireError::Sequence));
        assert_eq!(merge::<&[u8]>(&[]), Err(WireError::Empty));
        assert!(merge(&[&b"\xff"[..]]).is_err());
    }
}
