//! What else is wrong with files that have errors, so that all is told at once. In: what was read, and the errors
//! that are known. Out: the same without what they are about, and the errors of what would be installed by that.

use std::ops::Range;

use lateen_api::issue::Issue;
use serde_json::Value;

use super::{DEFAULT_NAME, Reader};
use crate::input;
use crate::path;
use crate::plan::Plan;
use crate::render;

impl Reader {
    /// Takes out of a spec what these issues say is wrong with it.
    pub fn take_out(&mut self, spec: &mut Value, issues: Range<usize>) {
        let wrong = self.issues[issues].iter().filter(|issue| issue.is_error());
        for issue in wrong.filter(|issue| issue.path.starts_with("spec.")) {
            // A gateway without a name that it can have goes as a whole.
            let parent = issue.path.rsplit_once('.').filter(|(parent, field)| {
                parent.ends_with(']')
                    && parent.split('.').count() == 3
                    && matches!(*field, "name" | "namespace")
            });
            let path = parent.map_or(issue.path.as_str(), |(parent, _)| parent);
            match parent.filter(|(_, field)| *field == "namespace") {
                Some((gateway, _)) => elsewhere(spec, gateway),
                None => self.is_whole &= input::take_out(spec, path),
            }
        }
        input::close_holes(spec);
    }
}

/// Puts a gateway into a namespace that no other one is in, so that what else is wrong with it is found.
fn elsewhere(spec: &mut Value, gateway: &str) {
    let place: String = gateway.chars().filter(char::is_ascii_digit).collect();
    if let Some(gateway) = gateway.strip_prefix("spec.").and_then(|at| path::at_mut(spec, at)) {
        gateway["namespace"] = format!("namespace-of-gateway-{place}").into();
    }
}

/// The plan without the settings that errors are about.
pub fn without(mut plan: Plan, errors: &[Issue]) -> Plan {
    let mut input = std::mem::take(&mut plan.input);
    for Issue { path, .. } in errors {
        if path == "metadata.name" {
            plan.operator.name = DEFAULT_NAME.to_owned();
        }
        input::take_out(&mut input.user, path);
        input.settings.retain(|(steps, _)| format!("spec.{}", path::show(steps)) != *path);
    }
    plan.with(input)
}

/// What an API would refuse besides what is told already.
pub fn refused(plan: &Plan, told: &[Issue]) -> Vec<Issue> {
    let is_told = |issue: &Issue| {
        let mut wrong = told.iter().filter(|told| told.is_error());
        wrong.any(|told| render::is_below(&issue.path, &told.path))
    };
    let (_, found) = render(plan);
    found.into_iter().filter(|issue| issue.is_error() && !is_told(issue)).collect()
}

/// A path of what has moved, as it was in the file.
pub fn as_written(path: &str, moves: &[(String, &'static str)], written: &Value) -> String {
    let is_there = |path: &str| input::take_out(&mut written.clone(), path);
    if is_there(path) {
        return path.to_owned();
    }
    let old = moves.iter().find_map(|(from, to)| {
        let rest = path.strip_prefix(&format!("spec.{to}"))?;
        let old = format!("spec.{from}{rest}");
        is_there(&old).then_some(old)
    });
    old.unwrap_or_else(|| path.to_owned())
}
