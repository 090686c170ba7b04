//! `lateen interception`: rules for a pod's traffic, from its init container. In: istio-iptables' flags and
//! variables. Out: the rules in the kernel and on standard output; exit code 126 when they should be there
//! and are not, which makes Istio's node agent start the pod over.

mod flags;
mod lists;
pub mod rules;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::os::fd::AsFd;
use std::process::ExitCode;

use anyhow::{Context, Result};
use lateen_netns::iptables::Variant;
use lateen_netns::ns::in_netns;
use lateen_netns::pod::{self, Means, Shortcoming};
use lateen_netns::rules::Intercept;
use lateen_netns::rules::restore::{self, Family};
use lateen_netns::validate::{Trial, validate};

pub use flags::InterceptionCommand;

use crate::output::{note, say, text};
use flags::{Iptables, Mode};

const RESOLV_CONF: &str = "/etc/resolv.conf";
/// By which Istio's `istio-validation` says that rules are missing.
const NOT_VALID: u8 = 126;

/// What one call does.
struct Plan {
    intercept: Intercept,
    means: Means,
    trial: Option<Trial>,
    steps: Steps,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Steps {
    /// Only say it.
    Show,
    Lay,
    CleanUp,
    /// Somebody else lays the rules.
    Leave,
}

pub fn execute(command: InterceptionCommand) -> Result<ExitCode> {
    if command.mode == Mode::None {
        say("nothing is intercepted: the mode is NONE");
        return Ok(ExitCode::SUCCESS);
    }
    let namespace = command.network_namespace.clone();
    let plan = plan(command)?;
    let Some(path) = namespace else { return carry_out(&plan) };
    let file = File::open(&path)
        .with_context(|| format!("cannot open the network namespace {}", path.display()))?;
    in_netns(file.as_fd(), || carry_out(&plan))?
}

fn plan(command: InterceptionCommand) -> Result<Plan> {
    let steps = match () {
        () if command.switches.dry_run => Steps::Show,
        () if command.switches.cleanup_only => Steps::CleanUp,
        () if command.switches.skip_rule_apply => Steps::Leave,
        () => Steps::Lay,
    };
    let intercept = lists::intercept(&command, || {
        std::fs::read_to_string(RESOLV_CONF)
            .with_context(|| format!("cannot read {RESOLV_CONF} for the name servers"))
    })?;
    let means = match command.iptables {
        None => Means::Nftables,
        Some(Iptables::Usual) => Means::Iptables(Variant::Usual),
        Some(Iptables::Legacy) => Means::Iptables(Variant::Legacy),
        Some(Iptables::Nft) => Means::Iptables(Variant::Nft),
    };
    let wanted = command.switches.run_validation && matches!(steps, Steps::Lay | Steps::Leave);
    let trial = wanted.then(|| Trial {
        ports: [intercept.outbound_port, intercept.inbound_port],
        probe_port: command.iptables_probe_port,
        uid: intercept.uids[0],
        ipv6: false,
        patience: command.probe_timeout,
    });
    Ok(Plan { intercept, means, trial, steps })
}

fn carry_out(plan: &Plan) -> Result<ExitCode> {
    match plan.steps {
        Steps::Show => text(&shown(plan)),
        Steps::CleanUp => pod::remove(plan.means, plan.intercept.transparent)?,
        Steps::Leave => {}
        Steps::Lay => {
            for shortcoming in pod::lay(&plan.intercept, plan.means)? {
                note(lacking(&shortcoming));
            }
            text(&shown(plan));
        }
    }
    let Some(trial) = &plan.trial else { return Ok(ExitCode::SUCCESS) };
    let trial = Trial { ipv6: only_ipv6()?, ..trial.clone() };
    match validate(&trial) {
        Ok(()) => {
            say("connections of this pod are captured");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            note(error);
            Ok(ExitCode::from(NOT_VALID))
        }
    }
}

/// A pod with both families is tried by IPv4, as Istio does.
fn only_ipv6() -> Result<bool> {
    Ok(pod::has_ipv6()? && !pod::has_ipv4()?)
}

fn shown(plan: &Plan) -> String {
    let ruleset = plan.intercept.ruleset();
    let rules = match plan.means {
        Means::Nftables => ruleset.to_string(),
        Means::Iptables(_) => {
            [Family::V4, Family::V6].map(|family| restore::text(&ruleset, family)).join("")
        }
    };
    rules + &plan.intercept.routes()
}

fn lacking(shortcoming: &Shortcoming) -> String {
    match shortcoming {
        Shortcoming::NoZones(error) => format!(
            "the kernel has no conntrack zones (CONFIG_NF_CONNTRACK_ZONES), so a name server's answer may now \
             and then be lost: {error}"
        ),
        Shortcoming::NoIpv6(error) => {
            format!("IPv6 is not intercepted, and this pod has none now: {error}")
        }
    }
}
