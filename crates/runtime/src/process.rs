//! Whether a process that wrote a record is still the same living process.
//!
//! In: a process id and the start time that the kernel gives it (clock ticks after boot, field 22
//! of `/proc/PID/stat`, see proc(5)). A reused id has another start time.

use std::fs;

/// A process, told from a later one of the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProcessId {
    pub pid: u32,
    pub start: u64,
}

impl ProcessId {
    pub fn current() -> Self {
        let pid = std::process::id();
        ProcessId { pid, start: start_time(pid).unwrap_or(0) }
    }

    pub fn is_alive(self) -> bool {
        start_time(self.pid) == Some(self.start)
    }
}

/// `None` when there is no such process, or only its unreaped remains.
fn start_time(pid: u32) -> Option<u64> {
    parse_start(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_start(stat: &str) -> Option<u64> {
    // The command's name is in parentheses and may itself hold spaces and parentheses.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let start = fields.nth(18)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(start)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::ProcessId;

    #[test]
    fn this_process_lives() {
        assert!(ProcessId::current().is_alive());
    }

    #[test]
    fn a_reused_id_is_another_process() {
        let current = ProcessId::current();
        assert!(!ProcessId { start: current.start + 1, ..current }.is_alive());
    }

    #[test]
    fn the_start_time_is_read_behind_any_program_name() {
        let fields = "1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9";
        assert_eq!(super::parse_start(&format!("12 (a) S b) S {fields}")), Some(4711));
        assert_eq!(super::parse_start(&format!("12 (a) Z {fields}")), None);
        assert_eq!(super::parse_start("12 (a"), None);
    }

    #[test]
    fn an_ended_process_is_dead_even_before_it_is_reaped() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = child.id();
        let id = ProcessId { pid, start: super::start_time(pid).unwrap_or(1) };
        while id.is_alive() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(!id.is_alive());
    }
}
