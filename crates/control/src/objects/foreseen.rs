//! What the mesh would say of an object if it were saved, for the reader who is about to save it. In: an outlook.
//! Out: as much of it as they may know, as the graph API has it.

use std::collections::BTreeSet;

use lateen_api::issue::{Issue, ObjectRef};
use lateen_api::resource::Key;
use lateen_runtime::pages::Reader;
use serde_json::{Value, json};

use super::issue;
use crate::whatif::{Outlook, Unanswered};

/// Issues that are told.
const LONGEST: usize = 200;

/// What is said of the object itself comes first.
pub struct Foreseen(Result<Vec<Issue>, Unanswered>);

impl Foreseen {
    /// Without what is known already, and what is said of objects where the reader may not look.
    pub fn new(
        outlook: Result<Outlook, Unanswered>,
        known: &BTreeSet<Issue>,
        reader: &Reader,
    ) -> Self {
        let confined = reader.confined_to();
        let may_look = |issue: &Issue| {
            confined.is_none_or(|namespaces| namespaces.contains(&issue.object.namespace))
        };
        Self(outlook.map(|Outlook { own, others }| {
            let own = own.into_iter().filter(|issue| !known.contains(issue));
            own.chain(others.into_iter().filter(may_look)).collect()
        }))
    }

    pub fn shown(&self, key: &Key) -> Value {
        let issues = match &self.0 {
            Ok(issues) => issues,
            Err(unanswered) => return json!({ "issues": [], "missing": unanswered.to_string() }),
        };
        let own = key.object_ref();
        let rows = issues.iter().take(LONGEST).map(|one| {
            let mut row = issue(one);
            if one.object != own {
                row["object"] = object(&one.object);
            }
            row
        });
        let mut shown = json!({ "issues": rows.collect::<Vec<_>>() });
        let left_out = issues.len().saturating_sub(LONGEST);
        if left_out > 0 {
            shown["leftOut"] = left_out.into();
        }
        shown
    }
}

fn object(object: &ObjectRef) -> Value {
    let ObjectRef { group, kind, namespace, name } = object;
    json!({ "kind": kind, "group": group, "namespace": namespace, "name": name })
}
