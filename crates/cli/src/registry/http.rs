//! One HTTP request. In: a stream, a method, a path and the server's name. Out: the status, the header fields and the
//! body. By HTTP/1.0 the body ends with the connection.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// More than any answer that is asked for has.
const MOST: u64 = 64 << 20;

pub struct Request<'a> {
    /// The method and the path.
    pub line: &'a str,
    pub host: &'a str,
    /// Whole lines, each with its line end.
    pub headers: &'a str,
    pub body: &'a str,
}

impl<'a> Request<'a> {
    /// To a program on the same machine.
    pub fn local(line: &'a str) -> Request<'a> {
        Request { line, host: "localhost", headers: "", body: "" }
    }
}

pub struct Answer {
    pub status: u16,
    pub body: String,
    head: String,
}

impl Answer {
    /// The values of a header field, by its name in lower case.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(':'));
        fields.filter(move |(field, _)| field.to_lowercase() == name).map(|(_, value)| value.trim())
    }
}

pub async fn ask(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &Request<'_>,
    within: Duration,
) -> Result<Answer> {
    let Request { line, host, headers, body } = request;
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.0\r\nHost: {host}\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    let exchange = async {
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        let mut answer = Vec::new();
        // A TLS peer may end without saying so, after all that it had to say.
        let end = stream.take(MOST).read_to_end(&mut answer).await;
        match end {
            Err(error) if answer.is_empty() => Err(error),
            _ => Ok(answer),
        }
    };
    let answer = timeout(within, exchange)
        .await
        .with_context(|| format!("no answer within {} s", within.as_secs()))??;
    parse(&String::from_utf8_lossy(&answer))
}

fn parse(text: &str) -> Result<Answer> {
    let (head, body) = text.split_once("\r\n\r\n").context("the answer is not HTTP")?;
    ensure!(head.starts_with("HTTP/1."), "the answer is not HTTP");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.context("the answer has no status")?;
    Ok(Answer { status, body: body.to_owned(), head: head.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn answers_have_a_status_and_a_body() {
        let answer = parse("HTTP/1.0 200 OK\r\nA: b\r\n\r\nok").unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
        assert_eq!(answer.values("a").collect::<Vec<_>>(), ["b"]);
        for text in ["", "SSH-2.0-x\r\n\r\n", "HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
