//! Options about an existing Prometheus. In: the command line. Out: how to read the graph's traffic from it.

use std::fs::File;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use lateen_graph::prometheus::{Address, Settings};

use crate::bounded;

/// Of a bundle of certificates.
const MOST: u64 = 4 << 20;

#[derive(Clone, Debug, Args)]
pub struct PrometheusArgs {
    /// Read the graph's traffic from this Prometheus, which scrapes the proxies, instead of from them
    #[arg(long, value_name = "URL")]
    prometheus: Option<Address>,
    /// Whom to trust behind an https URL, as PEM
    #[arg(long, value_name = "FILE", requires = "prometheus")]
    prometheus_ca: Option<PathBuf>,
    /// A file with a bearer token for Prometheus
    #[arg(long, value_name = "FILE", requires = "prometheus")]
    prometheus_token_file: Option<PathBuf>,
}

impl PrometheusArgs {
    /// `None` without a Prometheus.
    pub fn settings(&self) -> Result<Option<Settings>> {
        let Some(address) = self.prometheus.clone() else { return Ok(None) };
        ensure!(
            !address.is_tls() || self.prometheus_ca.is_some(),
            "{address} needs --prometheus-ca FILE: no authority is trusted without being named"
        );
        let ca = |path: &PathBuf| {
            let failed = || format!("--prometheus-ca {}", path.display());
            let pem = bounded::bytes(File::open(path).with_context(failed)?, MOST);
            let pem = pem.with_context(failed)?;
            lateen_identity::client_config(&pem).with_context(failed)
        };
        let tls = self.prometheus_ca.as_ref().map(ca).transpose()?;
        Ok(Some(Settings { address, tls, token: self.prometheus_token_file.clone() }))
    }

    /// The same options for another process.
    pub fn arguments(&self) -> Vec<String> {
        let path = |path: &PathBuf| path.display().to_string();
        let all = [
            ("--prometheus", self.prometheus.as_ref().map(ToString::to_string)),
            ("--prometheus-ca", self.prometheus_ca.as_ref().map(path)),
            ("--prometheus-token-file", self.prometheus_token_file.as_ref().map(path)),
        ];
        let given = all.into_iter().filter_map(|(name, value)| Some([name.to_owned(), value?]));
        given.flatten().collect()
    }
}
