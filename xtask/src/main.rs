//! Repository chores: `cargo xtask tidy` checks what the compiler cannot.

mod layers;
mod report;
mod tidy;

use std::process::ExitCode;

fn main() -> ExitCode {
    let outcome = match std::env::args().nth(1).as_deref() {
        Some("tidy") => tidy::run(),
        other => Err(anyhow::anyhow!("unknown chore {other:?}: the only one is tidy")),
    };
    if let Err(error) = outcome {
        eprintln!("xtask: {error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
