//! What a machine lacks for running a workload, said before anything is changed.
//!
//! In: nothing but the process's own state. Out: `Ok`, or every missing thing with the way to it.

use std::fmt::{Display, Formatter};
use std::fs;

use crate::ns::Namespace;
use crate::rules::Intercept;

/// Bits of `CapEff` in `/proc/self/status`, see capabilities(7).
const CAPABILITIES: [(&str, u32, &str); 2] = [
    ("CAP_NET_ADMIN", 12, "to plug workloads into the bridge and capture their traffic"),
    ("CAP_SYS_ADMIN", 21, "to create network and mount namespaces"),
];

/// Everything that is missing, one sentence each.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub struct Missing(pub Vec<String>);

impl Display for Missing {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "this machine cannot run a workload yet:")?;
        for item in &self.0 {
            write!(f, "\n  - {item}")?;
        }
        Ok(())
    }
}

/// Tries the real thing in a throw-away namespace.
pub fn preflight() -> Result<(), Missing> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let missing = missing_capabilities(&status);
    if !missing.is_empty() {
        return Err(Missing(missing));
    }
    let trial =
        Namespace::create().and_then(|namespace| namespace.intercept(&Intercept::default()));
    trial.map_err(|error| {
        Missing(vec![
            format!("a trial network namespace failed: {error}"),
            "the kernel needs network namespaces and nf_tables (Linux 5.2 or newer; in a container: \
             run it privileged, or with --cap-add NET_ADMIN,SYS_ADMIN)"
                .into(),
        ])
    })
}

fn missing_capabilities(status: &str) -> Vec<String> {
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    CAPABILITIES
        .iter()
        .filter(|(_, bit, _)| effective & (1 << bit) == 0)
        .map(|(name, _, why)| {
            format!("{name} is missing, {why}; run as root, for example: sudo lateen run ...")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::missing_capabilities;

    #[test]
    fn each_missing_capability_is_named_with_the_way_to_it() {
        let missing = missing_capabilities("Name:\tlateen\nCapEff:\t0000000000001000\n");
        assert_eq!(missing.len(), 1);
        assert!(missing[0].starts_with("CAP_SYS_ADMIN is missing"), "{missing:?}");
        assert!(missing[0].contains("sudo lateen run"), "{missing:?}");
    }

    #[test]
    fn nothing_is_missing_with_both() {
        assert!(missing_capabilities("CapEff:\t0000000000201000\n").is_empty());
    }

    #[test]
    fn an_unreadable_status_counts_as_no_capability() {
        assert_eq!(missing_capabilities("").len(), 2);
    }
}
