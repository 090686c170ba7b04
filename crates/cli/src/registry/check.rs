//! `lateen node registry check`: does this node pull from there? In: a host, perhaps an image. Out: what each
//! runtime says when it is asked to pull; exit code 1 if one of them cannot.

use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use lateen_registry::{Host, Trust, auth};
use serde_json::json;

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

/// What Go says of a server without TLS.
const PLAIN: &str = "server gave HTTP response to HTTPS client";

#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Pulled,
    /// It answers, and was not asked for an image that it has.
    Answers,
    Fails(String),
}

pub async fn execute(args: &CheckArgs) -> Result<ExitCode> {
    let root = args.node.root()?;
    let credentials = root.read(KUBELET_CREDENTIALS)?.unwrap_or_default();
    let credentials =
        auth::of(&credentials, &args.host).with_context(|| KUBELET_CREDENTIALS.to_owned())?;
    let image = image(&args.host, args.image.as_deref())?;
    let mut verdicts = Vec::new();
    for runtime in args.node.runtimes(&root)? {
        let verdict = match daemon(&root, runtime) {
            None => Verdict::Fails("it does not run on this node".to_owned()),
            Some(daemon) => {
                let pulled = pull(&root, runtime, &image, credentials.as_ref()).await;
                let verdict = verdict(pulled, args.image.is_some());
                match runtime {
                    Runtime::Containerd => of_containerd(&root, &daemon, args, verdict)?,
                    Runtime::Docker | Runtime::Crio => verdict,
                }
            }
        };
        verdicts.push((runtime, verdict));
    }
    report(args, &verdicts);
    let failed = verdicts.iter().any(|(_, verdict)| matches!(verdict, Verdict::Fails(_)));
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The image's whole name. Its parts go into a request's line as they are.
fn image(host: &Host, name: Option<&str>) -> Result<String> {
    let name = name.unwrap_or(ABSENT);
    let name = name.strip_prefix(&format!("{host}/")).unwrap_or(name);
    let image = format!("{host}/{name}");
    lateen_install::check_image(&image).map_err(|reason| {
        anyhow!("{reason}: write NAME, NAME:TAG or NAME@DIGEST, without the host")
    })?;
    Ok(image)
}

async fn pull(
    root: &Root,
    runtime: Runtime,
    image: &str,
    credentials: Option<&auth::Credentials>,
) -> Result<()> {
    let socket = socket(root, runtime)?;
    match runtime {
        Runtime::Docker => docker::pull(&socket, image, credentials).await,
        Runtime::Containerd | Runtime::Crio => cri::pull(&socket, image, credentials).await,
    }
}

fn verdict(pulled: Result<()>, wanted: bool) -> Verdict {
    match pulled {
        Ok(()) => Verdict::Pulled,
        Err(error) => {
            let text = format!("{error:#}");
            let lower = text.to_lowercase();
            match !wanted && ANSWERS.iter().any(|answer| lower.contains(answer)) {
                true => Verdict::Answers,
                false => Verdict::Fails(text),
            }
        }
    }
}

/// containerd that tries TLS and then plain HTTP tells of the first try alone, even if the second had an
/// answer.
fn of_containerd(
    root: &Root,
    daemon: &Daemon,
    args: &CheckArgs,
    verdict: Verdict,
) -> Result<Verdict> {
    let Verdict::Fails(reason) = verdict else { return Ok(verdict) };
    if runtime::is_stale(root, daemon)? {
        return Ok(Verdict::Fails(format!(
            "{reason} (it must be restarted: its settings were changed)"
        )));
    }
    let insecure = runtime::containerd_trust(root, &args.host)? == Trust::Insecure;
    Ok(match insecure && args.image.is_none() && reason.contains(PLAIN) {
        true => Verdict::Answers,
        false => Verdict::Fails(reason),
    })
}

fn report(args: &CheckArgs, verdicts: &[(Runtime, Verdict)]) {
    let host = &args.host;
    if args.output == Output::Json {
        let row = |(runtime, verdict): &(Runtime, Verdict)| match verdict {
            Verdict::Pulled => json!({ "runtime": runtime.to_string(), "result": "pulled" }),
            Verdict::Answers => json!({ "runtime": runtime.to_string(), "result": "answers" }),
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
            Verdict::Fails(reason) => {
                say(format_args!("{runtime} does not pull from {host}: {}", printable(reason)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;
    use lateen_registry::Host;

    use super::{Verdict, image, verdict};

    #[test]
    fn an_absent_image_is_an_answer_and_a_lost_connection_is_not() {
        for text in [
            "manifest for r/x:check not found: manifest unknown: manifest unknown",
            "pull access denied for r/x, repository does not exist or may require 'docker login'",
            "failed to resolve reference \"r/x\": r/x: not found",
            "unexpected status: 401 Unauthorized",
        ] {
            assert_eq!(verdict(Err(anyhow!(text)), false), Verdict::Answers, "{text}");
            assert!(matches!(verdict(Err(anyhow!(text)), true), Verdict::Fails(_)), "{text}");
        }
        for text in [
            "http: server gave HTTP response to HTTPS client",
            "dial tcp 10.0.0.1:443: connect: connection refused",
            "x509: certificate signed by unknown authority",
            "dial tcp: lookup r: no such host",
        ] {
            assert!(matches!(verdict(Err(anyhow!(text)), false), Verdict::Fails(_)), "{text}");
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
