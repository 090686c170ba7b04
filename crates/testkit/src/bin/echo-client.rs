//! `echo-client HOST PORT [INTERVAL_MS] [--count N] [--server-first]`: dials once, sends a line every
//! interval and prints the replies. Any error ends it with exit code 1.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use lateen_testkit::echo::{Conversation, converse};

const USAGE: &str = "usage: echo-client HOST PORT [INTERVAL_MS] [--count N] [--server-first]";

fn main() -> Result<()> {
    let conversation = parse(std::env::args().skip(1))?;
    let (host, port) = (&conversation.host, conversation.port);
    converse(&conversation, &mut std::io::stdout()).with_context(|| format!("{host}:{port}"))
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Conversation> {
    let mut plain = Vec::new();
    let mut count = None;
    let mut server_first = false;
    while let Some(word) = words.next() {
        match word.as_str() {
            "--count" => count = Some(words.next().context(USAGE)?.parse().context(USAGE)?),
            "--server-first" => server_first = true,
            _ => plain.push(word),
        }
    }
    let (host, port, interval) = match plain.as_slice() {
        [host, port] => (host, port, "1000"),
        [host, port, interval] => (host, port, interval.as_str()),
        _ => bail!(USAGE),
    };
    Ok(Conversation {
        host: host.clone(),
        port: port.parse().context(USAGE)?,
        interval: Duration::from_millis(interval.parse().context(USAGE)?),
        count,
        server_first,
    })
}
