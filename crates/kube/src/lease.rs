//! Who of several replicas writes: a Lease of Kubernetes, held as client-go's leader election holds it. In:
//! a name and who asks. Out: whether this replica leads, as a value to watch; it turns false before another
//! replica could begin to lead, whether the API answers or not.
//!
//! Other machines' clocks are not trusted: a holder is given up on when its Lease has not changed for as
//! long as it was to last, by this machine's own clock.

#[cfg(test)]
mod tests;

use std::future::Future;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use lateen_api::kinds::{Kind, by_kind};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::client::{Client, Error};

/// Istio's times: how long a Lease lasts that nobody renews, how long its holder tries to before it gives
/// up, and the pause between two attempts.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    pub lasts: Duration,
    pub renew_within: Duration,
    pub retry: Duration,
}

impl Default for Times {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { lasts: seconds(30), renew_within: seconds(15), retry: seconds(5) }
    }
}

/// A Lease and who wants it.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub namespace: String,
    pub lease: String,
    /// Unique among the replicas, such as the pod's name.
    pub identity: String,
    pub times: Times,
}

/// Tries to lead until `stop` resolves, then gives the Lease back. `leading` is what others watch.
pub async fn run(
    client: Client,
    candidate: Candidate,
    leading: watch::Sender<bool>,
    stop: impl Future<Output = ()>,
) {
    let mut election = Election::new(candidate);
    let mut stop = std::pin::pin!(stop);
    loop {
        let until = election.leads_until();
        tokio::select! {
            biased;
            () = &mut stop => break,
            () = round(&client, &mut election, until) => {}
        }
        tell(&leading, &election);
        let next = Instant::now() + election.candidate.times.retry;
        tokio::select! {
            biased;
            () = &mut stop => break,
            // Nobody renewed in time: others may lead from now on.
            () = expiry(election.leads_until()) => tell(&leading, &election),
            () = sleep_until(next) => {}
        }
    }
    leading.send_replace(false);
    if election.is_leading(Instant::now()) {
        let release = election.release();
        if let Err(error) = write(&client, &election.candidate, release).await {
            tracing::debug!(%error, "the lease was not given back; it ends by itself");
        }
    }
}

async fn expiry(until: Option<Instant>) {
    match until {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn tell(leading: &watch::Sender<bool>, election: &Election) {
    let now = election.is_leading(Instant::now());
    let changed = leading.send_if_modified(|before| std::mem::replace(before, now) != now);
    if changed {
        let Candidate { lease, identity, .. } = &election.candidate;
        match now {
            true => tracing::info!(lease, identity, "leading"),
            false => tracing::warn!(lease, identity, "no longer leading"),
        }
    }
}

/// One look at the Lease, and one attempt to write it where it may be ours. A leader spends no more time on
/// it than it has; everybody else has what the client gives.
async fn round(client: &Client, election: &mut Election, until: Option<Instant>) {
    let began = Instant::now();
    let limit = until.unwrap_or(began + election.candidate.times.renew_within);
    let attempt = async {
        let (namespace, name) = (&election.candidate.namespace, &election.candidate.lease);
        let present = client.get(kind(), Some(namespace), name).await?;
        match election.look(present, Instant::now()) {
            Some(wanted) => write(client, &election.candidate, wanted).await.map(Some),
            None => Ok(None),
        }
    };
    match timeout_at(limit, attempt).await {
        Ok(Ok(Some(written))) => election.held(written, began),
        Ok(Ok(None)) => {}
        // Somebody else was faster, which the next look tells.
        Ok(Err(error)) if error.is_conflict() => {}
        Ok(Err(error)) => {
            let lease = &election.candidate.lease;
            tracing::warn!(lease, %error, "cannot renew the lease, trying again");
        }
        Err(_) => {}
    }
}

async fn write(client: &Client, candidate: &Candidate, wanted: Value) -> Result<Value, Error> {
    debug_assert_eq!(wanted["metadata"]["name"], json!(candidate.lease));
    match wanted["metadata"]["resourceVersion"].is_string() {
        true => client.replace(kind(), wanted).await,
        false => client.create(kind(), wanted).await,
    }
}

fn kind() -> &'static Kind {
    by_kind("coordination.k8s.io", "Lease").expect("invariant: the table holds Kubernetes' kinds")
}

/// What one replica knows of the Lease.
struct Election {
    candidate: Candidate,
    /// The Lease as it was when it last changed, and when that was seen.
    seen: Option<(Value, Instant)>,
    leads_until: Option<Instant>,
}

impl Election {
    fn new(candidate: Candidate) -> Self {
        Self { candidate, seen: None, leads_until: None }
    }

    fn leads_until(&self) -> Option<Instant> {
        self.leads_until.filter(|until| *until > Instant::now())
    }

    fn is_leading(&self, now: Instant) -> bool {
        self.leads_until.is_some_and(|until| now < until)
    }

    /// What to write, if the Lease is free, ours, or its holder's time is over.
    fn look(&mut self, present: Option<Value>, now: Instant) -> Option<Value> {
        let Some(present) = present else {
            self.leads_until = None;
            return Some(self.lease(&json!({}), false));
        };
        let version = |lease: &Value| lease["metadata"]["resourceVersion"].clone();
        if self.seen.as_ref().is_none_or(|(seen, _)| version(seen) != version(&present)) {
            self.seen = Some((present.clone(), now));
        }
        let since = self.seen.as_ref().map_or(now, |(_, since)| *since);
        let holder = present["spec"]["holderIdentity"].as_str().unwrap_or_default();
        let lasts = present["spec"]["leaseDurationSeconds"].as_u64().map(Duration::from_secs);
        let over = now >= since + lasts.unwrap_or(self.candidate.times.lasts);
        if holder == self.candidate.identity {
            return Some(self.lease(&present, true));
        }
        self.leads_until = None;
        (holder.is_empty() || over).then(|| self.lease(&present, false))
    }

    /// The Lease was written; the request began at `began`, so nobody saw it begin earlier.
    fn held(&mut self, written: Value, began: Instant) {
        self.leads_until = Some(began + self.candidate.times.renew_within);
        self.seen = Some((written, began));
    }

    fn lease(&self, before: &Value, renewed: bool) -> Value {
        let now = micro_time();
        let old = &before["spec"];
        let transitions = old["leaseTransitions"].as_u64().unwrap_or_default();
        let (acquired, transitions) = match (renewed, old.is_null()) {
            (true, _) => (old["acquireTime"].clone(), transitions),
            (false, true) => (json!(now), 0),
            (false, false) => (json!(now), transitions + 1),
        };
        let mut lease = self.object(before);
        lease["spec"] = json!({
            "holderIdentity": self.candidate.identity,
            "leaseDurationSeconds": self.candidate.times.lasts.as_secs(),
            "acquireTime": acquired,
            "renewTime": now,
            "leaseTransitions": transitions,
        });
        lease
    }

    /// The Lease of nobody, which the next one may take at once.
    fn release(&self) -> Value {
        let before = self.seen.as_ref().map_or(&Value::Null, |(seen, _)| seen);
        let mut lease = self.object(before);
        lease["spec"] = json!({
            "holderIdentity": "",
            "leaseDurationSeconds": 1,
            "renewTime": micro_time(),
            "leaseTransitions": before["spec"]["leaseTransitions"],
        });
        lease
    }

    /// The Lease's metadata is kept, with the version on which the API insists.
    fn object(&self, before: &Value) -> Value {
        let Candidate { namespace, lease, .. } = &self.candidate;
        let mut metadata = before["metadata"].clone();
        if !metadata.is_object() {
            metadata = json!({ "name": lease, "namespace": namespace });
        }
        if let Some(fields) = metadata.as_object_mut() {
            fields.remove("managedFields");
        }
        json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata })
    }
}

/// Kubernetes takes exactly six digits after the second here.
fn micro_time() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}
