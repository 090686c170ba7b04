//! The series of a page, a part at a time. In: a metric, labels and a value each. Out: their families, in the order of
//! the table of metrics; what has the same labels as another is one sample with it.

use std::iter::Peekable;
use std::vec;

use super::{Labels, Value, pairs};
use crate::exposition::Exposition;
use crate::standard::Metric;

/// Series that are not written yet. Their values are those of the moment in which they are.
#[derive(Debug)]
pub struct Unwritten {
    left: Peekable<vec::IntoIter<One>>,
    open: Option<Metric>,
}

#[derive(Debug)]
pub(super) struct One {
    pub metric: Metric,
    /// Of the labels.
    pub hash: u64,
    pub labels: Labels,
    pub value: Value,
}

impl Unwritten {
    pub(super) fn new(mut all: Vec<One>) -> Self {
        // By labels only where their hashes do not tell them apart: the same ones are then neighbours.
        all.sort_unstable_by(|a, b| {
            (a.metric, a.hash).cmp(&(b.metric, b.hash)).then_with(|| a.labels.cmp(&b.labels))
        });
        Self { left: all.into_iter().peekable(), open: None }
    }

    /// Writes series until `out` has that many bytes, and says whether any are left.
    pub fn write(&mut self, out: &mut Exposition, until: usize) -> bool {
        while out.len() < until {
            let Some(one) = self.left.next() else { return false };
            let about = one.metric.about();
            if self.open.replace(one.metric) != Some(one.metric) {
                out.family(about.name, about.kind, about.help);
            }
            let labels = pairs(&one.labels);
            match &one.value {
                Value::Counter(counter) => {
                    let mut count = counter.get();
                    while let Some(same) = self.left.next_if(|next| next.is_same(&one)) {
                        count = count.saturating_add(same.value.total());
                    }
                    out.sample(about.name, &labels, count);
                }
                Value::Histogram(all) => out.distribution(about.name, &labels, &all.read()),
            }
        }
        self.left.peek().is_some()
    }
}

impl One {
    fn is_same(&self, other: &Self) -> bool {
        (self.metric, self.hash) == (other.metric, other.hash) && self.labels == other.labels
    }
}
