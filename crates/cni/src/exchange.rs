//! What the plugin and the agent of its node say to each other over a Unix socket: a line of JSON with the
//! pod, a line with the agent's [`Answer`], and, where rules were to be laid, a line with what came of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::protocol::Pod;

/// The socket in the agent's folder.
pub const SOCKET: &str = "pluginevent.sock";
/// Bytes that a line may have.
pub const LONGEST: u64 = 1 << 20;

/// What the agent says of a pod whose network is being set up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is none of the mesh, or lays its rules itself; the reason.
    Leave(String),
    Lay(Rules),
    /// It cannot be told, or not be done.
    Refuse {
        reason: String,
        /// Asking again may help.
        again: bool,
    },
}

/// Rules, as the pod's init container would be told of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Flags of `lateen interception`.
    pub arguments: Vec<String>,
    /// Environment that stands for flags.
    pub variables: BTreeMap<String, String>,
    /// What the pod's resolv.conf has as name servers; `None` if nobody but the kubelet knows.
    pub resolv_conf: Option<String>,
}

/// What came of rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Why they were not laid.
    pub failure: Option<String>,
    /// What was laid is not all that was asked.
    pub remarks: Vec<String>,
}

/// What the plugin asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    pub pod: Pod,
}

#[cfg(test)]
mod tests {
    use super::{Answer, Rules};

    #[test]
    fn an_answer_is_read_as_it_was_written() {
        let rules = Rules { arguments: vec!["-u".into(), "1337".into()], ..Rules::default() };
        for answer in [
            Answer::Leave("no sidecar".into()),
            Answer::Lay(rules),
            Answer::Refuse { reason: "no API".into(), again: true },
        ] {
            let text = serde_json::to_string(&answer).unwrap();
            assert!(!text.contains('\n'), "{text}");
            assert_eq!(serde_json::from_str::<Answer>(&text).unwrap(), answer);
        }
    }
}
