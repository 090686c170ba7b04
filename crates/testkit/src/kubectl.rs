//! kubectl, current or Debian's. In: arguments and a kubeconfig. Out: what it printed, insisting on
//! success or on failure.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};

use crate::tools;

/// Which kubectl.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    #[default]
    Current,
    /// 1.20, as Debian 12 packages it.
    Debian,
}

#[derive(Clone)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    /// kubectl with `HOME/kubeconfig` and a discovery cache in the home too, so that no test sees
    /// another's.
    pub fn new(version: Version, home: &Path) -> Result<Kubectl> {
        let name = match version {
            Version::Current => "kubectl",
            Version::Debian => "kubectl-debian",
        };
        Ok(Kubectl { program: tools::cached(name)?, kubeconfig: home.join("kubeconfig") })
    }

    /// A command, not yet run, for those who need more than its output.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.env("KUBECONFIG", &self.kubeconfig).env("HOME", self.home()).stdin(Stdio::null());
        command.args(["--cache-dir", &self.home().join("kubectl-cache").display().to_string()]);
        command.args(args);
        command
    }

    /// Runs it, insists on success, returns standard output.
    pub fn ok(&self, args: &[&str]) -> Result<String> {
        let output = self.command(args).output().context("starting kubectl")?;
        success(args, &output)
    }

    /// The same with `input` on standard input.
    pub fn ok_with_input(&self, args: &[&str], input: &str) -> Result<String> {
        success(args, &self.feed(args, input)?)
    }

    /// Runs it, insists on failure, returns standard error.
    pub fn fails(&self, args: &[&str]) -> Result<String> {
        failure(args, &self.command(args).output().context("starting kubectl")?)
    }

    /// The same with `input` on standard input.
    pub fn fails_with_input(&self, args: &[&str], input: &str) -> Result<String> {
        failure(args, &self.feed(args, input)?)
    }

    fn home(&self) -> &Path {
        self.kubeconfig.parent().expect("a kubeconfig is in a home")
    }

    fn feed(&self, args: &[&str], input: &str) -> Result<Output> {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("starting kubectl")?;
        let mut stdin = child.stdin.take().context("stdin is piped")?;
        stdin.write_all(input.as_bytes())?;
        drop(stdin);
        child.wait_with_output().context("waiting for kubectl")
    }
}

fn success(args: &[&str], output: &Output) -> Result<String> {
    let (out, err) = texts(output);
    ensure!(output.status.success(), "kubectl {}: {}: {err}{out}", args.join(" "), output.status);
    Ok(out)
}

fn failure(args: &[&str], output: &Output) -> Result<String> {
    let (out, err) = texts(output);
    ensure!(!output.status.success(), "kubectl {} did not fail: {out}{err}", args.join(" "));
    Ok(err)
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// A table that kubectl printed: the header's words, and every row's.
pub fn table(text: &str) -> (Vec<String>, Vec<Vec<String>>) {
    // Columns are separated by at least two spaces... or three in newer versions; cells have none.
    let cells = |line: &str| -> Vec<String> {
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect()
    };
    let mut lines = text.lines().map(cells);
    (lines.next().unwrap_or_default(), lines.collect())
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn reads_a_table() {
        let (header, rows) = table("NAME      STATUS   UP-TO-DATE\ndefault   Active   1\n");
        assert_eq!(header, ["NAME", "STATUS", "UP-TO-DATE"]);
        assert_eq!(rows, [["default", "Active", "1"]]);
    }
}
