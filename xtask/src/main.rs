//! Repository chores: `cargo xtask tidy` checks what the compiler cannot, `cargo xtask sbom` tells what a
//! binary is made of.

mod layers;
mod report;
mod sbom;
mod tidy;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.first().map(String::as_str) {
        Some("tidy") => tidy::run(),
        Some("sbom") => sbom::run(&arguments[1..]),
        other => Err(anyhow::anyhow!("unknown chore {other:?}: there are tidy and sbom")),
    };
    if let Err(error) = outcome {
        eprintln!("xtask: {error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
