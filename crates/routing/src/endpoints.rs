//! Endpoints and load balancing. In: `ClusterLoadAssignment`, and per choice a counter, a random
//! number and how busy each endpoint is. Out: the index of an endpoint.

use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::HealthStatus;
use envoy_types::pb::envoy::config::endpoint::v3 as endpoint;

use crate::cluster::Policy;
use crate::convert;
pub use crate::convert::Target;
use crate::reject::{Refusal, Reject, refuse};

/// The longest round-robin schedule; weights that need a longer one are drawn at random.
const MAX_SCHEDULE: u64 = 4096;
/// Envoy's overprovisioning factor in percent: a priority gives traffic away only when less than
/// 1/1.4 of its endpoints are healthy.
const OVERPROVISIONING: u64 = 140;

/// The endpoints of a cluster, unhealthy ones included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    pub hosts: Vec<Host>,
    /// Endpoints that were left out because they cannot be used, with reasons.
    pub notes: Vec<String>,
    levels: Vec<Level>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    pub target: Target,
    pub weight: u32,
    pub healthy: bool,
    pub priority: u32,
    /// `filter_metadata.istio` as JSON.
    pub workload: Option<Arc<str>>,
}

/// One priority's healthy endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Level {
    /// Share of the traffic that goes here or to an earlier level, in percent.
    until: u64,
    hosts: Vec<usize>,
    /// Cumulative weights of `hosts`.
    weights: Vec<u64>,
    /// Order of a weighted round robin; empty when weights are equal or too long for one.
    schedule: Vec<usize>,
}

/// What one choice may depend on.
pub struct Pick<'a> {
    /// Counts the choices made in this cluster.
    pub sequence: usize,
    /// Uniform.
    pub random: u64,
    /// Open connections of a host, by its index.
    pub active: &'a dyn Fn(usize) -> u32,
}

/// An endpoint that cannot be used is left out, so that the others serve.
pub fn compile_endpoints(source: &endpoint::ClusterLoadAssignment) -> Result<Endpoints, Reject> {
    let name = &source.cluster_name;
    let (hosts, refused) = compile_assignment(source, false).map_err(|refused| refused.of(name))?;
    let notes = refused.into_iter().map(|refused| refused.of(name).to_string()).collect();
    Ok(Endpoints { notes, ..Endpoints::new(hosts) })
}

impl Endpoints {
    pub fn new(hosts: Vec<Host>) -> Self {
        let levels = levels(&hosts);
        Self { hosts, notes: Vec::new(), levels }
    }

    /// The index of a healthy endpoint in `hosts`, if there is one.
    pub fn pick(&self, policy: Policy, pick: &Pick) -> Option<usize> {
        let level = match self.levels.as_slice() {
            [] => return None,
            [only] => only,
            levels => {
                let point = (pick.random >> 32) % 100;
                levels.iter().find(|level| point < level.until).or(levels.last())?
            }
        };
        Some(match policy {
            Policy::RoundRobin => level.in_turn(pick),
            Policy::Random | Policy::Provided => level.at_random(pick.random),
            Policy::LeastRequest { choices } => level.least_busy(choices, pick),
        })
    }
}

impl Level {
    fn in_turn(&self, pick: &Pick) -> usize {
        if !self.schedule.is_empty() {
            return self.hosts[self.schedule[pick.sequence % self.schedule.len()]];
        }
        if self.equal_weights() {
            return self.hosts[pick.sequence % self.hosts.len()];
        }
        self.at_random(pick.random)
    }

    fn at_random(&self, random: u64) -> usize {
        let total = *self.weights.last().expect("a level has a host");
        let point = random % total;
        self.hosts[self.weights.partition_point(|end| *end <= point)]
    }

    fn least_busy(&self, choices: u32, pick: &Pick) -> usize {
        let mut random = pick.random;
        let drawn = (0..choices).map(|_| {
            random = mix(random);
            self.at_random(random)
        });
        drawn.min_by_key(|host| (pick.active)(*host)).expect("at least two choices")
    }

    fn equal_weights(&self) -> bool {
        let first = self.weights[0];
        *self.weights.last().expect("a level has a host") == first * self.weights.len() as u64
            && self.weights.windows(2).all(|pair| pair[1] - pair[0] == first)
    }
}

/// One step of the splitmix64 generator: from one random number to the next.
fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The endpoints that can be used, and why the others cannot.
pub(crate) fn compile_assignment(
    source: &endpoint::ClusterLoadAssignment,
    names: bool,
) -> Result<(Vec<Host>, Vec<Refusal>), Refusal> {
    if source.policy.as_ref().is_some_and(|policy| !policy.drop_overloads.is_empty()) {
        return Err(refuse("policy.drop_overloads", "not supported", "leave it out"));
    }
    let (mut hosts, mut refused) = (Vec::new(), Vec::new());
    for (at, locality) in source.endpoints.iter().enumerate() {
        for (index, endpoint) in locality.lb_endpoints.iter().enumerate() {
            let within = format!("endpoints[{at}].lb_endpoints[{index}]");
            match host(endpoint, locality.priority, names) {
                Ok(host) => hosts.push(host),
                Err(refusal) => refused.push(refusal.within(&within)),
            }
        }
    }
    Ok((hosts, refused))
}

fn host(source: &endpoint::LbEndpoint, priority: u32, names: bool) -> Result<Host, Refusal> {
    use endpoint::lb_endpoint::HostIdentifier;
    let Some(HostIdentifier::Endpoint(address)) = &source.host_identifier else {
        return Err(refuse("endpoint", "missing", "set the endpoint in place, not by name"));
    };
    let target =
        convert::target(address.address.as_ref()).map_err(|refused| refused.within("endpoint"))?;
    if let (Target::Name(name, _), false) = (&target, names) {
        let problem = format!("{name} is no IP address");
        return Err(refuse("endpoint", problem, "use an IP address or a STRICT_DNS cluster"));
    }
    let status = HealthStatus::try_from(source.health_status).unwrap_or(HealthStatus::Unknown);
    Ok(Host {
        target,
        weight: source.load_balancing_weight.as_ref().map_or(1, |weight| weight.value.max(1)),
        healthy: matches!(
            status,
            HealthStatus::Unknown | HealthStatus::Healthy | HealthStatus::Degraded
        ),
        priority,
        workload: convert::origin(source.metadata.as_ref()),
    })
}

fn levels(hosts: &[Host]) -> Vec<Level> {
    let mut priorities: Vec<u32> = hosts.iter().map(|host| host.priority).collect();
    priorities.sort_unstable();
    priorities.dedup();
    let mut until = 0;
    let mut levels = Vec::new();
    for priority in priorities {
        let members = || hosts.iter().enumerate().filter(|(_, host)| host.priority == priority);
        let healthy: Vec<usize> =
            members().filter(|(_, host)| host.healthy).map(|(index, _)| index).collect();
        if healthy.is_empty() || until == 100 {
            continue;
        }
        let share = OVERPROVISIONING * healthy.len() as u64 / members().count() as u64;
        until = (until + share).min(100);
        levels.push(level(hosts, healthy, until));
    }
    levels
}

fn level(hosts: &[Host], members: Vec<usize>, until: u64) -> Level {
    let weights: Vec<u64> = members.iter().map(|index| u64::from(hosts[*index].weight)).collect();
    let divisor = weights.iter().copied().reduce(gcd).unwrap_or(1).max(1);
    let reduced: Vec<u64> = weights.iter().map(|weight| weight / divisor).collect();
    let equal = reduced.iter().all(|weight| *weight == 1);
    let schedule = if equal { Vec::new() } else { schedule(&reduced) };
    let mut total = 0;
    let cumulative = weights.iter().map(|weight| {
        total += weight;
        total
    });
    Level { until, weights: cumulative.collect(), hosts: members, schedule }
}

/// Smooth weighted round robin: at each step everyone earns their weight and the richest, who is
/// chosen, pays the total.
fn schedule(weights: &[u64]) -> Vec<usize> {
    let total: u64 = weights.iter().sum();
    if total > MAX_SCHEDULE {
        return Vec::new();
    }
    let mut credit = vec![0i64; weights.len()];
    let steps = (0..total).map(|_| {
        for (credit, weight) in credit.iter_mut().zip(weights) {
            *credit += *weight as i64;
        }
        let ranked = credit.iter().enumerate().rev();
        let (richest, _) = ranked.max_by_key(|(_, credit)| **credit).expect("weights not empty");
        credit[richest] -= total as i64;
        richest
    });
    steps.collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests;
