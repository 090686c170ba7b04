//! Gives back what only the start needed. In: a process that is up. Out: a smaller resident set; the
//! pages that are used again are read again from the page cache.

use std::fs;
use std::time::Duration;

/// Drops the resident pages of the executable's code and constants, most of which only parsing
/// the command line and starting up has touched, and hands free heap pages back to the kernel.
/// A mapping that cannot be dropped stays: nothing depends on it.
pub fn release_startup_pages() {
    let Ok(maps) = fs::read_to_string("/proc/self/maps") else { return };
    let Ok(executable) = std::env::current_exe() else { return };
    let executable = executable.to_string_lossy();
    for (start, end) in maps.lines().filter_map(|line| read_only(line, &executable)) {
        // SAFETY: the range is a whole mapping that nobody can have written to, so its pages come back
        // from the file as they were (madvise(2), MADV_DONTNEED on a file mapping).
        unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DONTNEED) };
    }
    // SAFETY: malloc_trim(3) may be called at any time.
    unsafe { libc::malloc_trim(0) };
}

/// How often free heap pages are looked for, and how much more memory than after the last time makes it
/// worth the while.
const LOOK: Duration = Duration::from_secs(30);
const WORTHWHILE: u64 = 1 << 20;

/// Hands free heap pages back to the kernel after bursts, which the allocator alone does only at the
/// heap's end. Runs until dropped; an idle process reads one small file per look.
pub async fn give_back() {
    let mut before = resident();
    loop {
        tokio::time::sleep(LOOK).await;
        if resident() > before + WORTHWHILE {
            // SAFETY: malloc_trim(3) may be called at any time.
            unsafe { libc::malloc_trim(0) };
            before = resident();
        }
    }
}

/// Resident bytes; 0 where nobody tells.
fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_ascii_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    // SAFETY: sysconf(3) only reads.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    pages.unwrap_or(0) * u64::try_from(page).unwrap_or(0)
}

/// The range of a mapping of `executable` that was never written to, from a line of `/proc/self/maps`
/// (proc_pid_maps(5)): its code, and the constants before it, which begin at the file's own start.
/// Constants after the code are relocated in place and differ from the file.
fn read_only(line: &str, executable: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (range, permissions, offset) = (fields.next()?, fields.next()?, fields.next()?);
    let path = fields.nth(2)?;
    let begins_file = usize::from_str_radix(offset, 16) == Ok(0);
    let unwritten = permissions == "r-xp" || (permissions == "r--p" && begins_file);
    if !unwritten || path != executable {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_never_written_is_dropped() {
        let code = "55d0c8a00000-55d0c8b00000 r-xp 00001000 fe:00 42  /usr/bin/lateen";
        assert_eq!(read_only(code, "/usr/bin/lateen"), Some((0x55d0_c8a0_0000, 0x55d0_c8b0_0000)));
        assert_eq!(read_only(code, "/usr/bin/other"), None);
        let constants = "55d0c8900000-55d0c8a00000 r--p 00000000 fe:00 42  /usr/bin/lateen";
        assert!(read_only(constants, "/usr/bin/lateen").is_some());
        let relocated = "55d0c8b00000-55d0c8c00000 r--p 00101000 fe:00 42  /usr/bin/lateen";
        assert_eq!(read_only(relocated, "/usr/bin/lateen"), None);
        assert_eq!(read_only("55d0c8b00000-55d0c8c00000 rw-p 0 00:00 0", "/usr/bin/lateen"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_burst_left_is_given_back() {
        let keep = tokio::spawn(give_back());
        tokio::task::yield_now().await;
        // Small blocks with one in use at the end keep the heap from shrinking by itself.
        let mut blocks: Vec<Vec<u8>> = (0..20_000).map(|_| vec![1; 1024]).collect();
        let last = blocks.pop();
        let full = resident();
        drop(blocks);
        tokio::time::sleep(LOOK * 2).await;
        assert!(resident() + (10 << 20) < full, "{} of {full}", resident());
        drop(last);
        keep.abort();
    }

    #[test]
    fn the_resident_set_shrinks_and_the_process_goes_on() {
        let resident = || {
            let status = fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find(|line| line.starts_with("RssFile:")).unwrap();
            line.split_ascii_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
        };
        let before = resident();
        release_startup_pages();
        assert!(resident() < before);
    }
}
