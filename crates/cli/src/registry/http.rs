//! One HTTP request of a program on the same machine. In: a stream, a method and a path. Out: the status and
//! the body. By HTTP/1.0 the body ends with the connection.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// More than any answer that is asked for has.
const MOST: u64 = 64 << 20;

pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// `headers` are whole lines, each with its line end.
pub async fn ask(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    line: &str,
    headers: &str,
    within: Duration,
) -> Result<Answer> {
    let request =
        format!("{line} HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n{headers}\r\n");
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
    Ok(Answer { status: status.context("the answer has no status")?, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn answers_have_a_status_and_a_body() {
        let answer = parse("HTTP/1.0 200 OK\r\nA: b\r\n\r\nok").unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
        for text in ["", "SSH-2.0-x\r\n\r\n", "HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
