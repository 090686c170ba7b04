//! A precheck of a real Kubernetes whose node has the image and no registry to pull it from, twice in a row; and nothing of
//! the cluster's pods is left when it has ended.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use lateen_e2e::installed::{IMAGE, Node};
use lateen_testkit::isolate::isolated_for;

const LIMIT: Duration = Duration::from_secs(300);
const CHECK: Duration = Duration::from_secs(90);
const NAMESPACES: &str = "/run/netns";

/// Network namespaces of pods, by their files.
fn left() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(NAMESPACES)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.retain(|name| name.starts_with("cni-"));
    Ok(names)
}

#[test]
fn a_node_that_has_the_image_is_ready_twice_in_a_row() {
    isolated_for(LIMIT, || {
        let scratch = tempfile::tempdir()?;
        let node = Node::with_images(&[], scratch.path())?;
        let check = |more: &[&str]| -> Result<(i32, String)> {
            let args = [&["precheck", "--within", "60"], &IMAGE[..], more].concat();
            let mut run = node.lateen(&args)?;
            let code = run.exit_code(CHECK)?;
            Ok((code, run.stdout() + &run.stderr()))
        };
        for _ in 0..2 {
            let (code, output) = check(&[])?;
            ensure!(code == 0 && output.contains("1 node is ready"), "{output}");
        }
        let (code, output) = check(&["--set", "values.global.imagePullPolicy=Always"])?;
        ensure!(code == 1, "{output}");
        ensure!(
            output.contains("error: node node1: it cannot pull localhost/lateen:test"),
            "{output}"
        );
        drop(node);
        let left = left()?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    });
}
