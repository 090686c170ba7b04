//! Draws one connection's way as a sequence diagram in plain text. In: a [`Way`]. Out: its lines.

use crate::explain::way::Way;
use crate::output::printable;

/// One arrow: who, to whom, what, and the fact that proves it.
struct Step<'a> {
    from: &'a str,
    to: &'a str,
    what: &'a str,
    fact: String,
}

pub fn draw(way: &Way) -> String {
    let steps = steps(way);
    let actor = |step: &Step| step.from.chars().count().max(step.to.chars().count());
    let actors = steps.iter().map(actor).max().unwrap_or(0);
    let words = steps.iter().map(|step| step.what.chars().count()).max().unwrap_or(0);
    let line = |step: &Step| {
        let line = format!(
            "{:<actors$} -> {:<actors$}  {:<words$}  {}",
            step.from, step.to, step.what, step.fact
        );
        printable(line.trim_end()).into_owned()
    };
    let mut text: String = steps.iter().map(|step| line(step) + "\n").collect();
    if let Some(failure) = &way.failure {
        text.push_str(&format!("failed: {}\n", printable(failure)));
    }
    text
}

fn steps(way: &Way) -> Vec<Step<'_>> {
    let mut steps = vec![Step {
        from: "client",
        to: "gateway",
        what: "sends the request",
        fact: format!("{} -> {}, {} bytes", way.client, way.listener, way.bytes_received),
    }];
    if let Some(route) = &way.virtual_service {
        steps.push(Step {
            from: "gateway",
            to: "virtual service",
            what: "asks the route",
            fact: format!("{}: {}", route.name, route.rule),
        });
    }
    if let Some(service) = &way.service {
        let from = if way.virtual_service.is_some() { "virtual service" } else { "gateway" };
        let fact = format!("{} (cluster {})", service.name, service.cluster);
        steps.push(Step { from, to: "service", what: "names the service", fact });
    }
    if let Some(server) = &way.server {
        let through = if server.seen_by_sidecar { ", through its sidecar" } else { "" };
        let fact = format!("{} at {}{through}", server.name, server.address);
        steps.push(Step { from: "service", to: "server", what: "picks an endpoint", fact });
        let fact = format!("{} bytes in {:.1} ms", way.bytes_sent, way.duration_ms);
        steps.push(Step { from: "server", to: "client", what: "replies", fact });
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::way::{Route, Server, Service};

    #[test]
    fn a_request_is_drawn_from_the_client_to_the_server_and_back() {
        let way = Way {
            client: "127.0.0.1:40112".into(),
            listener: "127.0.0.1:31400".into(),
            bytes_received: 5,
            bytes_sent: 5,
            duration_ms: 1.25,
            virtual_service: Some(Route {
                name: "default/tcp-echo".into(),
                rule: "port 31400 -> tcp-echo-server:8020".into(),
            }),
            service: Some(Service {
                name: "tcp-echo-server.default.svc.cluster.local:8020".into(),
                cluster: "outbound|8020||tcp-echo-server.default.svc.cluster.local".into(),
            }),
            server: Some(Server {
                name: "default/echo-server".into(),
                address: "10.201.4.2:8020".into(),
                seen_by_sidecar: true,
            }),
            failure: None,
        };
        let text = draw(&way);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5);
        assert!(lines[0].starts_with("client          -> gateway"), "{text}");
        assert!(lines[4].starts_with("server          -> client"), "{text}");
        assert!(lines[3].ends_with("through its sidecar"), "{text}");
    }

    #[test]
    fn what_peers_say_does_not_reach_the_terminal_as_commands() {
        let way = Way {
            client: "127.0.0.1:40112".into(),
            listener: "127.0.0.1:31400".into(),
            bytes_received: 5,
            bytes_sent: 0,
            duration_ms: 1.25,
            virtual_service: None,
            service: Some(Service { name: "a\u{1b}]0;b\u{7}".into(), cluster: "c\n".into() }),
            server: None,
            failure: Some("no host \u{1b}[2J\nserver -> client".into()),
        };
        let text = draw(&way);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(!text.replace('\n', "").contains(char::is_control), "{text:?}");
    }
}
