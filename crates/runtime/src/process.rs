//! Whether a process that wrote a record is still the same living process, and what this one uses.
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

/// What this process uses, as Prometheus' clients report it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    pub cpu_seconds: f64,
    pub resident_bytes: u64,
    pub virtual_bytes: u64,
    pub open_descriptors: u64,
    pub most_descriptors: u64,
    pub threads: u64,
    /// Seconds since 1970.
    pub started: f64,
}

/// What the kernel does not tell is 0.
pub fn usage() -> Usage {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    // SAFETY: sysconf(3) only reads.
    let system = |name| u64::try_from(unsafe { libc::sysconf(name) }).unwrap_or(1).max(1);
    let stat = read("/proc/self/stat");
    let ticks = parse_ticks(&stat).unwrap_or_default();
    let pages = read("/proc/self/statm");
    let mut pages = pages.split(' ').map(|pages| pages.parse().unwrap_or(0_u64));
    let page = system(libc::_SC_PAGESIZE);
    let ticks_per_second = system(libc::_SC_CLK_TCK) as f64;
    let descriptors = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    Usage {
        cpu_seconds: ticks as f64 / ticks_per_second,
        virtual_bytes: pages.next().unwrap_or_default() * page,
        resident_bytes: pages.next().unwrap_or_default() * page,
        open_descriptors: descriptors as u64,
        most_descriptors: parse_most(&read("/proc/self/limits")).unwrap_or_default(),
        threads: fs::read_dir("/proc/self/task").map_or(0, Iterator::count) as u64,
        started: parse_boot(&read("/proc/stat")).unwrap_or_default() as f64
            + parse_start(&stat).unwrap_or_default() as f64 / ticks_per_second,
    }
}

/// The soft limit of open files, of `/proc/PID/limits`.
fn parse_most(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// When the machine was started, of `/proc/stat`.
fn parse_boot(stat: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// User and system time, fields 14 and 15 of `/proc/PID/stat`.
fn parse_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let (user, system) = (fields.next()?, fields.next()?);
    Some(user.parse::<u64>().ok()? + system.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::ProcessId;

    #[test]
    fn this_process_uses_something() {
        let usage = super::usage();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        assert!((now.as_secs_f64() - 3600.0..now.as_secs_f64() + 2.0).contains(&usage.started));
        assert!(usage.threads > 0 && usage.most_descriptors >= usage.open_descriptors);
        assert!(usage.virtual_bytes > usage.resident_bytes);
        assert!(usage.resident_bytes > 1 << 20 && usage.open_descriptors > 2, "{usage:?}");
        let stat = "7 (a b) S 1 1 1 0 -1 4 5 0 0 0 120 30 0 0 20 0 1 0 99 0 0";
        assert_eq!(super::parse_ticks(stat), Some(150));
    }

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
