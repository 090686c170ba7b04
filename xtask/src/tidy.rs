//! `cargo xtask tidy`: the layer table, a `//!` head in every file, and a report of long files and
//! functions. Violations fail; lengths are reported.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{layers, report};

/// Beyond these a reader is told.
const LONG_FILE: usize = 500;
const LONG_FUNCTION: usize = 80;

pub fn run() -> Result<()> {
    let metadata = metadata()?;
    let root = PathBuf::from(metadata["workspace_root"].as_str().context("no workspace root")?);
    let mut problems = layers::check(&metadata);
    let mut files = Vec::new();
    for folder in ["crates", "xtask", "fuzz"] {
        rust_files(&root.join(folder), &mut files)?;
    }
    for file in &files {
        let name = file.strip_prefix(&root).unwrap_or(file).display().to_string();
        let text = std::fs::read_to_string(file).with_context(|| name.clone())?;
        let shape = report::shape(&text, LONG_FUNCTION);
        if !shape.has_head {
            problems.push(format!("{name} does not open with //!"));
        }
        if is_test(file) {
            continue;
        }
        if shape.lines > LONG_FILE {
            println!("long file      {name}: {} lines", shape.lines);
        }
        for (function, lines) in shape.long_functions {
            println!("long function  {name}: {function} has {lines} lines");
        }
    }
    if !problems.is_empty() {
        bail!("tidy found {} problem(s):\n  {}", problems.len(), problems.join("\n  "));
    }
    println!("tidy: {} files in order", files.len());
    Ok(())
}

fn metadata() -> Result<serde_json::Value> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--no-deps", "--locked"])
        .output()
        .context("cannot run cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_slice(&output.stdout).context("cargo metadata's output")
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
            rust_files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

fn is_test(file: &Path) -> bool {
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    stem == "tests"
        || file
            .components()
            .any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "benches")))
}
