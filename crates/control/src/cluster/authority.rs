//! The control plane's authority on a cluster, kept in a Secret so that all replicas have the same one. In:
//! Secrets `cacerts` (somebody's own, which goes first) and `istio-ca-secret` (Istio's, made here if there is
//! neither). Out: the roots, and a TLS configuration whose certificate is renewed in memory.

#[cfg(test)]
mod tests;
mod trust;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt;
use lateen_api::kinds::{Kind, by_kind};
use lateen_identity::{Authority, AuthorityPem, Error as Unusable};
use lateen_kube::watch::{Event, Scope, watch_scope};
use lateen_kube::{Client, Error};
use rustls::ServerConfig;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use trust::Trust;

/// Somebody's own authority, as Istio's documentation has it plugged in.
const PLUGGED_IN: &str = "cacerts";
/// The one that is made here.
const OWN: &str = "istio-ca-secret";
const OWN_TYPE: &str = "istio.io/ca-root";
/// Istio's span for an authority that signs itself.
const OWN_LASTS: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// How often it is looked whether something is due. A clock on the wall may be set at any moment.
const LOOK: Duration = Duration::from_secs(30);
/// Pause after an attempt that the API did not take.
const RETRY: Duration = Duration::from_secs(1);
/// The names of the keys in a Secret: certificate, key, chain, roots.
const ISTIO_KEYS: [&str; 4] = ["ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"];
/// The same in a Secret of type `kubernetes.io/tls`, such as cert-manager makes.
const TLS_KEYS: [&str; 4] = ["tls.crt", "tls.key", "tls.crt", "ca.crt"];

/// Where the authority is and for which names it vouches.
#[derive(Debug, Clone)]
pub struct Settings {
    pub namespace: String,
    pub trust_domain: String,
    /// The names of this server, the most common first.
    pub names: Vec<String>,
}

/// What follows from the authority, for all who need it.
pub struct Material {
    pub tls: watch::Receiver<Arc<ServerConfig>>,
    pub roots: watch::Receiver<Arc<str>>,
}

/// The side that keeps the material right; run it as a task.
pub struct Keeper {
    settings: Settings,
    client: Client,
    trust: Trust,
}

/// Waits until there is an authority, making one if nobody has. What is in the way is logged once. `ends` is
/// told when the authority's certificate ends.
pub async fn load(
    client: &Client,
    settings: Settings,
    ends: watch::Sender<SystemTime>,
) -> (Keeper, Material) {
    let mut said = String::new();
    loop {
        let loaded = match find_or_make(client, &settings).await {
            Ok((from, pem)) => {
                Trust::new(settings.clone(), from, pem, ends.clone(), SystemTime::now())
                    .map_err(|why| refused(&settings, from, &why))
            }
            Err(reason) => Err(reason),
        };
        match loaded {
            Ok((trust, material)) => {
                return (Keeper { settings, client: client.clone(), trust }, material);
            }
            Err(reason) if reason != said => {
                tracing::error!("no certificate authority yet, trying again: {reason}");
                said = reason;
            }
            Err(_) => {}
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn find_or_make(
    client: &Client,
    settings: &Settings,
) -> Result<(&'static str, AuthorityPem), String> {
    let text = |error: Error| error.to_string();
    let namespace = Some(settings.namespace.as_str());
    for name in [PLUGGED_IN, OWN] {
        let secret = client.get(kind(), namespace, name).await.map_err(text)?;
        if let Some(secret) = secret {
            let pem = read(&secret).map_err(|why| refused(settings, name, &why))?;
            return Ok((name, pem));
        }
    }
    let made = AuthorityPem::create(&settings.trust_domain, SystemTime::now(), OWN_LASTS);
    let made = made.map_err(|error| error.to_string())?;
    // Another replica that was faster is a conflict here, and its Secret is read the next time.
    client.create(kind(), secret(settings, &made)).await.map_err(text)?;
    tracing::info!(secret = OWN, "made a certificate authority");
    Ok((OWN, made))
}

impl Keeper {
    /// Follows the Secrets and the clock until dropped.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let watch = |name: &'static str| {
            let scope = Scope::one(&self.settings.namespace, name);
            watch_scope(self.client.clone(), kind(), &scope).map(move |event| (name, event))
        };
        let mut events = futures::stream::select(watch(PLUGGED_IN), watch(OWN));
        let mut secrets = Secrets::default();
        let mut clock = tokio::time::interval(LOOK);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = events.next() => {
                    let Some((name, event)) = event else { return Ok(()) };
                    secrets.take(name, event);
                    self.follow(&secrets).await;
                }
                _ = clock.tick() => {
                    if let Err(error) = self.trust.advance(SystemTime::now(), Instant::now()) {
                        tracing::error!(error, "the server's certificate cannot be renewed");
                    }
                }
            }
        }
    }

    async fn follow(&mut self, secrets: &Secrets) {
        match secrets.chosen(self.trust.from()) {
            Choice::Unknown => {}
            Choice::Restore => self.restore().await,
            Choice::Gone(own) => self.go_on_without(own),
            Choice::Secret(name, secret) => {
                let taken = read(secret)
                    .and_then(|pem| self.trust.take(name, pem, SystemTime::now(), Instant::now()));
                if let Err(why) = taken {
                    let refused = refused(&self.settings, name, &why);
                    tracing::error!("what was before stays: {refused}");
                }
            }
        }
    }

    /// Somebody deleted the Secret of their own authority.
    fn go_on_without(&mut self, own: Option<&Value>) {
        let same = own.and_then(|secret| read(secret).ok().filter(|pem| pem == self.trust.pem()));
        let taken = same.map(|pem| self.trust.take(OWN, pem, SystemTime::now(), Instant::now()));
        if taken.is_none_or(|taken| taken.is_err()) {
            tracing::error!(
                "Secret {PLUGGED_IN} is gone, and its authority signs until this process ends: put it back; to go \
                 over to {OWN}, give {PLUGGED_IN} the data of {OWN}, and delete it when that signs"
            );
        }
    }

    /// What proxies trust must not be lost with a Secret that somebody deleted.
    async fn restore(&self) {
        tracing::warn!(secret = OWN, "the authority's Secret is gone: writing it again");
        let made = self.client.create(kind(), secret(&self.settings, self.trust.pem())).await;
        if let Err(error) = made.map(drop)
            && !error.is_conflict()
        {
            tracing::error!(%error, "the authority's Secret cannot be written again");
        }
    }
}

/// What is known of both Secrets; the outer `None` until it is.
#[derive(Default)]
struct Secrets {
    plugged_in: Option<Option<Value>>,
    own: Option<Option<Value>>,
}

enum Choice<'a> {
    Unknown,
    /// The authority's own Secret is to be written again.
    Restore,
    /// Somebody's own authority, which is in force, has no Secret any more; this is the other one.
    Gone(Option<&'a Value>),
    Secret(&'static str, &'a Value),
}

impl Secrets {
    fn take(&mut self, name: &str, event: Event) {
        let present = match event {
            Event::Put(_, secret) => Some(secret),
            Event::Delete(..) | Event::Unserved(_) => None,
            Event::Replace(_, secrets) => secrets.into_iter().next(),
        };
        let place = if name == PLUGGED_IN { &mut self.plugged_in } else { &mut self.own };
        *place = Some(present);
    }

    /// Of the two, when the authority in force is `from` one of them.
    fn chosen(&self, from: &str) -> Choice<'_> {
        match (&self.plugged_in, &self.own) {
            (None, _) | (_, None) => Choice::Unknown,
            (Some(Some(secret)), _) => Choice::Secret(PLUGGED_IN, secret),
            // Whoever deletes a Secret seldom means to change what all proxies trust.
            (Some(None), Some(own)) if from == PLUGGED_IN => Choice::Gone(own.as_ref()),
            (_, Some(Some(secret))) => Choice::Secret(OWN, secret),
            (Some(None), Some(None)) => Choice::Restore,
        }
    }
}

/// Why a Secret is not used, and what to do.
fn refused(settings: &Settings, name: &str, why: &str) -> String {
    let remedy = match name {
        PLUGGED_IN => "mend it, or delete it to have an authority made here",
        _ => {
            "mend it, or delete it to have a new authority made, which proxies trust when they start anew"
        }
    };
    format!("Secret {}/{name} is not used: {why}: {remedy}", settings.namespace)
}

/// # Errors
/// With the key that is wrong.
fn read(secret: &Value) -> Result<AuthorityPem, String> {
    let text = |key: &str| -> Result<String, String> {
        let encoded = secret["data"][key].as_str().unwrap_or_default();
        let bytes = STANDARD.decode(encoded).map_err(|_| format!("{key} is not base64"))?;
        String::from_utf8(bytes).map_err(|_| format!("{key} is not text"))
    };
    let keys = match secret["data"]["tls.crt"].is_string() {
        true => TLS_KEYS,
        false => ISTIO_KEYS,
    };
    let [certificate, key, chain, roots] = keys;
    if keys == TLS_KEYS && text(roots)?.trim().is_empty() {
        return Err("ca.crt with the root is missing".to_owned());
    }
    let needed = |name: &str| -> Result<String, String> {
        let text = text(name)?;
        match text.contains("-----BEGIN ") {
            true => Ok(text),
            false => Err(format!("{name} is missing or no PEM")),
        }
    };
    let pem = AuthorityPem {
        certificate: needed(certificate)?,
        key: needed(key)?,
        chain: text(chain)?,
        roots: text(roots)?,
    };
    Authority::from_pem(&pem).map_err(|error| match &error {
        Unusable::Certificate(_) => format!("{key}: {error}"),
        Unusable::Bundle(_) => format!("{chain} or {roots}: {error}"),
        Unusable::Authority(_) | Unusable::File { .. } | Unusable::Tls(_) => {
            format!("{certificate} with {key}: {error}")
        }
    })?;
    Ok(pem)
}

fn secret(settings: &Settings, pem: &AuthorityPem) -> Value {
    let texts = [&pem.certificate, &pem.key, &pem.chain, &pem.roots];
    let data: serde_json::Map<String, Value> = ISTIO_KEYS
        .iter()
        .zip(texts)
        .map(|(key, text)| ((*key).to_owned(), json!(STANDARD.encode(text))))
        .collect();
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": OWN, "namespace": settings.namespace },
        "type": OWN_TYPE,
        "data": data,
    })
}

fn kind() -> &'static Kind {
    by_kind("", "Secret").expect("invariant: the table holds the core kinds")
}
