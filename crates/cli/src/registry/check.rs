//! `lateen node registry check`: does this node pull from there? In: a host, perhaps an image. Out: what each
//! runtime says when it is asked to pull; exit code 1 if one of them cannot, or does not run and was named, is the
//! kubelet's, or has no other one that runs beside it.

use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use lateen_registry::Host;
use lateen_registry::auth::{self, Credentials};
use serde_json::json;

use super::access::{self, Access, PLAIN, Way};
use super::daemon::Daemon;
use super::files::Root;
use super::runtime::{KUBELET_CREDENTIALS, Runtime, daemon, socket};
use super::{CheckArgs, Output, cri, docker, runtime};
use crate::output::{printable, say, say_json};

/// An image that no registry has: its absence is the registry's own answer.
const ABSENT: &str = "lateen/there-is-no-such-image:check";

/// What registries and runtimes say of an image that is not there, or is not for everybody.
const ANSWERS: [&str; 7] = [
    "not found",
    "manifest unknown",
    "name unknown",
    "does not exist",
    "unauthorized",
    "insufficient_scope",
    "no basic auth credentials",
];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Pulled,
    /// It answers, and was not asked for an image that it has.
    Answers,
    /// It answers, and wants credentials, of which none are stored.
    Asks,
    /// It was not asked: it does not run.
    Off,
    Fails(String),
}

/// What is asked of every runtime.
struct Question<'a> {
    root: Root,
    args: &'a CheckArgs,
    image: String,
    credentials: Option<Credentials>,
}

pub async fn execute(args: &CheckArgs) -> Result<ExitCode> {
    let root = args.node.root()?;
    let credentials = root.read(KUBELET_CREDENTIALS)?.unwrap_or_default();
    let credentials =
        auth::of(&credentials, &args.host).with_context(|| KUBELET_CREDENTIALS.to_owned())?;
    let image = image(&args.host, args.image.as_deref())?;
    let runtimes = args.node.runtimes(&root)?;
    let mut needed = args.node.named();
    needed.extend(runtime::of_kubelet(&root));
    let question = Question { root, args, image, credentials };
    let mut verdicts = Vec::new();
    for runtime in runtimes {
        verdicts.push((runtime, question.ask(runtime).await?));
    }
    need(&needed, &mut verdicts);
    report(args, &verdicts);
    let failed = verdicts.iter().any(|(_, verdict)| matches!(verdict, Verdict::Fails(_)));
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

impl Question<'_> {
    async fn ask(&self, runtime: Runtime) -> Result<Verdict> {
        let Some(daemon) = daemon(&self.root, runtime) else {
            return Ok(match runtime::other_file(&self.root, runtime) {
                Some(file) => Verdict::Fails(format!(
                    "it runs with the settings of {file}, not with this node's"
                )),
                None => Verdict::Off,
            });
        };
        let socket = socket(&self.root, runtime)?;
        let (pulled, credentials) = (&self.image, self.credentials.as_ref());
        let pulled = match runtime {
            Runtime::Docker => docker::pull(&socket, pulled, credentials).await,
            Runtime::Containerd | Runtime::Crio => cri::pull(&socket, pulled, credentials).await,
        };
        let Err(error) = pulled else { return Ok(Verdict::Pulled) };
        let reason = format!("{error:#}");
        let verdict = match runtime {
            Runtime::Containerd => self.of_containerd(&daemon, &reason).await?,
            Runtime::Docker | Runtime::Crio => verdict(&reason, self.args.image.is_some()),
        };
        match verdict {
            Verdict::Answers => Ok(self.let_in(runtime, &socket, reason).await),
            verdict => Ok(verdict),
        }
    }

    /// containerd that asks several addresses of one registry tells of one of them alone, even if another one had an
    /// answer.
    async fn of_containerd(&self, daemon: &Daemon, reason: &str) -> Result<Verdict> {
        let Verdict::Fails(reason) = verdict(reason, self.args.image.is_some()) else {
            return Ok(Verdict::Answers);
        };
        if runtime::is_stale(&self.root, daemon)? {
            return Ok(Verdict::Fails(format!(
                "{reason} (it must be restarted: its settings were changed)"
            )));
        }
        if self.args.image.is_some() {
            let reason = match self.lacks_image(&reason).await? {
                Some(image) => format!("the registry has no image {image}"),
                None => reason,
            };
            return Ok(Verdict::Fails(reason));
        }
        let (root, host) = (&self.root, &self.args.host);
        if reason.contains("x509") && runtime::containerd_goes_on_unchecked(root, host)? {
            return Ok(Verdict::Fails(format!(
                "{reason} (its hosts.toml has a ca for {host}, and none for the server, which it asks for images that are \
                 not there: lateen node registry add --ca sets both; --image asks for one that is there)"
            )));
        }
        let is_first_of_two =
            reason.contains(PLAIN) && runtime::containerd_tries_plain(root, host)?;
        let is_last_of_two = is_without_tls(&reason, host) && self.answers_whoever_it_is().await?;
        Ok(match is_first_of_two || is_last_of_two {
            true => Verdict::Answers,
            false => Verdict::Fails(reason),
        })
    }

    /// The image, if the registry itself, asked in the ways that containerd's settings have, says that it is not there.
    async fn lacks_image(&self, reason: &str) -> Result<Option<&str>> {
        let (root, host, stored) = (&self.root, &self.args.host, self.credentials.as_ref());
        let (name, reference) = docker::parts(&self.image);
        let of_host = |text| str::strip_prefix(text, host.as_str())?.strip_prefix('/');
        let (Some(image), Some(name)) = (of_host(&self.image), of_host(name)) else {
            return Ok(None);
        };
        let line = format!("HEAD /v2/{name}/manifests/{reference}");
        let plain = reason.contains(PLAIN) && runtime::containerd_tries_plain(root, host)?;
        let is_lacking = (plain && access::lacks(host, Way::Plain, &line, stored).await)
            || (runtime::containerd_takes_any(root, host)?
                && access::lacks(host, Way::Tls, &line, stored).await);
        Ok(is_lacking.then_some(image))
    }

    /// Whether containerd takes any certificate, and there is one that answers.
    async fn answers_whoever_it_is(&self) -> Result<bool> {
        let host = &self.args.host;
        let takes_any = runtime::containerd_takes_any(&self.root, host)?;
        Ok(takes_any && access::answers_over_tls(host).await)
    }

    /// A registry that answers may still let nobody in, or not with what is stored.
    async fn let_in(&self, runtime: Runtime, socket: &str, reason: String) -> Verdict {
        let (host, stored) = (&self.args.host, self.credentials.as_ref());
        let access = match (runtime, stored) {
            (Runtime::Docker, Some(stored)) => match docker::refuses(socket, host, stored).await {
                Ok(true) => Access::Refused,
                Ok(false) | Err(_) => Access::Open,
            },
            (Runtime::Docker, None) if access::asks(&reason) => Access::Wanted,
            (Runtime::Docker, None) => Access::Open,
            (Runtime::Containerd | Runtime::Crio, _) => access::of_cri(host, &reason, stored).await,
        };
        match access {
            Access::Open => Verdict::Answers,
            Access::Wanted => Verdict::Asks,
            Access::Refused => Verdict::Fails(format!(
                "the registry refuses the credentials in {KUBELET_CREDENTIALS}: {reason}"
            )),
        }
    }
}

/// The image's whole name. Its parts go into a request's line as they are.
fn image(host: &Host, name: Option<&str>) -> Result<String> {
    let name = name.unwrap_or(ABSENT);
    let name = name.strip_prefix(&format!("{host}/")).unwrap_or(name);
    let image = format!("{host}/{name}");
    lateen_api::words::image(&image).map_err(|reason| {
        anyhow!("{reason}: write NAME, NAME:TAG or NAME@DIGEST, without the host")
    })?;
    Ok(image)
}

/// Whether containerd tells of its way without TLS, the last one, on which a registry with TLS has no answer for it: what it
/// tells of the way with TLS is so, whatever finds that way from here. Before 1.7 it names no address of an answer.
fn is_without_tls(reason: &str, host: &Host) -> bool {
    let names = |scheme| reason.contains(&format!("{scheme}://{host}/"));
    !names("https") && (names("http") || reason.contains("400 Bad Request"))
}

/// What does not run was to be asked if it is one of the `needed` ones, or if nothing else could be.
fn need(needed: &[Runtime], verdicts: &mut [(Runtime, Verdict)]) {
    let all = verdicts.iter().all(|(_, verdict)| *verdict == Verdict::Off);
    for (runtime, verdict) in verdicts {
        if *verdict == Verdict::Off && (all || needed.contains(runtime)) {
            *verdict = Verdict::Fails("it does not run on this node".to_owned());
        }
    }
}

fn verdict(reason: &str, wanted: bool) -> Verdict {
    let lower = reason.to_lowercase();
    match !wanted && ANSWERS.iter().any(|answer| lower.contains(answer)) {
        true => Verdict::Answers,
        false => Verdict::Fails(reason.to_owned()),
    }
}

fn report(args: &CheckArgs, verdicts: &[(Runtime, Verdict)]) {
    let host = &args.host;
    if args.output == Output::Json {
        let row = |(runtime, verdict): &(Runtime, Verdict)| match verdict {
            Verdict::Pulled => json!({ "runtime": runtime.to_string(), "result": "pulled" }),
            Verdict::Answers => json!({ "runtime": runtime.to_string(), "result": "answers" }),
            Verdict::Asks => json!({
                "runtime": runtime.to_string(), "result": "answers", "credentials": "wanted",
            }),
            Verdict::Off => json!({ "runtime": runtime.to_string(), "result": "not-running" }),
            Verdict::Fails(reason) => {
                json!({ "runtime": runtime.to_string(), "result": "fails", "reason": reason })
            }
        };
        say_json(&json!(verdicts.iter().map(row).collect::<Vec<_>>()));
        return;
    }
    for (runtime, verdict) in verdicts {
        match verdict {
            Verdict::Pulled => say(format_args!("{runtime} pulls from {host}")),
            Verdict::Answers => {
                say(format_args!(
                    "{runtime} reaches {host}: name one of its images with --image to pull it"
                ));
            }
            Verdict::Asks => say(format_args!(
                "{runtime} reaches {host}, which asks for credentials: give it some with lateen node registry add \
                 --auth"
            )),
            Verdict::Off => say(format_args!("{runtime} does not run: not asked")),
            Verdict::Fails(reason) => {
                say(format_args!("{runtime} does not pull from {host}: {}", printable(reason)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lateen_registry::Host;

    use super::{Runtime, Verdict, image, is_without_tls, need, verdict};

    #[test]
    fn one_that_does_not_run_fails_where_it_is_needed_or_alone() {
        let fails = |needed: &[Runtime], containerd: Verdict| {
            let mut verdicts = [(Runtime::Docker, Verdict::Off), (Runtime::Containerd, containerd)];
            need(needed, &mut verdicts);
            verdicts.map(|(_, verdict)| matches!(verdict, Verdict::Fails(_)))
        };
        assert_eq!(fails(&[], Verdict::Pulled), [false, false]);
        assert_eq!(fails(&[Runtime::Containerd], Verdict::Pulled), [false, false]);
        assert_eq!(fails(&[Runtime::Docker], Verdict::Pulled), [true, false]);
        assert_eq!(fails(&[], Verdict::Off), [true, true]);
    }

    #[test]
    fn a_way_that_fails_is_the_one_of_its_address() {
        let host: Host = "r:5000".parse().unwrap();
        for text in [
            "unexpected status from HEAD request to http://r:5000/v2/a/manifests/b: 400 Bad Request",
            "pulling from host r:5000 failed with status code [manifests b]: 400 Bad Request",
        ] {
            assert!(is_without_tls(text, &host), "{text}");
        }
        for text in [
            "failed to do request: Head \"https://r:5000/v2/a/manifests/b\": proxyconnect tcp: dial tcp 10.0.0.9:3128",
            "unexpected status from HEAD request to https://r:5000/v2/a/manifests/b: 400 Bad Request",
            "context deadline exceeded",
        ] {
            assert!(!is_without_tls(text, &host), "{text}");
        }
    }

    #[test]
    fn an_absent_image_is_an_answer_and_a_lost_connection_is_not() {
        for text in [
            "manifest for r/x:check not found: manifest unknown: manifest unknown",
            "pull access denied for r/x, repository does not exist or may require 'docker login'",
            "failed to resolve reference \"r/x\": r/x: not found",
            "unexpected status: 401 Unauthorized",
        ] {
            assert_eq!(verdict(text, false), Verdict::Answers, "{text}");
            assert!(matches!(verdict(text, true), Verdict::Fails(_)), "{text}");
        }
        for text in [
            "http: server gave HTTP response to HTTPS client",
            "dial tcp 10.0.0.1:443: connect: connection refused",
            "x509: certificate signed by unknown authority",
            "dial tcp: lookup r: no such host",
        ] {
            assert!(matches!(verdict(text, false), Verdict::Fails(_)), "{text}");
        }
    }

    #[test]
    fn images_are_of_the_host() {
        let host: Host = "r:5000".parse().unwrap();
        assert_eq!(image(&host, Some("a/b:1")).unwrap(), "r:5000/a/b:1");
        assert_eq!(image(&host, Some("r:5000/a:1")).unwrap(), "r:5000/a:1");
        let pinned = format!("a@sha256:{}", "1f".repeat(32));
        assert_eq!(image(&host, Some(&pinned)).unwrap(), format!("r:5000/{pinned}"));
        assert!(image(&host, Some("a@sha256:1f")).is_err());
        assert!(image(&host, Some("a HTTP/1.1\r\nX: y")).is_err());
        assert!(image(&host, Some("a?b=c&d")).is_err());
    }
}
