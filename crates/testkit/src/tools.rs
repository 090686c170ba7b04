//! Where the programs under test and beside the tests are. In: `LATEEN_BIN`, `LATEEN_CACHE` or the
//! build folder. Out: paths that exist, or an error that says which command makes them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// The `lateen` under test.
pub fn lateen() -> Result<PathBuf> {
    match std::env::var_os("LATEEN_BIN") {
        Some(path) => existing(path.into(), "LATEEN_BIN must name the lateen binary"),
        None => built("lateen", "cargo build -p lateen-cli"),
    }
}

/// The Rust echo server of this crate.
pub fn echo_server() -> Result<PathBuf> {
    built("echo-server", "cargo build -p lateen-testkit --bins")
}

/// The Rust echo client of this crate.
pub fn echo_client() -> Result<PathBuf> {
    built("echo-client", "cargo build -p lateen-testkit --bins")
}

/// The collector of access logs of this crate.
pub fn collector() -> Result<PathBuf> {
    built("collector", "cargo build -p lateen-testkit --bins")
}

/// A program that `scripts/test-deps.sh` made, such as `kubectl`, `envoy`, `go-echo-server` or
/// `go-probed`.
pub fn cached(name: &str) -> Result<PathBuf> {
    existing(cache().join("bin").join(name), "run scripts/test-deps.sh")
}

/// A folder that `scripts/test-deps.sh` made: `machine`.
pub fn cached_folder(name: &str) -> Result<PathBuf> {
    let path = cache().join(name);
    ensure!(path.is_dir(), "{} is missing: run scripts/test-deps.sh", path.display());
    Ok(path.canonicalize()?)
}

/// `PATH` as on a machine on which those programs are installed.
pub fn path() -> Result<OsString> {
    let machine = std::env::var_os("PATH").context("PATH is not set")?;
    let folders = std::iter::once(cache().join("bin")).chain(std::env::split_paths(&machine));
    std::env::join_paths(folders).context("a folder in PATH has a colon")
}

fn cache() -> PathBuf {
    let named = std::env::var_os("LATEEN_CACHE").filter(|folder| !folder.is_empty());
    named.map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache"), PathBuf::from)
}

/// A program of this workspace, in the build folder that the running test comes from.
fn built(name: &str, how: &str) -> Result<PathBuf> {
    let me = std::env::current_exe().context("finding the running test")?;
    let folder = me.ancestors().find(|folder| folder.join("deps").is_dir());
    let folder = folder.with_context(|| format!("{} is not in a build folder", me.display()))?;
    existing(folder.join(name), how)
}

fn existing(path: PathBuf, how: &str) -> Result<PathBuf> {
    ensure!(path.is_file(), "{} is missing: {how}", path.display());
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::existing;

    #[test]
    fn a_missing_tool_names_the_remedy() {
        let error = existing("/nonexistent/tool".into(), "run the script").unwrap_err();
        assert_eq!(error.to_string(), "/nonexistent/tool is missing: run the script");
    }
}
