//! Whether a registry lets a runtime in, where the runtime's own words leave it open. In: a registry's host, what a
//! runtime said, and the stored credentials. Out: whether it wants credentials, or refuses those.

use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lateen_registry::Host;
use lateen_registry::auth::Credentials;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::http::{Answer, Request, ask};

const QUICK: Duration = Duration::from_secs(10);

/// What Go says of a server without TLS.
pub const PLAIN: &str = "server gave HTTP response to HTTPS client";

/// What runtimes say of a registry that wants to know who asks.
const ASKS: [&str; 4] =
    ["unauthorized", "authentication required", "no basic auth credentials", "insufficient_scope"];

/// What containerd and CRI-O say of a registry whose server of tokens refused the credentials.
const NO_TOKEN: [&str; 2] = ["oauth token", "unable to retrieve auth token"];

/// A registry tells of an image in a form that is not accepted as of one that is not there.
const MANIFESTS: &str = "Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v2+json\r\n";

/// How a registry is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Plain,
    /// Over TLS, whoever it is.
    Tls,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing is known against it.
    Open,
    /// The registry wants credentials, and none are stored.
    Wanted,
    /// It has refused the stored ones.
    Refused,
}

/// Whether what a runtime said is that the registry wants to know who asks.
pub fn asks(reason: &str) -> bool {
    contains(&ASKS, reason)
}

/// By what containerd or CRI-O said when it pulled with the stored credentials. A registry with tokens answers like
/// this of an absent image, whoever asks; one with names and passwords does not.
pub async fn of_cri(host: &Host, reason: &str, stored: Option<&Credentials>) -> Access {
    // containerd tells nothing of its second try, without TLS: this is its third.
    if reason.contains(PLAIN) {
        let answer = without_tls(host, stored).await;
        return answer.map_or(Access::Open, |answer| of_answer(&answer, stored.is_some()));
    }
    if !asks(reason) {
        return Access::Open;
    }
    match stored {
        None => Access::Wanted,
        Some(_) if contains(&NO_TOKEN, reason) => Access::Refused,
        Some(_) => over_tls(host).await.map_or(Access::Open, |answer| of_answer(&answer, true)),
    }
}

fn of_answer(answer: &Answer, has_credentials: bool) -> Access {
    let is_basic = |value: &str| value.to_lowercase().starts_with("basic");
    match (answer.status, has_credentials) {
        (401, false) => Access::Wanted,
        (401, true) if answer.values("www-authenticate").any(is_basic) => Access::Refused,
        _ => Access::Open,
    }
}

fn contains(words: &[&str], reason: &str) -> bool {
    let reason = reason.to_lowercase();
    words.iter().any(|word| reason.contains(word))
}

/// Whether the registry says of what a request's line is for that it is not there. The runtime must have sent it the
/// credentials in that way as well.
pub async fn lacks(host: &Host, way: Way, line: &str, stored: Option<&Credentials>) -> bool {
    let headers = format!("{MANIFESTS}{}", authorization(stored));
    let request = Request { line, host: host.as_str(), headers: &headers, body: "" };
    answer(host, way, &request).await.is_ok_and(|answer| answer.status == 404)
}

fn authorization(stored: Option<&Credentials>) -> String {
    let header = |credentials: &Credentials| {
        let pair = format!("{}:{}", credentials.user, credentials.password);
        format!("Authorization: Basic {}\r\n", STANDARD.encode(pair))
    };
    stored.map(header).unwrap_or_default()
}

/// The registry's answer without TLS, to the stored credentials, which the runtime has sent it so as well.
async fn without_tls(host: &Host, stored: Option<&Credentials>) -> Result<Answer> {
    answer(host, Way::Plain, &base(host, &authorization(stored))).await
}

/// Whether the registry answers over TLS, whatever it says and whoever it is.
pub async fn answers_over_tls(host: &Host) -> bool {
    over_tls(host).await.is_ok()
}

/// The registry's answer over TLS to nobody in particular: nothing is told to it that its certificate would matter for.
async fn over_tls(host: &Host) -> Result<Answer> {
    answer(host, Way::Tls, &base(host, "")).await
}

async fn answer(host: &Host, way: Way, request: &Request<'_>) -> Result<Answer> {
    if way == Way::Plain {
        return ask(connect(host, 80).await?, request, QUICK).await;
    }
    let name = host.name().trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(name).context("the registry's host is a name")?;
    let connector = TlsConnector::from(lateen_identity::unverified_client_config()?);
    let handshake = connector.connect(name, connect(host, 443).await?);
    let stream = timeout(QUICK, handshake).await.context("no TLS in time")??;
    ask(stream, request, QUICK).await
}

fn base<'a>(host: &'a Host, headers: &'a str) -> Request<'a> {
    Request { line: "GET /v2/", host: host.as_str(), headers, body: "" }
}

async fn connect(host: &Host, port: u16) -> Result<TcpStream> {
    let address = format!("{}:{}", host.name(), host.port().unwrap_or(port));
    Ok(timeout(QUICK, TcpStream::connect(address)).await.context("no connection in time")??)
}

#[cfg(test)]
mod tests {
    use lateen_registry::Host;
    use lateen_registry::auth::Credentials;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::{Access, PLAIN, Way, lacks, of_cri};

    /// A registry without TLS that lets `me:right` in and asks others by `challenge`; it has no image.
    async fn registry(challenge: &'static str) -> Host {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string().parse().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (mut asked, mut part) = (String::new(), [0; 1024]);
                while !asked.contains("\r\n\r\n") {
                    let read = stream.read(&mut part).await.unwrap();
                    asked.push_str(std::str::from_utf8(&part[..read]).unwrap());
                }
                let answer = match asked.contains("Basic bWU6cmlnaHQ=") {
                    true if asked.starts_with("HEAD") => "HTTP/1.0 404 No\r\n\r\n".to_owned(),
                    true => "HTTP/1.0 200 OK\r\n\r\n{}".to_owned(),
                    false => format!("HTTP/1.0 401 No\r\nWWW-Authenticate: {challenge}\r\n\r\n"),
                };
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        host
    }

    async fn access(host: &Host, reason: &str, stored: Option<&str>) -> Access {
        let stored = stored.map(|text| Credentials::parse(text, host).unwrap());
        of_cri(host, reason, stored.as_ref()).await
    }

    #[tokio::test]
    async fn without_tls_the_registry_itself_is_asked() {
        let host = registry("Basic realm=\"r\"").await;
        assert_eq!(access(&host, PLAIN, None).await, Access::Wanted);
        assert_eq!(access(&host, PLAIN, Some("me:wrong")).await, Access::Refused);
        assert_eq!(access(&host, PLAIN, Some("me:right")).await, Access::Open);
        let host = registry("Bearer realm=\"https://tokens\"").await;
        assert_eq!(
            access(&host, PLAIN, Some("me:right?")).await,
            Access::Open,
            "no token was asked for"
        );
    }

    #[tokio::test]
    async fn whom_the_registry_lets_in_it_tells_what_it_lacks() {
        let host = registry("Basic realm=\"r\"").await;
        let me = Credentials::parse("me:right", &host).unwrap();
        let line = "HEAD /v2/a/manifests/1";
        assert!(lacks(&host, Way::Plain, line, Some(&me)).await);
        assert!(!lacks(&host, Way::Plain, line, None).await, "it does not say");
        let there = lacks(&host, Way::Plain, "GET /v2/a/manifests/1", Some(&me)).await;
        assert!(!there);
    }

    #[tokio::test]
    async fn a_runtimes_words_tell_who_asks_for_credentials() {
        // Nothing listens on the discard port.
        let host: Host = "127.0.0.1:9".parse().unwrap();
        let refused = "unexpected status from HEAD request: 401 Unauthorized";
        assert_eq!(access(&host, refused, None).await, Access::Wanted);
        assert_eq!(access(&host, refused, Some("me:p")).await, Access::Open, "it may be the image");
        let token = "failed to authorize: failed to fetch oauth token: 401 Unauthorized";
        assert_eq!(access(&host, token, Some("me:p")).await, Access::Refused);
        assert_eq!(access(&host, "r/x: not found", None).await, Access::Open);
    }
}
