//! A real Prometheus in the test's network namespace. In: its scrape configuration. Out: answers to PromQL.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::net::{connect, free_port};
use crate::process::Process;
use crate::tools::cached;
use crate::wait::wait_until;

/// How long it may take to start on a busy machine.
const START: Duration = Duration::from_secs(30);

pub struct Prometheus {
    // Fields are dropped in this order: the process ends before its folder is removed.
    _process: Process,
    address: String,
    _folder: TempDir,
}

/// Which form of histograms it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Histograms {
    Classic,
    Native,
}

impl Prometheus {
    /// Starts one with these `scrape_configs`, a YAML list.
    pub fn start(scrape_configs: &str, histograms: Histograms) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("prometheus.yml");
        let global = "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n";
        std::fs::write(&config, format!("{global}{scrape_configs}"))?;
        let address = format!("127.0.0.1:{}", free_port()?);
        let mut command = Command::new(cached("prometheus")?);
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null());
        if histograms == Histograms::Native {
            command.arg("--enable-feature=native-histograms");
        }
        let process = Process::spawn("prometheus", &mut command)?;
        let started = Self { _process: process, address, _folder: folder };
        wait_until("Prometheus", START, || {
            let (status, body) = started.get("/-/ready")?;
            ensure!(status == 200, "{status} {body}");
            Ok(())
        })?;
        Ok(started)
    }

    /// As in `http://127.0.0.1:9090`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The result of an instant query, which may be empty.
    pub fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let data = self.api("query", &[("query", expression)])?;
        Ok(match data["resultType"].as_str() {
            Some("scalar") => vec![data["result"].clone()],
            _ => data["result"].as_array().cloned().unwrap_or_default(),
        })
    }

    /// The one number that a query answers with.
    pub fn number(&self, expression: &str) -> Result<f64> {
        let result = self.query(expression)?;
        let [sample] = result.as_slice() else { bail!("{expression} has {result:?}") };
        let value = sample["value"][1].as_str().context("no value")?;
        Ok(value.parse()?)
    }

    /// The values that a label has in the series that match.
    pub fn label_values(&self, label: &str, matching: &str) -> Result<Vec<String>> {
        let data = self.api(&format!("label/{label}/values"), &[("match[]", matching)])?;
        let values = data.as_array().into_iter().flatten();
        Ok(values.filter_map(Value::as_str).map(str::to_owned).collect())
    }

    /// The data of an answer of its HTTP API.
    pub fn api(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value> {
        let query: Vec<String> =
            parameters.iter().map(|(key, value)| format!("{key}={}", escaped(value))).collect();
        let (_, body) = self.get(&format!("/api/v1/{path}?{}", query.join("&")))?;
        let answer: Value = serde_json::from_str(&body).with_context(|| body.clone())?;
        ensure!(answer["status"] == "success", "{path} {parameters:?}: {body}");
        Ok(answer["data"].clone())
    }

    /// By HTTP/1.0, which has no chunks.
    fn get(&self, path: &str) -> Result<(u16, String)> {
        let mut stream = connect(&self.address)?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
        let status = head.split(' ').nth(1).context("no status")?;
        Ok((status.parse()?, body.to_owned()))
    }
}

/// Percent-encoded, but for letters and digits.
fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn expressions_are_escaped() {
        assert_eq!(super::escaped("a{b=\"ü\"}"), "a%7Bb%3D%22%C3%BC%22%7D");
    }
}
