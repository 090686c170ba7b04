//! Keeps the webhook configurations of this revision and of its tags working. In: watches of them, the
//! roots, the revision's lease. Out: patches by the replica that holds the lease, and by no other: the CA
//! bundle at all times, and `failurePolicy: Fail` of the validators once a dry run shows that they ask.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use lateen_api::kinds::{Kind, by_kind};
use lateen_kube::watch::{Event, watch_all};
use serde_json::Value;
use tokio::sync::watch;

use super::repair::{Wanted, is_ours, repair};
use super::validation::{PROBE_REFUSAL, probe};
use crate::cluster::context::Context;

const GROUP: &str = "admissionregistration.k8s.io";
/// The first pause before something is tried again, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Works whenever this replica leads; what it does ends with the lease.
pub async fn run(context: Context) -> anyhow::Result<()> {
    let mut leads = context.leads.revision.clone();
    loop {
        leads.wait_for(|leads| *leads).await?;
        let mut keeper = Keeper::new(context.clone());
        tokio::select! {
            worked = keeper.work() => worked?,
            lost = leads.wait_for(|leads| !*leads) => drop(lost?),
        }
    }
}

struct Keeper {
    context: Context,
    roots: watch::Receiver<Arc<str>>,
    known: BTreeMap<(&'static str, String), Value>,
    validating: bool,
}

impl Keeper {
    fn new(context: Context) -> Self {
        let roots = context.roots.clone();
        Self { context, roots, known: BTreeMap::new(), validating: false }
    }

    async fn work(&mut self) -> anyhow::Result<()> {
        let kinds = [kind("MutatingWebhookConfiguration"), kind("ValidatingWebhookConfiguration")];
        let mut events = watch_all(&self.context.client, kinds);
        let mut pause = PAUSE.0;
        loop {
            let done = self.repair_all().await && self.ask().await;
            tokio::select! {
                Some(event) = events.next() => {
                    self.fold(event);
                    pause = PAUSE.0;
                }
                changed = self.roots.changed() => changed?,
                () = tokio::time::sleep(pause), if !done => pause = (pause * 2).min(PAUSE.1),
            }
        }
    }

    fn fold(&mut self, event: Event) {
        let key = |kind: &'static Kind, object: &Value| {
            (kind.kind, object["metadata"]["name"].as_str().unwrap_or_default().to_owned())
        };
        match event {
            Event::Put(kind, object) => drop(self.known.insert(key(kind, &object), object)),
            Event::Delete(kind, object) => drop(self.known.remove(&key(kind, &object))),
            Event::Replace(kind, objects) => {
                self.known.retain(|(known, _), _| *known != kind.kind);
                self.known.extend(objects.into_iter().map(|object| (key(kind, &object), object)));
            }
            Event::Unserved(_) => {}
        }
    }

    fn wanted(&mut self) -> Wanted {
        let place = &self.context.place;
        let roots = self.roots.borrow_and_update();
        Wanted::new(place.revised("istiod"), place.namespace.clone(), &roots, self.validating)
    }

    /// Whether everything is right, or will be when the watch has brought what was written.
    async fn repair_all(&mut self) -> bool {
        let wanted = self.wanted();
        let mut well = true;
        for ((kind_name, name), object) in &self.known {
            let Some(patch) = repair(object, &wanted) else { continue };
            match self.context.client.patch(kind(kind_name), None, name, &patch).await {
                Ok(()) => {
                    tracing::info!(kind = kind_name, name, "repaired the webhooks")
                }
                // Someone else was faster: the watch brings what is there now.
                Err(error) if error.is_conflict() || error.is_not_found() => {}
                Err(error) => {
                    tracing::warn!(kind = kind_name, name, %error, "cannot repair the webhooks");
                    well = false;
                }
            }
        }
        well
    }

    /// Finds out whether the API asks `/validate`, by an object that only this webhook refuses. True if
    /// there is nothing left to find out.
    async fn ask(&mut self) -> bool {
        let wanted = self.wanted();
        let validator = kind("ValidatingWebhookConfiguration").kind;
        let is_one = |((kind, _), object): (&(&str, String), &Value)| {
            *kind == validator && is_ours(object, &wanted)
        };
        if self.validating || !self.known.iter().any(is_one) {
            return true;
        }
        let place = &self.context.place;
        let gateway = by_kind("networking.istio.io", "Gateway")
            .expect("invariant: the table holds the kinds of Istio");
        let probe = probe(&place.namespace, place.revision_label());
        match self.context.client.try_create(gateway, probe).await {
            Err(error) if error.to_string().contains(PROBE_REFUSAL) => {
                tracing::info!("the validation webhook is asked: it fails closed from now on");
                self.validating = true;
                self.repair_all().await
            }
            Err(error) => {
                tracing::debug!(%error, "the validation webhook is not asked yet");
                false
            }
            Ok(()) => {
                tracing::debug!("the validation webhook is not asked yet");
                false
            }
        }
    }
}

fn kind(name: &str) -> &'static Kind {
    by_kind(GROUP, name).expect("invariant: the table holds the kinds of Kubernetes")
}
