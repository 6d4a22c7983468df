//! The merged stream as Redis commands: one PUBLISH a channel and call, and late-join keys.

use super::output::Kind;
use super::Merger;
use crate::record::Schema;
use crate::resp;

/// Publications above this size are cut, between venue messages.
const PUBLICATION_BYTES: usize = 64 << 10;

#[derive(Debug, Default)]
struct Outlet {
    header: Vec<u8>,
    pending: Vec<u8>,
    announced: bool,
}

/// What is being made ready for one write.
#[derive(Debug, Default)]
pub struct Sink {
    outlets: Vec<Outlet>,
    touched: Vec<usize>,
}

impl Merger {
    /// Everything handed out since the last call, as commands and their number; then what was counted: records' bytes.
    pub fn commands(&mut self) -> (Vec<u8>, u32) {
        let output = self.take_output();
        let (mut done, mut commands) = (Vec::with_capacity(output.bytes.len() + output.pieces.len() * 96), 0);
        let mut sink = std::mem::take(&mut self.sink);
        for piece in &output.pieces {
            let at = piece.lane as usize;
            // What happened before is no news; how things stand may be.
            let past = matches!(self.lanes[at].schema, Schema::Trades | Schema::Ohlcv1M);
            if piece.kind == Kind::Gap || (piece.kind == Kind::Snapshot && past) {
                continue;
            }
            while sink.outlets.len() <= at {
                let name = &self.lanes[sink.outlets.len()].name;
                let header = resp::publish_header(name.as_bytes());
                sink.outlets.push(Outlet { header, ..Outlet::default() });
            }
            let outlet = &mut sink.outlets[at];
            if outlet.pending.is_empty() {
                sink.touched.push(at);
            }
            outlet.pending.extend_from_slice(&output.bytes[piece.start..piece.end]);
            if outlet.pending.len() >= PUBLICATION_BYTES {
                commands += self.publish(outlet, at, &mut done);
            }
        }
        for at in std::mem::take(&mut sink.touched) {
            commands += self.publish(&mut sink.outlets[at], at, &mut done);
        }
        self.sink = sink;
        (done, commands)
    }

    fn publish(&self, outlet: &mut Outlet, at: usize, done: &mut Vec<u8>) -> u32 {
        if outlet.pending.is_empty() {
            return 0;
        }
        let mut commands = 1;
        if !outlet.announced {
            outlet.announced = true;
            let key = format!("{}:channels", self.keys(at));
            resp::sadd(done, key.as_bytes(), &[self.lanes[at].name.as_bytes()]);
            commands += 1;
        }
        resp::publish(done, &outlet.header, &outlet.pending);
        outlet.pending.clear();
        commands
    }

    /// How the keys of a channel's feed begin; one hash tag, as all keys of a feed have.
    fn keys(&self, at: usize) -> String {
        format!("tapeline:{{{}:MERGED}}", self.feeds[self.lanes[at].feed].provider)
    }

    /// Commands that bring the late-join keys up to date with what has changed since the last call (or all), and their number.
    pub fn flush(&mut self, all: bool) -> (Vec<u8>, u32) {
        let (mut done, mut commands) = (Vec::new(), 0);
        for at in 0..self.lanes.len() {
            if !(all || self.lanes[at].dirty) {
                continue;
            }
            self.lanes[at].dirty = false;
            let (book, keys) = (self.lanes[at].late_join(), self.keys(at));
            if book.is_empty() {
                continue;
            }
            let name = &self.lanes[at].name;
            if all {
                resp::sadd(&mut done, format!("{keys}:channels").as_bytes(), &[name.as_bytes()]);
                commands += 1;
            }
            resp::set(&mut done, format!("{keys}:snapshot:{name}").as_bytes(), &book);
            commands += 1;
        }
        (done, commands)
    }
}
