//! `lateen proxy wait`: holds an application back until the proxy is ready. In: the health page's URL. Out: an
//! end when it answers 200, a failure after a time. The kubelet runs it as a hook of the proxy's container.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

/// The beginning of an answer: its first line, and for people the reason that follows.
const READ: u64 = 4096;

/// The flags of Istio's `pilot-agent wait`.
#[derive(Debug, Args)]
pub struct WaitArgs {
    /// How long to wait
    #[arg(long = "timeoutSeconds", value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
    /// How long one request may take
    #[arg(long = "requestTimeoutMillis", value_name = "MILLIS", default_value_t = 500)]
    request_timeout: u64,
    /// The pause between requests
    #[arg(long = "periodMillis", value_name = "MILLIS", default_value_t = 500)]
    period: u64,
    /// The page to ask
    #[arg(long, default_value = "http://localhost:15021/healthz/ready")]
    url: String,
}

pub fn execute(args: &WaitArgs) -> Result<()> {
    let (host, path) = target(&args.url)?;
    let within = Duration::from_secs(args.timeout);
    let each = Duration::from_millis(args.request_timeout.max(1));
    let begin = Instant::now();
    loop {
        let Err(error) = ask(host, &path, each) else { return Ok(()) };
        if begin.elapsed() >= within {
            bail!("the proxy is not ready after {within:?}: {error:#}");
        }
        std::thread::sleep(Duration::from_millis(args.period));
    }
}

/// `host:port` and path of a plain HTTP URL.
fn target(url: &str) -> Result<(&str, String)> {
    let rest = url.strip_prefix("http://");
    let rest = rest.with_context(|| format!("{url}: write http://HOST:PORT/PATH"))?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    ensure!(host.contains(':'), "{url}: write http://HOST:PORT/PATH");
    Ok((host, format!("/{path}")))
}

fn ask(host: &str, path: &str, within: Duration) -> Result<()> {
    let mut last = None;
    for address in host.to_socket_addrs().with_context(|| format!("cannot resolve {host}"))? {
        match TcpStream::connect_timeout(&address, within) {
            Ok(stream) => return exchange(stream, host, path, within),
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) => Err(error).with_context(|| format!("cannot connect to {host}")),
        None => bail!("{host} has no address"),
    }
}

fn exchange(mut stream: TcpStream, host: &str, path: &str, within: Duration) -> Result<()> {
    stream.set_read_timeout(Some(within))?;
    stream.set_write_timeout(Some(within))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(READ).read_to_end(&mut answer).context("no answer")?;
    let answer = String::from_utf8_lossy(&answer);
    let mut words = answer.split_ascii_whitespace();
    let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/"));
    match words.next() {
        Some("200") if is_http => Ok(()),
        _ => bail!("{}", answer.rsplit("\r\n\r\n").next().unwrap_or_default().trim()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::{WaitArgs, execute};

    /// Answers the requests one after the other.
    fn wait(answers: &'static [&'static str], timeout: u64) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/healthz/ready", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 256];
                let length = stream.read(&mut request).unwrap();
                assert!(request[..length].starts_with(b"GET /healthz/ready HTTP/1.1\r\n"));
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        let args = WaitArgs { timeout, request_timeout: 5000, period: 1, url };
        let outcome = execute(&args).map_err(|error| format!("{error:#}"));
        server.join().unwrap();
        outcome
    }

    const OK: &str = "HTTP/1.1 200 OK\r\n\r\n";
    const NOT_YET: &str = "HTTP/1.1 503 Service Unavailable\r\n\r\nno configuration yet\n";

    #[test]
    fn it_ends_when_the_proxy_is_ready() {
        assert_eq!(wait(&[NOT_YET, NOT_YET, OK], 60), Ok(()));
    }

    #[test]
    fn it_gives_up_with_the_proxys_reason() {
        let error = wait(&[NOT_YET], 0).unwrap_err();
        assert_eq!(error, "the proxy is not ready after 0ns: no configuration yet");
    }
}
