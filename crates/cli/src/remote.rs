//! A control plane on a cluster, reached as its user reaches the cluster. In: the options that name it. Out: a way to
//! its live graph, with the user's own token or, for a user who has none, one of a ServiceAccount that only reads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use futures::future::BoxFuture;
use lateen_api::kinds::{Kind, by_kind};
use lateen_graph::relay::{Bidirectional, Relay, Trouble, Way};
use lateen_kube::credentials::Credentials;
use lateen_kube::{Client, Error};
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

use crate::manifest::{ClusterArgs, pod_trouble};
use crate::output::{causes, note};

/// Where the control plane serves the graph.
const PORT: u16 = 20001;
const ROOTS: &str = "istio-ca-root-cert";
const REVISION: &str = "istio.io/rev";
const DEFAULT: &str = "default";
/// Whom the installation makes for users without a token.
const ACCOUNT: &str = "istio-dashboard";
/// Seconds that its tokens are good for, and after which another is asked for.
const TOKEN_LIFE: i64 = 3600;
const TOKEN_AGE: Duration = Duration::from_secs(1800);
/// The pod may be gone before its end is seen.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Which control plane.
pub struct Wanted<'a> {
    pub cluster: &'a ClusterArgs,
    pub namespace: &'a str,
    pub revision: Option<&'a str>,
    /// `NAMESPACE/NAME` of a ServiceAccount to look through.
    pub account: Option<&'a str>,
}

/// The way to one of its pods; another one's when that is gone.
struct Remote {
    client: Client,
    namespace: String,
    revision: Option<String>,
    token: Token,
    /// The pod of the last connection.
    pod: Mutex<String>,
}

enum Token {
    Own(Credentials),
    Of(Account),
}

/// A ServiceAccount and its newest token.
struct Account {
    namespace: String,
    name: String,
    newest: Mutex<Option<(Instant, Arc<str>)>>,
}

/// Finds the control plane and whom to be there; a word on standard error if it is not the user.
pub async fn relay(wanted: &Wanted<'_>) -> Result<Relay> {
    let client = wanted.cluster.connect().await?;
    let namespace = wanted.namespace.to_owned();
    let pod = ready_pod(&client, &namespace, wanted.revision, "").await?;
    let revision = text(&pod["metadata"]["labels"][REVISION]).to_owned();
    let token = token(&client, wanted, &revision).await?;
    let name = text(&pod["metadata"]["name"]).to_owned();
    let revision = Some(revision).filter(|revision| !revision.is_empty());
    let remote = Remote { client, namespace, revision, token, pod: Mutex::new(name) };
    Ok(Relay::new(Box::new(remote)))
}

/// An answer of the live graph's API as text, or what it says is wrong.
pub async fn get(relay: &Relay, uri: &str) -> Result<String> {
    let answer = relay.get(uri).await.map_err(|error| anyhow!(error))?;
    let (status, body) = (answer.status(), answer.into_body());
    let body = String::from_utf8(body.to_vec()).context("the answer is no text")?;
    if status.is_success() {
        return Ok(body);
    }
    let problem: Value = serde_json::from_str(&body).unwrap_or_default();
    match problem["message"].as_str() {
        Some(message) => bail!("{message}"),
        None => bail!("the control plane answered {status}"),
    }
}

async fn token(client: &Client, wanted: &Wanted<'_>, revision: &str) -> Result<Token> {
    let credentials = client.credentials()?;
    if let Some(account) = wanted.account {
        let (namespace, name) = account
            .split_once('/')
            .with_context(|| format!("--service-account {account}: write NAMESPACE/NAME"))?;
        return Ok(Token::Of(Account::new(namespace, name)));
    }
    if credentials.bearer().await?.is_some() {
        return Ok(Token::Own(credentials));
    }
    let name = match revision {
        "" | DEFAULT => ACCOUNT.to_owned(),
        revision => format!("{ACCOUNT}-{revision}"),
    };
    note(format_args!(
        "your kubeconfig has no token to show: looking as ServiceAccount {}/{name}, which changes nothing",
        wanted.namespace
    ));
    Ok(Token::Of(Account::new(wanted.namespace, &name)))
}

/// A pod of the control plane that is ready: the one of this name if there is, or one of the default revision.
async fn ready_pod(
    client: &Client,
    namespace: &str,
    revision: Option<&str>,
    name: &str,
) -> Result<Value> {
    let selector = match revision {
        Some(revision) => format!("app=istiod,{REVISION}={revision}"),
        None => "app=istiod".to_owned(),
    };
    let pods = client.list_in(kind("Pod")?, namespace, &selector).await?;
    choose(pods, namespace, revision, name)
}

fn choose(pods: Vec<Value>, namespace: &str, revision: Option<&str>, name: &str) -> Result<Value> {
    let is_of = |pod: &Value, name: &str| text(&pod["metadata"]["labels"][REVISION]) == name;
    let rank = |pod: &Value| {
        (text(&pod["metadata"]["name"]) != name, !is_of(pod, DEFAULT), pod["metadata"].to_string())
    };
    let (mut ready, other): (Vec<_>, Vec<_>) = pods.into_iter().partition(is_ready);
    ready.sort_by_cached_key(rank);
    if let Some(pod) = ready.into_iter().next() {
        return Ok(pod);
    }
    let Some(pod) = other.first() else {
        let of = revision.map(|name| format!(" of revision {name}")).unwrap_or_default();
        bail!(
            "there is no control plane{of} in {namespace}: install one, or name its namespace by --istio-namespace"
        );
    };
    let why = pod_trouble(pod).unwrap_or_else(|| "it starts or ends: try again".to_owned());
    bail!("pod {namespace}/{} is not ready: {why}", text(&pod["metadata"]["name"]))
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    let mut ready = conditions.filter(|one| one["type"] == "Ready");
    pod["metadata"]["deletionTimestamp"].is_null() && ready.any(|one| one["status"] == "True")
}

fn kind(name: &str) -> Result<&'static Kind> {
    by_kind("", name).context("the table of kinds has it")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

impl Remote {
    async fn dial(&self) -> Result<Box<dyn Bidirectional>> {
        let Self { client, namespace, revision, .. } = self;
        let mut last = self.pod.lock().await;
        let pod = ready_pod(client, namespace, revision.as_deref(), &last).await?;
        text(&pod["metadata"]["name"]).clone_into(&mut last);
        let pod = last.clone();
        drop(last);
        let roots = client.get(kind("ConfigMap")?, Some(namespace), ROOTS).await?;
        let roots = roots.unwrap_or_default();
        let roots = text(&roots["data"]["root-cert.pem"]).to_owned();
        let config = lateen_identity::client_config(roots.as_bytes())
            .with_context(|| format!("ConfigMap {namespace}/{ROOTS}"))?;
        let server = ServerName::try_from(format!("istiod.{namespace}.svc"))
            .with_context(|| format!("{namespace} is no namespace's name"))?;
        let stream = client.forward(namespace, &pod, PORT).await?;
        let connecting = TlsConnector::from(config).connect(server, stream);
        let connected = tokio::time::timeout(HANDSHAKE, connecting).await;
        let no_tls = || {
            format!(
                "port {PORT} of pod {namespace}/{pod} does not serve the graph: is it of this version?"
            )
        };
        Ok(Box::new(connected.with_context(no_tls)?.with_context(no_tls)?))
    }

    async fn bearer(&self) -> Result<Arc<str>> {
        match &self.token {
            Token::Own(credentials) => {
                credentials.bearer().await?.context("the kubeconfig has no token any more")
            }
            Token::Of(account) => account.token(&self.client).await,
        }
    }
}

impl Account {
    fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned(), newest: Mutex::default() }
    }

    async fn token(&self, client: &Client) -> Result<Arc<str>> {
        let mut newest = self.newest.lock().await;
        if let Some((since, token)) = &*newest
            && since.elapsed() < TOKEN_AGE
        {
            return Ok(token.clone());
        }
        let Self { namespace, name, .. } = self;
        let asked = client.request_token(namespace, name, TOKEN_LIFE).await;
        let token: Arc<str> = asked
            .context("pick another account by --service-account, or use a kubeconfig with a token")?
            .into();
        *newest = Some((Instant::now(), token.clone()));
        Ok(token)
    }
}

impl Way for Remote {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Bidirectional>, Trouble>> {
        Box::pin(async { self.dial().await.map_err(|error| trouble(&error)) })
    }

    fn token(&self) -> BoxFuture<'_, Result<Arc<str>, Trouble>> {
        Box::pin(async { self.bearer().await.map_err(|error| trouble(&error)) })
    }
}

fn trouble(error: &anyhow::Error) -> Trouble {
    let said = causes(error);
    let refusal = error.chain().find_map(|cause| cause.downcast_ref::<Error>());
    match refusal.and_then(Error::code) {
        Some(401) => Trouble::Unknown(said),
        _ => Trouble::Other(said),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Error, Trouble, choose, trouble};

    fn pod(name: &str, revision: &str, ready: &str) -> Value {
        json!({
            "metadata": { "name": name, "labels": { "istio.io/rev": revision } },
            "status": { "conditions": [{ "type": "Ready", "status": ready }] },
        })
    }

    fn chosen(pods: &[Value], name: &str) -> Result<String, String> {
        let pod = choose(pods.to_vec(), "istio-system", None, name);
        pod.map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_refused_token_is_told_from_other_trouble() {
        let refused = |code| Error::Refused {
            action: "list pods".to_owned(),
            code,
            reason: "Why".to_owned(),
            message: "no".to_owned(),
        };
        let said = |code| trouble(&anyhow::Error::from(refused(code)).context("asking"));
        assert!(matches!(said(401), Trouble::Unknown(why) if why.contains("list pods")));
        assert!(matches!(said(403), Trouble::Other(_)));
    }

    #[test]
    fn the_same_pod_is_kept_and_otherwise_one_of_the_default_revision_taken() {
        let all =
            [pod("a", "1-0", "True"), pod("b", "default", "True"), pod("c", "default", "True")];
        assert_eq!(chosen(&all, "").as_deref(), Ok("b"));
        assert_eq!(chosen(&all, "c").as_deref(), Ok("c"));
        assert_eq!(chosen(&all, "gone").as_deref(), Ok("b"));
        assert_eq!(chosen(&all[..1], "c").as_deref(), Ok("a"));
        let mut ending = pod("d", "default", "True");
        ending["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(chosen(&[ending, all[0].clone()], "d").as_deref(), Ok("a"));
    }

    #[test]
    fn without_a_pod_that_is_ready_it_is_said_what_to_do() {
        let none = chosen(&[], "").unwrap_err();
        assert!(none.contains("--istio-namespace"), "{none}");
        let mut waits = pod("a", "default", "False");
        waits["status"]["containerStatuses"] = json!([{
            "name": "discovery", "state": { "waiting": { "reason": "ErrImagePull", "message": "no" } },
        }]);
        let waits = chosen(&[waits], "").unwrap_err();
        assert_eq!(waits, "pod istio-system/a is not ready: discovery: ErrImagePull: no");
    }
}
