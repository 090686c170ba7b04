//! `echo-server PORT [--greeting TEXT] [--reply-prefix TEXT]`: prints `listening on ADDRESS`, then
//! echoes every connection on all addresses.

use std::net::TcpListener;

use anyhow::{Context, Result, bail};
use lateen_testkit::echo::{Manner, serve};

const USAGE: &str = "usage: echo-server PORT [--greeting TEXT] [--reply-prefix TEXT]";

fn main() -> Result<()> {
    let mut port = None;
    let mut manner = Manner::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--greeting" => manner.greeting = Some(words.next().context(USAGE)?),
            "--reply-prefix" => manner.reply_prefix = Some(words.next().context(USAGE)?),
            _ if port.is_none() => port = Some(word.parse::<u16>().context(USAGE)?),
            _ => bail!(USAGE),
        }
    }
    let listener = TcpListener::bind(("0.0.0.0", port.context(USAGE)?))?;
    println!("listening on {}", listener.local_addr()?);
    Ok(serve(&listener, &manner)?)
}
