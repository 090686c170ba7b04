//! `lateen inject` at the command line: where it finds the mesh's settings, and what it refuses.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use lateen_e2e::mesh;
use lateen_testkit::isolate::isolated;
use lateen_testkit::mesh::Mesh;
use lateen_testkit::tools;

const POD: &str =
    "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: a}]}\n";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Of a mesh, by the kubeconfig that the environment names.
fn inject(mesh: &Mesh, kubeconfig: &Path, args: &[&str]) -> Result<Output> {
    let file = mesh.home().join("pod.yaml");
    fs::write(&file, POD)?;
    let mut command = mesh.lateen(&["inject", "-f"])?;
    command.arg(file).args(args).env("KUBECONFIG", kubeconfig);
    command.output().context("starting lateen")
}

#[test]
fn the_cluster_that_kubectl_would_use_has_the_settings() {
    isolated(|| {
        let mesh = mesh()?;
        let kubeconfig = mesh.home().join("kubeconfig");
        let mut install = mesh.lateen(&["install", "-y", "--wait=false", "--revision", "1-2"])?;
        install.args(["--set", "hub=registry.example"]).env("KUBECONFIG", &kubeconfig);
        let installed = install.output()?;
        ensure!(installed.status.success(), "{}", text(&installed.stderr));

        let found = inject(&mesh, &kubeconfig, &["-r", "1-2"])?;
        let (out, error) = (text(&found.stdout), text(&found.stderr));
        ensure!(found.status.success() && out.contains("registry.example/lateen:"), "{out}{error}");
        let which = "lateen: asking context lateen of kubectl's configuration for the mesh's settings, at https://";
        let lines = error.lines().filter(|line| line.starts_with(which));
        ensure!(lines.count() == 1 && error.contains("both --values and --mesh-config"), "{error}");
        let named = kubeconfig.display().to_string();
        let named = inject(&mesh, &kubeconfig, &["-r", "1-2", "--kubeconfig", &named])?;
        ensure!(named.status.success() && !text(&named.stderr).contains("asking"), "it was named");
        let nowhere = inject(&mesh, Path::new("/dev/null"), &[])?;
        let (out, error) = (text(&nowhere.stdout), text(&nowhere.stderr));
        ensure!(!error.contains("asking"), "{error}");
        ensure!(nowhere.status.success() && out.contains("lateen-mesh/lateen:"), "{out}{error}");
        ensure!(error.contains("the built-in settings are used"), "{error}");

        let home = mesh.home().display().to_string();
        let missing = "there is no ConfigMap istio-system/istio-sidecar-injector-nosuch: check --istio-namespace and \
                       --revision (the revisions there: 1-2)";
        for more in [&["-r", "nosuch"][..], &["-r", "nosuch", "--home", &home]] {
            let unknown = inject(&mesh, &kubeconfig, more)?;
            let error = text(&unknown.stderr);
            ensure!(
                unknown.status.code() == Some(1) && error.contains(missing),
                "{more:?}: {error}"
            );
            ensure!(unknown.stdout.is_empty(), "{}", text(&unknown.stdout));
        }
        let default = inject(&mesh, Path::new("/dev/null"), &["-r", "default", "--home", &home])?;
        ensure!(default.status.success(), "{}", text(&default.stderr));
        Ok(())
    });
}

/// In a folder with these files, without a cluster.
fn offline(files: &[(&str, &str)], args: &[&str]) -> Result<Output> {
    let folder = tempfile::tempdir()?;
    for (name, text) in files {
        fs::write(folder.path().join(name), text)?;
    }
    let mut command = Command::new(tools::lateen()?);
    command.arg("inject").args(args).current_dir(folder.path()).stdin(Stdio::null());
    command.env("KUBECONFIG", "/dev/null").output().context("starting lateen")
}

#[test]
fn wrong_files_are_refused_by_name_and_nothing_is_written() -> Result<()> {
    let operator = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec: {}\n";
    let files = [
        ("pod.yaml", POD),
        ("operator.yaml", operator),
        ("empty.yaml", ""),
        ("typo.yaml", "global: {proxy: {logLevl: debug}}\n"),
        ("mesh.yaml", "defaultConfig: {concurrency: many}\n"),
    ];
    for (args, told) in [
        (
            &["-f", "pod.yaml", "--values", "operator.yaml"][..],
            vec!["operator.yaml cannot be used: it is an IstioOperator"],
        ),
        (
            &["-f", "pod.yaml", "--mesh-config", "pod.yaml"],
            vec!["pod.yaml cannot be used: it is a Pod"],
        ),
        (
            &["-f", "pod.yaml", "--values", "typo.yaml", "--mesh-config", "mesh.yaml"],
            vec![
                "error: typo.yaml: global.proxy.logLevl: ",
                "error: mesh.yaml: defaultConfig.concurrency: ",
            ],
        ),
        (&["-f", "empty.yaml"], vec!["empty.yaml is empty: it must have Kubernetes objects"]),
        (&["-f", "/dev/zero"], vec!["cannot read /dev/zero: it has more than 32 MiB"]),
        (
            &["-f", "pod.yaml", "--values", "/dev/zero"],
            vec!["cannot read /dev/zero: it has more than 32 MiB"],
        ),
        (&["-f", "-"], vec!["standard input is empty"]),
    ] {
        let run = offline(&files, args)?;
        let error = text(&run.stderr);
        ensure!(run.status.code() == Some(1) && run.stdout.is_empty(), "{args:?}: {error}");
        for told in told {
            ensure!(error.contains(told), "{args:?}: {told}: {error}");
        }
    }
    Ok(())
}

#[test]
fn the_command_and_its_files_have_istio_s_names_too() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let files =
        [("pod.yaml", POD), ("v.yaml", "global: {tag: t1}\n"), ("m.yaml", "trustDomain: td\n")];
    for (name, text) in files {
        fs::write(folder.path().join(name), text)?;
    }
    let mut command = Command::new(tools::lateen()?);
    command.args([
        "kube-inject",
        "-f",
        "pod.yaml",
        "--valuesFile",
        "v.yaml",
        "--meshConfigFile",
        "m.yaml",
    ]);
    let run = command.current_dir(folder.path()).env("KUBECONFIG", "/dev/null").output()?;
    let out = text(&run.stdout);
    ensure!(
        run.status.success() && out.contains(":t1") && out.contains("td"),
        "{out}{}",
        text(&run.stderr)
    );
    Ok(())
}

#[test]
fn a_key_that_is_there_twice_and_a_pod_template_are_told_of() -> Result<()> {
    let twice = format!("{POD}kind: Pod\n");
    let template = "apiVersion: v1\nkind: PodTemplate\nmetadata: {name: t}\ntemplate: {spec: {containers: [{name: a}]}}\n";
    let files = [("twice.yaml", twice.as_str()), ("template.yaml", template)];
    let run = offline(&files, &["-f", "twice.yaml", "-f", "template.yaml"])?;
    let error = text(&run.stderr);
    ensure!(run.status.success() && text(&run.stdout).contains("istio-proxy"), "{error}");
    let told = "warning: twice.yaml: line 5, column 1: the key kind is there twice";
    ensure!(error.contains(told), "{error}");
    ensure!(error.contains("PodTemplate t (v1) is not injected"), "{error}");
    Ok(())
}
