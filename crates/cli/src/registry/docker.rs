//! A running Docker. In: its socket. Out: whether it takes a registry as insecure, and whether it can pull.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use lateen_registry::Host;
use lateen_registry::auth::Credentials;
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};

use super::access;
use super::daemon::Daemon;
use super::files::Root;
use super::http::{Answer, Request, ask};
use super::runtime::{Runtime, socket};

const QUICK: Duration = Duration::from_secs(10);
const PULL: Duration = Duration::from_secs(600);

/// How a daemon came to know a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    Already,
    Reloaded,
    /// It was told, and goes on as before.
    Refused,
}

async fn request(socket: &str, request: &Request<'_>, within: Duration) -> Result<Answer> {
    let stream = UnixStream::connect(socket).await;
    let stream = stream.with_context(|| format!("cannot reach docker at {socket}"))?;
    ask(stream, request, within).await.with_context(|| format!("docker at {socket}"))
}

/// Whether the daemon takes the registry as insecure.
pub async fn is_insecure(socket: &str, host: &Host) -> Result<bool> {
    let answer = request(socket, &Request::local("GET /info"), QUICK).await?;
    let info: Value = serde_json::from_str(&answer.body).context("docker's /info is not JSON")?;
    Ok(info["RegistryConfig"]["IndexConfigs"][host.as_str()]["Secure"] == json!(false))
}

/// Makes the daemon read its settings again, if it does not know yet what they say of the registry.
pub async fn settle(root: &Root, daemon: &Daemon, host: &Host, insecure: bool) -> Result<Settled> {
    let socket = socket(root, Runtime::Docker)?;
    if is_insecure(&socket, host).await? == insecure {
        return Ok(Settled::Already);
    }
    daemon.hang_up()?;
    let start = Instant::now();
    while start.elapsed() < QUICK {
        if is_insecure(&socket, host).await? == insecure {
            return Ok(Settled::Reloaded);
        }
        // The daemon does not tell when it is done.
        sleep(Duration::from_millis(100)).await;
    }
    Ok(Settled::Refused)
}

/// Whether the registry refuses credentials, by what it answers when Docker logs in with them.
pub async fn refuses(socket: &str, host: &Host, credentials: &Credentials) -> Result<bool> {
    let (user, password) = (&credentials.user, &credentials.password);
    let body = json!({ "username": user, "password": password, "serveraddress": host.as_str() });
    let (headers, body) = ("Content-Type: application/json\r\n", body.to_string());
    let ask = Request { headers, body: &body, ..Request::local("POST /auth") };
    let answer = request(socket, &ask, PULL).await?;
    // Docker tells a registry's 401 as an error of its own as well.
    Ok(answer.status == 401 || (answer.status != 200 && access::asks(&answer.body)))
}

/// Name, and tag or digest; who gives both means the digest.
pub fn parts(image: &str) -> (&str, &str) {
    let (tagged, digest) = match image.split_once('@') {
        Some((tagged, digest)) => (tagged, Some(digest)),
        None => (image, None),
    };
    let (name, tag) = match tagged.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (tagged, "latest"),
    };
    (name, digest.unwrap_or(tag))
}

/// Pulls an image; the error is Docker's own.
pub async fn pull(socket: &str, image: &str, credentials: Option<&Credentials>) -> Result<()> {
    let (name, tag) = parts(image);
    let auth = credentials.map(|credentials| {
        let auth = json!({ "username": credentials.user, "password": credentials.password });
        format!("X-Registry-Auth: {}\r\n", URL_SAFE.encode(auth.to_string()))
    });
    let line = format!("POST /images/create?fromImage={name}&tag={tag}");
    let headers = auth.unwrap_or_default();
    let ask = Request { headers: &headers, ..Request::local(&line) };
    let answer = request(socket, &ask, PULL).await?;
    let told = answer.body.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let error = |told: Value| {
        let text = told["error"].as_str().or(told["message"].as_str());
        text.map(str::to_owned)
    };
    match told.filter_map(error).next() {
        Some(error) => Err(anyhow!(error)),
        None if answer.status == 200 => Ok(()),
        None => Err(anyhow!("docker answered with status {}", answer.status)),
    }
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn a_digest_goes_over_a_tag_and_a_port_is_none() {
        assert_eq!(parts("r:5000/a/b:1"), ("r:5000/a/b", "1"));
        assert_eq!(parts("r:5000/a"), ("r:5000/a", "latest"));
        assert_eq!(parts("r:5000/a@sha256:1f"), ("r:5000/a", "sha256:1f"));
        assert_eq!(parts("r:5000/a:1@sha256:1f"), ("r:5000/a", "sha256:1f"));
    }
}
