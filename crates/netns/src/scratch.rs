//! Test help: what tests with real namespaces share.

use std::process::Command;

use crate::ns::Namespace;
use crate::preflight::preflight;

/// A fresh namespace; `None`, loudly, without the privileges. In CI that is a failure.
pub(crate) fn namespace() -> Option<Namespace> {
    if let Err(missing) = preflight() {
        assert!(std::env::var_os("CI").is_none(), "CI must run the namespace tests: {missing}");
        eprintln!("SKIPPED: {missing}");
        return None;
    }
    Some(Namespace::create().unwrap())
}

/// The output of a command run inside.
pub(crate) fn output(namespace: &Namespace, program: &str, arguments: &[&str]) -> String {
    let output = namespace.run(|| Command::new(program).args(arguments).output().unwrap()).unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
