//! Counters over all messages of a connection, and what a hole in one means.

use serde::{Deserialize, Serialize};

use super::events::EventKind;
use super::state::State;
use super::values::{self, Reject};
use crate::plan::{Program, Source};

/// So many known numbers in a row are a counter that was set back, not messages that came twice.
const KNOWN_RUN: u32 = 200;
/// Holes remembered, so that what comes late is known from what comes twice.
const HOLES: usize = 256;

/// A connection's counter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counting {
    last: Option<u64>,
    holes: Vec<(u64, u64)>,
    known_run: u32,
}

/// What a number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// The first of its connection, or the next.
    Next,
    /// These, both inclusive, are missing before it.
    After(u64, u64),
    /// It was missing and has come late.
    Late,
    /// It has been before.
    Repeated,
    /// The counter has begun anew at it; what is missing is not known.
    SetBack,
}

impl Counting {
    /// Takes the next number in.
    pub fn take(&mut self, number: u64) -> Count {
        let last = match self.last {
            Some(last) if number <= last => return self.known(number),
            Some(last) => last,
            None => number.saturating_sub(1),
        };
        self.known_run = 0;
        let first = self.last.is_none();
        self.last = Some(number);
        if first || number - last == 1 {
            return Count::Next;
        }
        if self.holes.len() >= HOLES {
            self.holes.remove(0);
        }
        self.holes.push((last + 1, number - 1));
        Count::After(last + 1, number - 1)
    }

    fn known(&mut self, number: u64) -> Count {
        if let Some(at) = self.holes.iter().rposition(|(from, to)| (*from..=*to).contains(&number)) {
            self.known_run = 0;
            let (from, to) = self.holes.remove(at);
            // Within a hole 0 < from and to < last, so neither neighbour can overflow.
            for rest in [(number + 1, to), (from, number.saturating_sub(1))] {
                if from <= number && rest.0 <= rest.1 && (rest.0 > number || rest.1 < number) {
                    self.holes.insert(at, rest);
                }
            }
            return Count::Late;
        }
        self.known_run += 1;
        if self.known_run < KNOWN_RUN {
            return Count::Repeated;
        }
        *self = Self { last: Some(number), ..Self::default() };
        Count::SetBack
    }
}

impl State {
    /// Holds a message against its connection's counter; false where it has been before and must not count again.
    pub(super) fn count(
        &mut self,
        program: &Program,
        channel: usize,
        connection: u32,
        ts_recv: u64,
        source: &Source<'_>,
    ) -> Result<bool, Reject> {
        let counter = program.counters.iter().find(|(_, when)| when.iter().all(|on| on.holds(source)));
        let Some((place, _)) = counter.filter(|(place, _)| source.value(*place).given()) else { return Ok(true) };
        let number = values::digits(source.get(*place)).ok_or(Reject("bad_id"))?;
        self.counters_dirty = true;
        let (from, to) = match self.counters.entry(connection).or_default().take(number) {
            Count::Next => {
                self.links[0] += 1;
                return Ok(true);
            }
            Count::Late => return Ok(true),
            Count::Repeated => {
                self.exclude("repeated message");
                return Ok(false);
            }
            Count::After(from, to) => (from, to),
            Count::SetBack => (0, 0),
        };
        self.links[1] += 1;
        self.event(EventKind::Gap, Some(channel), None, "counter", from, to);
        self.doubt(ts_recv, "counter", |known, _| known == connection);
        self.forget_quotes("counter", |known| known == connection);
        Ok(true)
    }

    /// A connection's counter begins anew.
    pub(super) fn count_anew(&mut self, connection: u32) {
        self.counters_dirty |= self.counters.remove(&connection).is_some();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_next_missing_late_or_known() {
        let mut counter = Counting::default();
        let found: Vec<Count> =
            [5, 6, 10, 8, 8, 7, 9, 9, 11, 3].into_iter().map(|number| counter.take(number)).collect();
        assert_eq!(
            found,
            [
                Count::Next,
                Count::Next,
                Count::After(7, 9),
                Count::Late,
                Count::Repeated,
                Count::Late,
                Count::Late,
                Count::Repeated,
                Count::Next,
                Count::Repeated,
            ]
        );
        assert!(counter.holes.is_empty());
    }

    #[test]
    fn a_counter_that_was_set_back_is_found_out() {
        let mut counter = Counting::default();
        counter.take(1_000_000);
        let anew = (1..1000).find(|number| counter.take(*number) == Count::SetBack);
        assert_eq!(anew, Some(u64::from(KNOWN_RUN)));
        assert_eq!(counter.take(u64::from(KNOWN_RUN) + 1), Count::Next);
    }

    proptest! {
        #[test]
        fn each_number_is_new_once(numbers in proptest::collection::vec(1u64..40, 1..150)) {
            let mut counter = Counting::default();
            let mut seen = std::collections::BTreeSet::new();
            let first = numbers[0];
            for number in numbers {
                let count = counter.take(number);
                // Below the first number of the connection nothing counts.
                prop_assert_eq!(count == Count::Repeated, !seen.insert(number) || number < first, "{}", number);
            }
        }

        #[test]
        fn any_numbers_are_taken(numbers in proptest::collection::vec(prop_oneof![any::<u64>(), Just(u64::MAX), 0u64..5], 0..50)) {
            let mut counter = Counting::default();
            for number in numbers {
                counter.take(number);
            }
        }
    }
}
