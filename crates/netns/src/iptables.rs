//! The iptables programs, where a kernel's nf_tables cannot be used. In: a [`Ruleset`]. Out: the same rules
//! in the network namespace of the calling thread, in chains with Istio's names.

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::rules::Ruleset;
use crate::rules::restore::{self, Family};

/// Where these programs are on every distribution, whatever `PATH` says.
const SYSTEM: &str = "/usr/local/sbin:/usr/sbin:/sbin";
/// How long another program may hold the lock of the legacy kind.
const LOCK_SECONDS: &str = "30";

/// The lock's file where `/run`, its usual folder, cannot be written, as in a container of the node agent.
const LOCK: &str = "/dev/shm/xtables.lock";

/// Which of the two kinds of iptables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// What the name `iptables` stands for.
    Usual,
    Legacy,
    Nft,
}

#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    #[error(
        "there is no program {0}: in a pod the image of make image IPTABLES=yes has it (values.global.proxy_init.image, \
         values.cni.image of a node agent); elsewhere install iptables. Without LATEEN_IPTABLES and --iptables the rules \
         are nftables' and need no program"
    )]
    Missing(String),
    #[error("cannot run {program}: {source}")]
    Start { program: String, source: io::Error },
    #[error("{program} failed: {words}")]
    Failed { program: String, words: String },
}

/// Puts the rules in place of those of an earlier call. The inner error is IPv6's, where `ipv6` does not
/// ask for it.
pub fn apply(
    ruleset: &Ruleset,
    variant: Variant,
    ipv6: bool,
) -> Result<Result<(), ProgramError>, ProgramError> {
    apply_family(ruleset, variant, Family::V4)?;
    let result = apply_family(ruleset, variant, Family::V6);
    if ipv6 {
        result?;
        return Ok(Ok(()));
    }
    Ok(result)
}

/// Takes our chains away; that they do not exist is fine.
pub fn remove(variant: Variant) -> Result<(), ProgramError> {
    remove_family(variant, Family::V4)?;
    match remove_family(variant, Family::V6) {
        // Then nothing was laid by it.
        Err(ProgramError::Missing(_)) => Ok(()),
        other => other,
    }
}

fn apply_family(ruleset: &Ruleset, variant: Variant, family: Family) -> Result<(), ProgramError> {
    remove_family(variant, family)?;
    let program = program(variant, family, "-restore");
    let output = run(
        &program,
        &["--noflush", "-w", LOCK_SECONDS],
        restore::text(ruleset, family).as_bytes(),
    )?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
    Err(ProgramError::Failed { program, words })
}

fn remove_family(variant: Variant, family: Family) -> Result<(), ProgramError> {
    let program = program(variant, family, "");
    for arguments in restore::removal() {
        run(&program, &[&["-w", LOCK_SECONDS], arguments.as_slice()].concat(), &[])?;
    }
    Ok(())
}

fn program(variant: Variant, family: Family, suffix: &str) -> String {
    let stem = match family {
        Family::V4 => "iptables",
        Family::V6 => "ip6tables",
    };
    match variant {
        Variant::Usual => format!("{stem}{suffix}"),
        Variant::Legacy => format!("{stem}-legacy{suffix}"),
        Variant::Nft => format!("{stem}-nft{suffix}"),
    }
}

fn run(program: &str, arguments: &[&str], input: &[u8]) -> Result<Output, ProgramError> {
    let path = find(program).ok_or_else(|| ProgramError::Missing(program.into()))?;
    let start = |source| ProgramError::Start { program: program.into(), source };
    let mut command = Command::new(path);
    if nix::unistd::access("/run", nix::unistd::AccessFlags::W_OK).is_err() {
        command.env("XTABLES_LOCKFILE", LOCK);
    }
    let mut child = command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(start)?;
    let mut stdin = child.stdin.take().expect("standard input is piped");
    // A program that ends early says why itself.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().map_err(start)
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(std::env::split_paths(OsStr::new(SYSTEM)));
    places.map(|place| place.join(program)).find(|path| path.is_file())
}
