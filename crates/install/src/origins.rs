//! Which of a user's settings a refusal of a rendered object comes from. In: a plan and the refusals. Out: for each
//! the path of the deepest setting without which it is gone, where there is one: what is rendered need not say
//! where each field comes from, and several settings may lead to one.

use std::collections::HashMap;

use serde_json::Value;

use crate::input::{Input, without};
use crate::path::{self, Step};
use crate::plan::Plan;
use crate::render::{self, Refusal};

/// Renderings that a search may take, fewer where much is refused; what is not found by then is told at what it is in.
const TRIALS: usize = 400;
const LEAST_TRIALS: usize = 40;
/// Names, which everything hangs on: they are looked at when nothing else is it.
const NAMES: [&str; 3] = ["name", "namespace", "revision"];

/// The paths, in the order of the refusals.
pub fn find(plan: &Plan, refusals: &[Refusal]) -> Vec<Option<String>> {
    let mut counts = HashMap::new();
    for refusal in refusals {
        *counts.entry(refusal.without_places()).or_default() += 1;
    }
    let found = vec![None; refusals.len()];
    let trials = (50 * TRIALS / refusals.len().max(1)).clamp(LEAST_TRIALS, TRIALS);
    let mut search = Search { plan, refusals, counts, trials, found };
    if refusals.is_empty() {
        return search.found;
    }
    search.settings(|_, refusal, value| refusal.is_of(value));
    search.settings(|steps, _, _| !steps.last().is_some_and(is_name));
    search.below(&mut Vec::new(), &plan.input.user, search.open());
    search.settings(|_, _, _| true);
    search.found
}

struct Search<'a> {
    plan: &'a Plan,
    refusals: &'a [Refusal],
    /// How many there are that differ by the places of items only.
    counts: HashMap<String, usize>,
    /// Those that are left.
    trials: usize,
    found: Vec<Option<String>>,
}

impl Search<'_> {
    fn open(&self) -> Vec<usize> {
        (0..self.found.len()).filter(|index| self.found[*index].is_none()).collect()
    }

    /// Each setting of the command line is one; those that may be it are tried.
    fn settings(&mut self, may_be: impl Fn(&[Step], &Refusal, &Value) -> bool) {
        for index in 0..self.plan.input.settings.len() {
            let mut input = self.plan.input.clone();
            let (steps, value) = input.settings.remove(index);
            let mut open = self.open();
            open.retain(|at| may_be(&steps, &self.refusals[*at], &value));
            for gone in self.gone(input, &value, &open) {
                self.found[gone] = Some(format!("spec.{}", path::show(&steps)));
            }
        }
    }

    /// Descends into what a refusal hangs on.
    fn below(&mut self, steps: &mut Vec<Step>, value: &Value, mut open: Vec<usize>) {
        let mut children: Vec<(Step, &Value)> = match value {
            Value::Object(fields) => {
                fields.iter().map(|(key, value)| (Step::Key(key.clone()), value)).collect()
            }
            Value::Array(items) => {
                (0..).zip(items).map(|(index, value)| (Step::Index(index), value)).collect()
            }
            _ => return,
        };
        children.sort_by_key(|(step, _)| is_name(step));
        // Where several settings lead to it, the one that is written there is the one.
        for is_same in [true, false] {
            for (step, child) in &children {
                let mut tried = open.clone();
                tried.retain(|at| !is_same || has(child, &self.refusals[*at]));
                steps.push(step.clone());
                let user = without(&self.plan.input.user, steps);
                let gone = self.gone(Input { user, ..self.plan.input.clone() }, child, &tried);
                for index in &gone {
                    self.found[*index] = Some(format!("spec.{}", path::show(steps)));
                }
                open.retain(|index| !gone.contains(index));
                if !gone.is_empty() {
                    self.below(steps, child, gone);
                }
                steps.pop();
            }
        }
    }

    /// Those that are not there with another input, which lacks this value.
    fn gone(&mut self, input: Input, lacks: &Value, open: &[usize]) -> Vec<usize> {
        // A switch turns off what is refused, and more.
        if open.is_empty() || lacks.is_boolean() || lacks.is_null() || self.trials == 0 {
            return Vec::new();
        }
        self.trials -= 1;
        let left = render::refusals(&self.plan.with(input), self.refusals);
        // Without an item those behind it move up: as many are gone as there are fewer of their kind.
        let mut fewer = self.counts.clone();
        for refusal in left {
            let count = fewer.entry(refusal.without_places()).or_default();
            *count = count.saturating_sub(1);
        }
        let is_gone = |index: &usize| {
            let count = fewer.entry(self.refusals[*index].without_places()).or_default();
            let is_gone = *count > 0;
            *count = count.saturating_sub(1);
            is_gone
        };
        open.iter().copied().filter(is_gone).collect()
    }
}

/// Whether a setting, or one in it, is the value of a refusal.
fn has(setting: &Value, refusal: &Refusal) -> bool {
    let inner = |setting: &Value| has(setting, refusal);
    refusal.is_of(setting)
        || match setting {
            Value::Object(fields) => fields.values().any(inner),
            Value::Array(items) => items.iter().any(inner),
            _ => false,
        }
}

fn is_name(step: &Step) -> bool {
    matches!(step, Step::Key(key) if NAMES.contains(&key.as_str()))
}

/// Whether a setting has a rendered field's name, and that of what both are in where it is not the whole spec.
pub fn is_same_field(origin: &str, path: &str) -> bool {
    let names = |path: &str| -> Vec<String> {
        let names = path.rsplit('.').map(|name| name.split('[').next().unwrap_or(name));
        names.map(str::to_owned).collect()
    };
    let (origin, path) = (names(origin), names(path));
    let counts = if path.len() > 2 { 2 } else { 1 };
    origin.iter().take(counts).eq(path.iter().take(counts))
}
