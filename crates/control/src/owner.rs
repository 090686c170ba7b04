//! Which process a WorkloadEntry stands for: annotations that `lateen run` writes and the reaper reads. In:
//! an owner, or an object. Out: the annotations, or the owner.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lateen_runtime::process::ProcessId;
use serde_json::Value;

/// The process of `lateen run`, and when it started: a process id alone may be another's by now.
const PID: &str = "lateen.io/pid";
const PID_START: &str = "lateen.io/pid-start";
/// The home directory of the mesh that the entry belongs to.
const HOME: &str = "lateen.io/home";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub process: ProcessId,
    pub home: PathBuf,
}

impl Owner {
    /// This process.
    pub fn current(home: &Path) -> Self {
        Owner { process: ProcessId::current(), home: home.to_owned() }
    }

    /// `None` for an entry that `lateen run` did not make.
    pub fn of(entry: &Value) -> Option<Self> {
        let annotation = |name: &str| entry["metadata"]["annotations"][name].as_str();
        let process = ProcessId {
            pid: annotation(PID)?.parse().ok()?,
            start: annotation(PID_START)?.parse().ok()?,
        };
        Some(Owner { process, home: annotation(HOME)?.into() })
    }

    pub fn annotations(&self) -> BTreeMap<&'static str, String> {
        let ProcessId { pid, start } = self.process;
        let home = self.home.display().to_string();
        [(PID, pid.to_string()), (PID_START, start.to_string()), (HOME, home)].into()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::Owner;

    #[test]
    fn what_is_written_is_read() {
        let owner = Owner::current(Path::new("/h"));
        let entry = json!({ "metadata": { "annotations": owner.annotations() } });
        assert_eq!(Owner::of(&entry), Some(owner));
    }

    #[test]
    fn an_entry_made_by_hand_has_no_owner() {
        assert_eq!(Owner::of(&json!({ "metadata": { "name": "vm" } })), None);
    }
}
