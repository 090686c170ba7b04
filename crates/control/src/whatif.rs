//! What the mesh would say of an object if it were saved. In: an object as its author wrote it, and a copy of the
//! writer's world. Out: what would be wrong with it, and what would newly be wrong with others.
//!
//! The writer gives a copy away and goes on: it costs it nothing but one copy of its tables, if a change comes
//! before the copy has tables of its own. One question is looked at at a time, apart from the tasks that push.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lateen_api::issue::Issue;
use lateen_api::kinds::Kind;
use lateen_api::resource::Key;
use lateen_model::service::Labels;
use lateen_model::{Change, World};
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::reading::reading;
use crate::selectors::{Gateways, unmatched};

/// How long an answer may take, the turns of others included.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the writer sends a copy of its world.
pub type Question = oneshot::Sender<World>;

/// Asks the writer.
#[derive(Clone)]
pub struct WhatIf {
    writer: mpsc::Sender<Question>,
    gateways: Arc<Gateways>,
    /// Held by whoever looks at a copy, until it is done, whether or not somebody waits for it still.
    turn: Arc<Semaphore>,
}

/// What would be said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// Of the object itself.
    pub own: BTreeSet<Issue>,
    /// Of others, of which it is not said now.
    pub others: BTreeSet<Issue>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the mesh was not looked at: the control plane is busy or has not read all objects yet; check again in a moment"
)]
pub struct Unanswered;

impl WhatIf {
    /// With the writer's end of the questions.
    pub fn new(gateways: Arc<Gateways>) -> (Self, mpsc::Receiver<Question>) {
        let (writer, questions) = mpsc::channel(1);
        (Self { writer, gateways, turn: Arc::new(Semaphore::new(1)) }, questions)
    }

    /// As if this object were in the API.
    ///
    /// # Errors
    /// If it takes too long.
    pub async fn ask(&self, kind: &'static Kind, object: Value) -> Result<Outlook, Unanswered> {
        let answer = tokio::time::timeout(PATIENCE, self.answer(kind, object)).await;
        answer.ok().flatten().ok_or(Unanswered)
    }

    /// `None` while the process stops.
    async fn answer(&self, kind: &'static Kind, object: Value) -> Option<Outlook> {
        let turn = self.turn.clone().acquire_owned().await.ok()?;
        let (question, world) = oneshot::channel();
        self.writer.send(question).await.ok()?;
        let (world, gateways) = (world.await.ok()?, self.gateways.connected_now());
        let looking = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            outlook(world, kind, object, &gateways)
        });
        looking.await.ok()
    }
}

fn outlook(mut world: World, kind: &'static Kind, object: Value, gateways: &[Labels]) -> Outlook {
    let key = Key::of(kind, &object);
    let before = said(&mut world, gateways);
    world.apply(match reading(kind, object).resource {
        Some(resource) => Change::Put(Box::new(resource)),
        // The mesh takes what it cannot read as gone.
        None => Change::Delete(key.clone()),
    });
    let (after, name) = (said(&mut world, gateways), key.object_ref());
    let (own, others) = after.into_iter().partition(|issue: &Issue| issue.object == name);
    Outlook { own, others: &others - &before }
}

/// What is said of a world as a whole.
fn said(world: &mut World, gateways: &[Labels]) -> BTreeSet<Issue> {
    let snapshot = world.snapshot();
    let mut all: BTreeSet<Issue> = lateen_translate::mesh_issues(&snapshot).into_iter().collect();
    if !gateways.is_empty() {
        all.extend(unmatched(&snapshot, gateways));
    }
    all.retain(|issue| snapshot.sees(&issue.object));
    all
}
