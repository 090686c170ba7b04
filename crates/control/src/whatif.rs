//! What the mesh would say if an object were saved, or went. In: an object as its author wrote it, and a copy of the
//! writer's world with what is said of it. Out: what would be wrong with the object, and what newly with others.
//!
//! The writer gives a copy away and goes on: tables are copied apart from it, unless a change comes in that moment.
//! One copy is looked at at a time, beside the tasks that push, and a reader has few questions under way.

#[cfg(test)]
mod tests;
mod turns;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lateen_api::intent::Intent;
use lateen_api::issue::{Code, Issue};
use lateen_api::kinds::Kind;
use lateen_api::resource::Key;
use lateen_model::convert::{CONFLICT, NOT_SUPPORTED};
use lateen_model::service::Labels;
use lateen_model::{Change, Snapshot, World};
use lateen_runtime::pages::Reader;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::reading::{Reading, reading};
use crate::selectors::{Gateways, unmatched};
use turns::{Asker, Turns};

/// How long an answer may take, the turns of others included.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the writer sends a copy of its world.
pub type Question = oneshot::Sender<Present>;

/// The world as it was published last.
pub struct Present {
    pub world: World,
    /// What was found in it as a whole, in order.
    pub said: Arc<[Issue]>,
}

/// Asks the writer.
#[derive(Clone)]
pub struct WhatIf {
    writer: mpsc::Sender<Question>,
    gateways: Arc<Gateways>,
    turns: Turns,
}

/// What would be said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// Of the object itself, but for what its text alone is checked for.
    pub own: BTreeSet<Issue>,
    /// Of others, of which it is not said now.
    pub others: BTreeSet<Issue>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    #[error(
        "the mesh was not looked at: the control plane is busy or has not read all objects yet; check again in a moment"
    )]
    Busy,
    #[error(
        "the mesh was not looked at: your last checks are still under way; check again in a moment"
    )]
    TooMany,
}

impl WhatIf {
    /// With the writer's end of the questions.
    pub fn new(gateways: Arc<Gateways>) -> (Self, mpsc::Receiver<Question>) {
        let (writer, questions) = mpsc::channel(1);
        (Self { writer, gateways, turns: Turns::default() }, questions)
    }

    /// As if this object were in the API.
    ///
    /// # Errors
    /// If it takes too long, or the reader asks too much.
    pub async fn ask(
        &self,
        reader: &Reader,
        kind: &'static Kind,
        object: Value,
    ) -> Result<Outlook, Unanswered> {
        let asker = Asker::Reader(reader.user().map(str::to_owned));
        self.answer(asker, kind, Intent::Store(object)).await
    }

    /// The same for the API of this process, which takes no reader's places.
    ///
    /// # Errors
    /// If it takes too long, or the last question of the API is under way still.
    pub async fn ask_for_api(
        &self,
        kind: &'static Kind,
        intent: Intent,
    ) -> Result<Outlook, Unanswered> {
        self.answer(Asker::Api, kind, intent).await
    }

    async fn answer(
        &self,
        asker: Asker,
        kind: &'static Kind,
        intent: Intent,
    ) -> Result<Outlook, Unanswered> {
        let place = self.turns.place(asker).ok_or(Unanswered::TooMany)?;
        let answer = async {
            let turn = place.turn().await?;
            let (question, present) = oneshot::channel();
            self.writer.send(question).await.ok()?;
            let (present, gateways) = (present.await.ok()?, self.gateways.connected_now());
            let looking = tokio::task::spawn_blocking(move || {
                // Held until this is done, whether or not somebody waits for it still.
                let _turn = turn;
                outlook(present, kind, intent, &gateways)
            });
            looking.await.ok()
        };
        tokio::time::timeout(PATIENCE, answer).await.ok().flatten().ok_or(Unanswered::Busy)
    }
}

fn outlook(present: Present, kind: &'static Kind, intent: Intent, gateways: &[Labels]) -> Outlook {
    let mut world = present.world.apart();
    let (Intent::Store(object) | Intent::Remove(object)) = &intent;
    let (key, before) = (Key::of(kind, object), world.snapshot());
    let (resource, mut all) = match intent {
        Intent::Store(object) => {
            let Reading { resource, mut issues, .. } = reading(kind, object);
            issues.retain(|issue| issue.code == NOT_SUPPORTED);
            (resource, issues)
        }
        Intent::Remove(_) => (None, BTreeSet::new()),
    };
    world.apply(match resource {
        Some(resource) => Change::Put(Box::new(resource)),
        // The mesh takes what it cannot read as gone.
        None => Change::Delete(key.clone()),
    });
    let after = world.snapshot();
    let name = key.object_ref();
    all.extend(lateen_translate::mesh_issues(&after));
    all.extend(unserved(&after, gateways));
    all.retain(|issue| after.sees(&issue.object));
    let (own, mut others): (BTreeSet<_>, BTreeSet<_>) =
        all.into_iter().partition(|issue| issue.object == name);
    let unserved = unserved(&before, gateways);
    others.retain(|issue| {
        present.said.binary_search(issue).is_err()
            && !unserved.contains(issue)
            && !loses_already(&present.said, issue)
    });
    Outlook { own, others }
}

/// Whether another object came before that one already: which of them it is makes no difference.
fn loses_already(said: &[Issue], issue: &Issue) -> bool {
    let same = |other: &Issue| {
        (&other.object, &other.path, other.code) == (&issue.object, &issue.path, issue.code)
    };
    let of_two = [CONFLICT, Code::MULTIPLE_TELEMETRIES_WITHOUT_WORKLOAD_SELECTORS];
    of_two.contains(&issue.code) && said.iter().any(same)
}

/// The Gateways that no gateway serves, if there is one.
fn unserved(snapshot: &Snapshot, gateways: &[Labels]) -> BTreeSet<Issue> {
    if gateways.is_empty() { BTreeSet::new() } else { unmatched(snapshot, gateways) }
}
