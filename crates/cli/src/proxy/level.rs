//! Log levels. In: those of Istio's agent and of Envoy, by Istio's flags. Out: a tracing filter. The agent and
//! the proxy are one process, so each keeps its own level by its module. The link to the control plane is the
//! agent's matter, as it is in Istio.

/// A level that is not known counts as the flag's default.
pub fn filter(agent: &str, proxy: &str) -> String {
    let scopes = agent.split(',').map(|scope| scope.rsplit_once(':').unwrap_or(("default", scope)));
    let mut scopes = scopes.filter(|(scope, _)| matches!(scope.trim(), "default" | "all"));
    let agent = scopes.next().and_then(|(_, level)| of_agent(level.trim())).unwrap_or("info");
    let proxy = of_envoy(proxy.trim()).unwrap_or("warn");
    format!(
        "{agent},lateen_proxy={proxy},lateen_proxy::agent={agent},lateen_proxy::engine={agent},kube_client=off"
    )
}

fn of_agent(level: &str) -> Option<&'static str> {
    Some(match level {
        "none" => "off",
        "fatal" | "error" => "error",
        "warn" => "warn",
        "info" => "info",
        "debug" => "debug",
        _ => return None,
    })
}

fn of_envoy(level: &str) -> Option<&'static str> {
    Some(match level {
        "off" => "off",
        "critical" | "error" => "error",
        "warn" | "warning" => "warn",
        "info" => "info",
        "debug" => "debug",
        "trace" => "trace",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::filter;

    #[test]
    fn each_part_has_its_own_level() {
        assert_eq!(
            filter("default:info", "warning"),
            "info,lateen_proxy=warn,lateen_proxy::agent=info,lateen_proxy::engine=info,kube_client=off"
        );
        assert!(filter("ads:debug,all:error", "critical").starts_with("error,lateen_proxy=error,"));
        assert!(filter("debug", "off").starts_with("debug,lateen_proxy=off,"));
    }

    #[test]
    fn a_level_that_nobody_knows_is_the_default() {
        assert!(filter("loud", "loud").starts_with("info,lateen_proxy=warn,"));
    }
}
