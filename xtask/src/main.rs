//! Repository chores: `cargo xtask tidy` checks what the compiler cannot.

mod layers;
mod report;
mod tidy;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("tidy") => tidy::run(),
        other => bail!("unknown chore {other:?}: the only one is tidy"),
    }
}
