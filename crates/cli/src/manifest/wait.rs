//! Waits until an installation works. In: what was applied. Out: when its definitions are served, its
//! Deployments are available, its webhooks have a certificate to trust and its validators are asked; or what is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lateen_api::kinds::by_kind;
use lateen_kube::Client;
use serde_json::{Value, json};

use super::cluster::{live, title};
use super::{pods, validators};
use crate::output::{causes, say};

const PAUSE: Duration = Duration::from_millis(500);
/// So often in a row a validator must have answered: one way to it may be there before another.
const ANSWERS: u32 = 3;
/// What is there sooner needs no line.
const SLOW: Duration = Duration::from_secs(1);

/// How an object stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Ready,
    /// Why not yet.
    Waiting(String),
    /// Why never.
    Stuck(String),
}

/// What was told of each object. A pod whose image cannot be pulled goes to and fro between two reasons.
#[derive(Debug, Default)]
struct Told(BTreeMap<String, BTreeSet<String>>);

impl Told {
    fn is_news(&mut self, name: &str, reason: &str) -> bool {
        self.0.entry(name.to_owned()).or_default().insert(without_numbers(reason))
    }
}

/// A text without long numbers: ports and identifiers of one attempt differ from those of the next.
fn without_numbers(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    for word in text.split_inclusive(|c: char| !c.is_ascii_digit()) {
        let digits = word.trim_end_matches(|c: char| !c.is_ascii_digit());
        words.push_str(if digits.len() < 4 { word } else { &word[digits.len()..] });
    }
    words
}

/// Waits at most `limit`; an object that can never become ready ends the waiting at once.
pub async fn wait(client: &Client, applied: &[Value], limit: Duration) -> Result<()> {
    let start = Instant::now();
    let awaited = applied.iter().filter(|object| is_awaited(object));
    let mut pending: Vec<Awaited<'_>> = awaited.map(Awaited::new).collect();
    let mut told = Told::default();
    loop {
        let mut waiting = Vec::new();
        for mut object in pending {
            let name = title(object.object);
            match object.state(client).await? {
                State::Ready if start.elapsed() > SLOW => {
                    say(format_args!("ready {name} after {} s", start.elapsed().as_secs()));
                }
                State::Ready => {}
                State::Stuck(reason) => bail!("{name} cannot become ready: {reason}"),
                State::Waiting(reason) => {
                    if start.elapsed() > SLOW && told.is_news(&name, &reason) {
                        say(format_args!("waiting for {name}: {reason}"));
                    }
                    waiting.push((object, reason));
                }
            }
        }
        if waiting.is_empty() {
            return Ok(());
        }
        if start.elapsed() >= limit {
            let all: Vec<String> = waiting
                .iter()
                .map(|(object, reason)| format!("{}: {reason}", title(object.object)))
                .collect();
            bail!(
                "everything is applied, but not ready after {} s:\n  {}",
                limit.as_secs(),
                all.join("\n  ")
            );
        }
        pending = waiting.into_iter().map(|(object, _)| object).collect();
        tokio::time::sleep(PAUSE).await;
    }
}

fn is_awaited(object: &Value) -> bool {
    let kinds =
        ["CustomResourceDefinition", "DaemonSet", "Deployment", "MutatingWebhookConfiguration"];
    kinds.iter().any(|kind| object["kind"] == *kind) || validators::is_one(object)
}

/// An object that is waited for.
struct Awaited<'a> {
    object: &'a Value,
    /// How often in a row it answered.
    answers: u32,
}

impl<'a> Awaited<'a> {
    fn new(object: &'a Value) -> Self {
        Self { object, answers: 0 }
    }

    async fn state(&mut self, client: &Client) -> Result<State> {
        match self.asked(client).await {
            Err(error) => self.unanswered(error),
            state => state,
        }
    }

    /// An API that is out for a moment, as while it restarts, is waited for like what it is asked for.
    fn unanswered(&mut self, error: anyhow::Error) -> Result<State> {
        match error.downcast_ref::<lateen_kube::Error>() {
            Some(known) if known.is_transient() => {
                self.answers = 0;
                Ok(State::Waiting(causes(&error)))
            }
            _ => Err(error),
        }
    }

    async fn asked(&mut self, client: &Client) -> Result<State> {
        if !validators::is_one(self.object) {
            return state(client, self.object).await;
        }
        let Some(found) = live(client, self.object).await? else { return Ok(removed()) };
        let unasked = validators::unasked(client, &found).await?;
        Ok(self.count(unasked))
    }

    fn count(&mut self, unasked: Option<String>) -> State {
        match unasked {
            Some(reason) => {
                self.answers = 0;
                State::Waiting(reason)
            }
            None => {
                self.answers += 1;
                match self.answers >= ANSWERS {
                    true => State::Ready,
                    false => State::Waiting("validation has begun to answer".to_owned()),
                }
            }
        }
    }
}

fn removed() -> State {
    State::Stuck("it has been removed meanwhile".to_owned())
}

async fn state(client: &Client, object: &Value) -> Result<State> {
    if object["kind"] == "CustomResourceDefinition" {
        return served(client, object).await;
    }
    let Some(found) = live(client, object).await? else { return Ok(removed()) };
    let state = match object["kind"].as_str() {
        Some("Deployment") => deployment(&found),
        Some("DaemonSet") => daemon_set(&found),
        _ => return Ok(webhooks(&found)),
    };
    match state {
        State::Waiting(reason) => {
            let kind = by_kind("", "Pod").context("the table of kinds has pods")?;
            // Who may not list pods is not told why they do not come; the installation goes on all the same.
            let pods = client.list(kind, &pods::selector(&found), None).await.unwrap_or_default();
            Ok(State::Waiting(match pods::trouble(&found, &pods) {
                Some(trouble) => format!("{reason}; {trouble}"),
                None => reason,
            }))
        }
        state => Ok(state),
    }
}

/// A definition is established when its objects can be listed.
async fn served(client: &Client, definition: &Value) -> Result<State> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let spec = &definition["spec"];
    let Some(kind) = by_kind(&text(&spec["group"]), &text(&spec["names"]["kind"])) else {
        return Ok(State::Stuck("its kind is not known here".to_owned()));
    };
    match client.list(kind, "", Some(1)).await {
        Ok(_) => Ok(State::Ready),
        Err(error) if error.is_not_found() || error.is_transient() => {
            Ok(State::Waiting("its objects are not served yet".to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}

fn deployment(found: &Value) -> State {
    let status = &found["status"];
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let without_runtime = |condition: &&Value| condition["reason"] == "NoContainerRuntime";
    if conditions.into_iter().any(|condition| without_runtime(&condition)) {
        let reason = "this API has no container runtime and starts no pods; \
                      install with --wait=false to apply the objects alone";
        return State::Stuck(reason.to_owned());
    }
    let number = |value: &Value| value.as_i64().unwrap_or(0);
    let wanted = found["spec"]["replicas"].as_i64().unwrap_or(1);
    let seen = number(&status["observedGeneration"]) >= number(&found["metadata"]["generation"]);
    let (updated, available) =
        (number(&status["updatedReplicas"]), number(&status["availableReplicas"]));
    let old = (number(&status["replicas"]) - updated).max(0);
    if !seen {
        return State::Waiting("its controller has not seen the change yet".to_owned());
    }
    if updated >= wanted && available >= wanted && old == 0 {
        return State::Ready;
    }
    // Old pods count as available until the new ones take their place.
    let ready = (available - old).clamp(0, updated);
    let replaced = match old {
        0 => String::new(),
        old => format!(", {old} old to be replaced"),
    };
    State::Waiting(format!("{ready} of {wanted} new pods available{replaced}"))
}

fn daemon_set(found: &Value) -> State {
    let status = &found["status"];
    let number = |value: &Value| value.as_i64().unwrap_or(0);
    let seen = number(&status["observedGeneration"]) >= number(&found["metadata"]["generation"]);
    let wanted = number(&status["desiredNumberScheduled"]);
    let (updated, available) =
        (number(&status["updatedNumberScheduled"]), number(&status["numberAvailable"]));
    match seen && updated >= wanted && available >= wanted {
        true => State::Ready,
        false => {
            State::Waiting(format!("{available} of {wanted} nodes have it, {updated} up to date"))
        }
    }
}

/// The control plane puts its CA into the webhooks; until then the API trusts none of their answers.
fn webhooks(found: &Value) -> State {
    let all = found["webhooks"].as_array().cloned().unwrap_or_default();
    let trusted = |webhook: &Value| {
        let client = &webhook["clientConfig"];
        client["caBundle"].as_str().is_some_and(|bundle| !bundle.is_empty())
            || client["service"] == json!(null)
    };
    match all.iter().all(trusted) {
        true => State::Ready,
        false => State::Waiting("the control plane has not put its CA into it yet".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{ANSWERS, Awaited, State, Told, daemon_set, deployment, webhooks};

    #[test]
    fn a_validator_is_ready_when_it_has_answered_several_times_in_a_row() {
        let object = json!({});
        let mut awaited = Awaited::new(&object);
        let mut ready_after = |unasked: &[Option<&str>]| {
            let states = unasked.iter().map(|why| awaited.count(why.map(str::to_owned)));
            states.filter(|state| *state == State::Ready).count()
        };
        assert_eq!(ready_after(&[None, None, Some("connection refused"), None, None]), 0);
        assert_eq!(ready_after(&[None]), 1, "{ANSWERS}");
    }

    #[test]
    fn an_api_that_is_out_for_a_moment_is_waited_for() {
        let refused = |code: u16| lateen_kube::Error::Refused {
            action: "get Deployment istiod".to_owned(),
            code,
            reason: "x".to_owned(),
            message: "the server is starting".to_owned(),
        };
        let object = json!({});
        let mut awaited = Awaited { answers: 2, ..Awaited::new(&object) };
        let state = awaited.unanswered(refused(503).into()).unwrap();
        assert!(
            matches!(&state, State::Waiting(why) if why.contains("the server is starting")),
            "{state:?}"
        );
        assert_eq!(awaited.answers, 0, "what answers has to answer several times in a row again");
        assert!(awaited.unanswered(refused(403).into()).is_err());
    }

    #[test]
    fn old_pods_do_not_pass_for_new_ones() {
        let told = deployment(&json!({
            "spec": {"replicas": 1},
            "status": {"updatedReplicas": 1, "availableReplicas": 1, "replicas": 2},
        }));
        let expected = "0 of 1 new pods available, 1 old to be replaced";
        assert_eq!(told, State::Waiting(expected.to_owned()));
    }

    #[test]
    fn what_goes_to_and_fro_is_told_once() {
        let mut told = Told::default();
        let pulls = |port: u16| format!("ErrImagePull: read udp 10.0.0.1:{port}->10.0.0.2:53");
        let mut said = |name: &str, reason: &str| told.is_news(name, reason);
        assert!(said("a", &pulls(40123)) && said("a", "ImagePullBackOff: back-off"));
        assert!(!said("a", &pulls(51234)) && !said("a", "ImagePullBackOff: back-off"));
        assert!(said("b", &pulls(40123)), "another object's");
        assert!(said("a", "1 of 2 pods available") && said("a", "2 of 2 pods available"));
    }

    #[test]
    fn a_daemon_set_is_ready_when_every_node_has_the_new_pod() {
        let at = |generation: i64, updated: i64, available: i64| {
            daemon_set(&json!({
                "metadata": {"generation": 2},
                "status": {"observedGeneration": generation, "desiredNumberScheduled": 3,
                           "updatedNumberScheduled": updated, "numberAvailable": available},
            }))
        };
        assert_eq!(at(2, 3, 3), State::Ready);
        for waiting in [at(1, 3, 3), at(2, 2, 3), at(2, 3, 2)] {
            assert!(matches!(waiting, State::Waiting(_)), "{waiting:?}");
        }
    }

    #[test]
    fn a_deployment_is_ready_when_the_new_pods_are_available_and_the_old_are_gone() {
        let at = |generation: i64, updated: i64, available: i64, all: i64| {
            deployment(&json!({
                "metadata": {"generation": 2}, "spec": {"replicas": 2},
                "status": {"observedGeneration": generation, "updatedReplicas": updated,
                           "availableReplicas": available, "replicas": all},
            }))
        };
        assert_eq!(at(2, 2, 2, 2), State::Ready);
        for waiting in [at(1, 2, 2, 2), at(2, 1, 2, 2), at(2, 2, 1, 2), at(2, 2, 2, 3)] {
            assert!(matches!(waiting, State::Waiting(_)), "{waiting:?}");
        }
    }

    #[test]
    fn an_api_without_containers_is_told_at_once() {
        let conditions = json!([{"type": "Available", "reason": "NoContainerRuntime"}]);
        let found = deployment(&json!({"status": {"conditions": conditions}}));
        assert!(matches!(found, State::Stuck(reason) if reason.contains("--wait=false")));
    }

    #[test]
    fn a_webhook_needs_a_bundle_to_be_trusted() {
        let with =
            |client: serde_json::Value| webhooks(&json!({"webhooks": [{"clientConfig": client}]}));
        assert!(matches!(with(json!({"service": {}})), State::Waiting(_)));
        assert_eq!(with(json!({"service": {}, "caBundle": "Zg=="})), State::Ready);
        assert_eq!(with(json!({"url": "https://x"})), State::Ready);
    }
}
