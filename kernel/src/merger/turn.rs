//! Whose turn it is in failover: one side speaks, the other is kept ready.

/// How two sides are merged; all times in ns.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Failover: the side that speaks while it is well. None: whoever is first.
    pub prefer: Option<usize>,
    /// How long a book waits for the other side to fill a hole.
    pub wait: u64,
    /// Failover: how long the speaking side may be behind the other before the other takes over.
    pub patience: u64,
    /// Failover: how long the preferred side must be well before it speaks again.
    pub settle: u64,
    /// For how long messages are remembered.
    pub window: u64,
    /// Bytes that may be remembered or held back, in all.
    pub bytes: usize,
    /// So many ids in a row, each one more than the last, show that a book's ids have no holes of their own.
    pub dense: u32,
}

/// Who speaks on a channel, or for one of its books.
#[derive(Clone, Copy, Debug, Default)]
pub struct Turn {
    away: bool,
    ill: u64,
}

impl Turn {
    /// Whether a side has to stand by.
    pub fn stands_by(&self, rules: &Rules, side: usize) -> bool {
        rules.prefer.is_some_and(|prefer| (side == prefer) == self.away)
    }

    /// The side that stood by spoke for the other.
    pub fn take(&mut self, rules: &Rules, side: usize, now: u64) {
        if let Some(prefer) = rules.prefer {
            self.away = side != prefer;
            if self.away {
                self.ill = now;
            }
        }
    }

    /// Notes how the preferred side is; gives it its turn back when it has been well for long enough.
    pub fn look(&mut self, rules: &Rules, well: bool, now: u64) {
        if !self.away {
            return;
        }
        if !well {
            self.ill = now;
        } else if now.saturating_sub(self.ill) >= rules.settle {
            self.away = false;
        }
    }
}
