//! The Ansible collection, by real ansible-core: private registries on the files of two nodes, and the mesh
//! installed from the IstioOperator file of Istio 1.6 through an API.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lateen_e2e::ansible::{Controller, changed};
use lateen_e2e::mesh;
use lateen_testkit::isolate::isolated;
use lateen_testkit::mesh::Mesh;
use lateen_testkit::process::Process;
use lateen_testkit::tools;
use serde_json::{Value, json};

const DAEMON_JSON: &str = "{\n    \"insecure-registries\": [],\n    \"debug\": false\n}\n";

/// Two nodes' files: one of Docker, one of containerd.
fn nodes(folder: &Path) -> Result<()> {
    for (path, text) in [
        ("a/etc/docker/daemon.json", DAEMON_JSON),
        ("b/etc/containerd/config.toml", "version = 2\n"),
    ] {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().context("a file is in a folder")?)?;
        fs::write(path, text)?;
    }
    Ok(())
}

fn inventory(folder: &Path) -> Result<String> {
    let lateen = tools::lateen()?;
    let host = |name: &str| {
        format!(
            "{name} ansible_connection=local ansible_python_interpreter=python3 private_registry_root={}/{name} \
             private_registry_command={}\n",
            folder.display(),
            lateen.display()
        )
    };
    Ok(host("a") + &host("b"))
}

#[test]
fn every_node_is_told_of_the_registries_once() -> Result<()> {
    let folder = tempfile::tempdir()?;
    nodes(folder.path())?;
    let controller = Controller::new(&inventory(folder.path())?)?;
    let variables =
        json!({ "insecure_registries": ["r.example:5000"], "private_registry_check": false });
    let play =
        |further: &[&str]| controller.play("lateen.mesh.private_registry", &variables, further);
    let read = |path: &str| fs::read_to_string(folder.path().join(path)).context(path.to_owned());

    let dry = play(&["--check", "--diff"])?;
    ensure!(dry.ok, "{}", dry.output);
    assert_eq!(changed(&dry), [("a", 1), ("b", 1)]);
    assert!(
        dry.output.contains("+    \\\"insecure-registries\\\": [\\\"r.example:5000\\\"]"),
        "{}",
        dry.output
    );
    assert_eq!(read("a/etc/docker/daemon.json")?, DAEMON_JSON);

    let first = play(&[])?;
    ensure!(first.ok, "{}", first.output);
    assert_eq!(changed(&first), [("a", 1), ("b", 1)]);
    assert_eq!(
        read("a/etc/docker/daemon.json")?,
        DAEMON_JSON.replace("[]", "[\"r.example:5000\"]")
    );
    assert!(read("b/etc/containerd/config.toml")?.contains("config_path"));
    assert!(read("b/etc/containerd/certs.d/r.example:5000/hosts.toml")?.contains("skip_verify"));

    let second = play(&[])?;
    ensure!(second.ok, "{}", second.output);
    assert_eq!(changed(&second), [("a", 0), ("b", 0)]);

    let absent =
        json!({ "absent_registries": ["r.example:5000"], "private_registry_check": false });
    let removed = controller.play("lateen.mesh.private_registry", &absent, &[])?;
    ensure!(removed.ok, "{}", removed.output);
    assert_eq!(read("a/etc/docker/daemon.json")?, DAEMON_JSON);
    Ok(())
}

#[test]
fn a_no_that_is_a_text_is_a_no() -> Result<()> {
    let folder = tempfile::tempdir()?;
    nodes(folder.path())?;
    // The values of an INI inventory and of `-e key=value` are texts.
    let texts = "b private_registry_check=no private_registry_restart=off ";
    let inventory = inventory(folder.path())?.replacen("b ", texts, 1);
    let controller = Controller::new(&inventory)?;
    let variables = json!({ "insecure_registries": ["r.example:5000"] });
    let further =
        ["-v", "--limit=a,b", "-e", "private_registry_check=false private_registry_restart=no"];
    let given = controller.play("lateen.mesh.private_registry", &variables, &further)?;
    ensure!(given.ok && changed(&given) == [("a", 1), ("b", 1)], "{}", given.output);
    ensure!(!given.output.contains("--restart"), "{}", given.output);
    let further = ["-v", "--limit=b"];
    let own = controller.play("lateen.mesh.private_registry", &variables, &further)?;
    ensure!(own.ok && changed(&own) == [("b", 0)], "{}", own.output);
    ensure!(!own.output.contains("--restart"), "{}", own.output);
    Ok(())
}

#[test]
fn a_node_that_fails_is_named_and_leaves_the_following_ones_alone() -> Result<()> {
    let folder = tempfile::tempdir()?;
    nodes(folder.path())?;
    fs::write(folder.path().join("a/etc/docker/daemon.json"), "{\"debug\": false,}")?;
    let controller = Controller::new(&inventory(folder.path())?)?;
    let variables =
        json!({ "insecure_registries": ["r.example:5000"], "private_registry_check": false });
    let run = controller.play("lateen.mesh.private_registry", &variables, &[])?;
    assert!(!run.ok);
    assert!(run.output.contains("not valid JSON"), "{}", run.output);
    assert_eq!(changed(&run), [("a", 0)]);
    assert_eq!(
        fs::read_to_string(folder.path().join("b/etc/containerd/config.toml"))?,
        "version = 2\n"
    );
    Ok(())
}

#[test]
fn a_node_that_cannot_be_reached_leaves_the_following_ones_alone() -> Result<()> {
    let folder = tempfile::tempdir()?;
    nodes(folder.path())?;
    // Nothing listens on the discard port.
    let inventory = inventory(folder.path())?.replacen(
        "a ansible_connection=local",
        "a ansible_host=127.0.0.1 ansible_port=9",
        1,
    );
    let controller = Controller::new(&inventory)?;
    let variables =
        json!({ "insecure_registries": ["r.example:5000"], "private_registry_check": false });
    let run = controller.play("lateen.mesh.private_registry", &variables, &[])?;
    assert!(!run.ok && run.output.contains("unreachable=1"), "{}", run.output);
    assert_eq!(changed(&run), [("a", 0)]);
    Ok(())
}

#[test]
fn lists_may_be_empty_and_nothing_but_lists() -> Result<()> {
    let folder = tempfile::tempdir()?;
    nodes(folder.path())?;
    let controller = Controller::new(&inventory(folder.path())?)?;
    let play = |variables: Value| controller.play("lateen.mesh.private_registry", &variables, &[]);
    let none = play(
        json!({ "insecure_registries": null, "absent_registries": null, "private_registries": null }),
    )?;
    ensure!(none.ok && changed(&none) == [("a", 0), ("b", 0)], "{}", none.output);
    let wrong = play(json!({ "private_registries": [{ "ca": "x" }] }))?;
    assert!(
        !wrong.ok && wrong.output.contains("missing required arguments: host"),
        "{}",
        wrong.output
    );
    Ok(())
}

#[test]
fn variables_that_do_not_go_together_are_told_before_anything_is_done() -> Result<()> {
    let folder = tempfile::tempdir()?;
    nodes(folder.path())?;
    let controller = Controller::new(&inventory(folder.path())?)?;
    let with_ca = json!({ "host": "r.example", "ca": "ca.pem" });
    let secret = json!({ "host": "r.example", "password": "secret" });
    let whole = json!({ "host": "r.example", "username": "me", "password": "secret" });
    for (variables, told) in [
        (
            json!({ "insecure_registries": "r.example,s.example" }),
            "insecure_registries: a text where a list is wanted, write it as [registry.example.com]",
        ),
        (json!({ "absent_registries": "r.example" }), "absent_registries: a text where a list"),
        (json!({ "private_registry_runtimes": "docker" }), "private_registry_runtimes: a text"),
        (
            json!({ "insecure_registries": ["r.example"], "private_registries": [with_ca] }),
            "leave the host in one of insecure_registries, private_registries",
        ),
        (
            json!({ "insecure_registries": ["r.example"], "absent_registries": ["r.example"] }),
            "r.example: an authority is checked or the registry is insecure, and absent",
        ),
        (
            json!({ "private_registries": [with_ca, with_ca] }),
            "private_registries has a host twice",
        ),
        (
            json!({ "private_registries": [secret] }),
            "r.example: in private_registries a username comes with a password",
        ),
        (
            json!({ "private_registries": [{ "host": "r.example", "username": "me" }] }),
            "r.example: in private_registries a username comes with a password",
        ),
        (
            json!({ "private_registries": [{ "host": "r.example", "ca": null }] }),
            "r.example: in private_registries a host has a ca, or a username and a password",
        ),
    ] {
        let run = controller.play("lateen.mesh.private_registry", &variables, &[])?;
        let words = run.output.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(!run.ok && words.contains(told), "{variables}: {}", run.output);
        assert!(
            !run.output.contains("secret") && !run.output.contains("from_json"),
            "{}",
            run.output
        );
        assert_eq!(changed(&run), [("a", 0)], "{variables}");
    }
    // Credentials for a registry that is insecure are two lists' matter.
    let both = json!({
        "insecure_registries": ["r.example"], "private_registries": [whole],
        "private_registry_check": false,
    });
    let run = controller.play("lateen.mesh.private_registry", &both, &[])?;
    ensure!(run.ok && changed(&run) == [("a", 2), ("b", 2)], "{}", run.output);
    let run = controller.play("lateen.mesh.private_registry", &both, &[])?;
    ensure!(run.ok && changed(&run) == [("a", 0), ("b", 0)], "{}", run.output);
    Ok(())
}

#[test]
fn a_registry_that_is_refused_is_told_of_without_its_password() -> Result<()> {
    let folder = tempfile::tempdir()?;
    nodes(folder.path())?;
    let controller = Controller::new(&inventory(folder.path())?)?;
    let registry = json!({ "host": "http://r.example", "username": "me", "password": "secret" });
    let variables = json!({ "private_registries": [registry], "private_registry_check": false });
    let run = controller.play("lateen.mesh.private_registry", &variables, &["-vvv"])?;
    assert!(!run.ok && run.output.contains("is not a registry's host"), "{}", run.output);
    assert!(!run.output.contains("secret"), "{}", run.output);
    let variables = json!({ "insecure_registries": ["http://r.example"] });
    let run = controller.play("lateen.mesh.private_registry", &variables, &[])?;
    assert!(!run.ok && run.output.contains("is not a registry's host"), "{}", run.output);
    assert!(
        !run.output.contains("from_json") && !run.output.contains("Expecting value"),
        "{}",
        run.output
    );
    Ok(())
}

#[test]
fn an_authority_that_is_not_there_is_told_of_without_the_password() -> Result<()> {
    let folder = tempfile::tempdir()?;
    nodes(folder.path())?;
    let controller = Controller::new(&inventory(folder.path())?)?;
    let ca = controller.path("none.pem");
    let mut registry =
        json!({ "host": "r.example", "ca": ca, "username": "me", "password": "secret" });
    let play = |registry: &Value| {
        let variables =
            json!({ "private_registries": [registry], "private_registry_check": false });
        controller.play("lateen.mesh.private_registry", &variables, &["-v"])
    };
    let run = play(&registry)?;
    assert!(!run.ok && run.output.contains("none.pem"), "{}", run.output);
    assert!(!run.output.contains("secret"), "{}", run.output);
    registry["hosts"] = registry["host"].take();
    let run = play(&registry)?;
    assert!(!run.ok && !run.output.contains("secret"), "{}", run.output);
    Ok(())
}

#[test]
fn an_authority_is_brought_and_known_once() -> Result<()> {
    let folder = tempfile::tempdir()?;
    nodes(folder.path())?;
    let controller = Controller::new(&inventory(folder.path())?)?;
    let at = |name: &str| controller.path(name).display().to_string();
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ]);
    openssl.args(["-subj", "/CN=r", "-keyout", &at("key.pem"), "-out", &at("ca.pem")]);
    Process::spawn("openssl", &mut openssl)?.success(Duration::from_secs(30))?;
    let variables = json!({
        "private_registries": [{
            "host": "r.example:5000", "ca": at("ca.pem"), "username": "me", "password": "secret",
        }],
        "private_registry_check": false,
    });
    let play =
        |further: &[&str]| controller.play("lateen.mesh.private_registry", &variables, further);
    let file = folder.path().join("b/etc/containerd/certs.d/r.example:5000/lateen-ca.crt");
    let dry = play(&["--check"])?;
    ensure!(dry.ok && !file.exists(), "{}", dry.output);
    let first = play(&["-v"])?;
    ensure!(first.ok && !first.output.contains("secret"), "{}", first.output);
    assert_eq!(fs::read(&file)?, fs::read(controller.path("ca.pem"))?);
    for further in [&[][..], &["--check"]] {
        let again = play(further)?;
        ensure!(again.ok && changed(&again) == [("a", 0), ("b", 0)], "{}", again.output);
    }
    let brought = folder.path().join("b/etc/lateen/registries/r.example_5000.crt");
    ensure!(brought.exists());
    let absent =
        json!({ "absent_registries": ["r.example:5000"], "private_registry_check": false });
    let removed = controller.play("lateen.mesh.private_registry", &absent, &[])?;
    ensure!(removed.ok && !brought.exists() && !file.exists(), "{}", removed.output);
    Ok(())
}

#[test]
fn a_node_without_lateen_can_be_asked_what_would_change() -> Result<()> {
    let folder = tempfile::tempdir()?;
    nodes(folder.path())?;
    let controller = Controller::new(&inventory(folder.path())?)?;
    let command = folder.path().join("lateen");
    let variables = json!({
        "insecure_registries": ["r.example"],
        "private_registry_check": false,
        "private_registry_lateen": tools::lateen()?,
        "private_registry_command": command,
    });
    let dry = controller.play("lateen.mesh.private_registry", &variables, &["--check"])?;
    ensure!(dry.ok && changed(&dry) == [("a", 1), ("b", 1)], "{}", dry.output);
    ensure!(!command.exists(), "check mode brought lateen");
    Ok(())
}

#[test]
fn credentials_reach_the_node_and_no_log() -> Result<()> {
    let folder = tempfile::tempdir()?;
    nodes(folder.path())?;
    let controller = Controller::new(&inventory(folder.path())?)?;
    let registry = json!({ "host": "r.example", "username": "me", "password": "secret" });
    let variables = json!({ "private_registries": [registry], "private_registry_check": false });
    let run = controller.play("lateen.mesh.private_registry", &variables, &["-v", "--diff"])?;
    ensure!(run.ok, "{}", run.output);
    assert!(
        !run.output.contains("secret") && !run.output.contains("bWU6c2VjcmV0"),
        "{}",
        run.output
    );
    let credentials = fs::read_to_string(folder.path().join("a/var/lib/kubelet/config.json"))?;
    assert!(credentials.contains("bWU6c2VjcmV0"));
    Ok(())
}

/// A mesh's API, its controller, and variables that lead to it.
fn cluster() -> Result<(Mesh, Controller, Value)> {
    let mesh = mesh()?;
    let host = "master ansible_connection=local ansible_python_interpreter=python3\n";
    let controller = Controller::new(host)?;
    let variables = json!({
        "enable_istio": true,
        "istio_command": tools::lateen()?,
        "istio_kubectl": tools::cached("kubectl")?.canonicalize()?,
        "istio_kubeconfig": mesh.home().join("kubeconfig"),
        "istio_folder": controller.path("lateen"),
        "istio_wait": false,
    });
    Ok((mesh, controller, variables))
}

const EXTERNAL_IPS: [&str; 6] =
    ["get", "svc", "-n=istio-system", "istio-ingressgateway", "-o", "jsonpath={.spec.externalIPs}"];

#[test]
fn the_mesh_is_installed_from_the_notes_file_once() {
    isolated(|| {
        let (mesh, controller, mut variables) = cluster()?;
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../install/testdata/notes.yaml");
        variables["istio_operator_template"] = json!(template.canonicalize()?);
        variables["istio_injected_namespaces"] = json!(["default"]);
        variables["istio_external_ips"] = json!("10.0.1.179");
        let text = controller.play("lateen.mesh.istio", &variables, &[])?;
        assert!(!text.ok && text.output.contains("are lists, write them as"), "{}", text.output);
        variables["istio_external_ips"] = json!([]);
        // The notes' file names a hub of its own.
        variables["istio_hub"] = json!("registry.example/lateen-mesh");
        variables["istio_tag"] = json!("1.2.3");
        variables["istio_set"] = json!(["values.global.logging.level=debug"]);
        let off = controller.play("lateen.mesh.istio", &json!({}), &[])?;
        ensure!(off.ok && changed(&off) == [("master", 0)], "{}", off.output);

        let first = controller.play("lateen.mesh.istio", &variables, &[])?;
        ensure!(first.ok, "{}", first.output);
        assert_eq!(mesh.kubectl(&EXTERNAL_IPS)?, "[\"10.0.1.179\"]");
        let pilot = mesh.kubectl(&["get", "deployment", "-n=istio-system", "istiod", "-o=json"])?;
        ensure!(pilot.contains("\"registry.example/lateen-mesh/lateen:1.2.3\""), "{pilot}");
        ensure!(pilot.contains("debug"), "{pilot}");
        assert!(
            mesh.kubectl(&["get", "ns", "-L", "istio-injection", "default"])?.contains("enabled")
        );

        for further in [&[][..], &["--check"]] {
            let again = controller.play("lateen.mesh.istio", &variables, further)?;
            ensure!(again.ok && changed(&again) == [("master", 0)], "{}", again.output);
        }
        // What would change is told from the template, not from the file that was rendered before.
        variables["istio_operator_template"] = json!("istio-iop.yml.j2");
        variables["istio_external_ips"] = json!(["10.0.1.181"]);
        let dry = controller.play("lateen.mesh.istio", &variables, &["--check"])?;
        ensure!(dry.ok && changed(&dry) != [("master", 0)], "{}", dry.output);
        assert_eq!(mesh.kubectl(&EXTERNAL_IPS)?, "[\"10.0.1.179\"]");
        Ok(())
    });
}

#[test]
fn the_roles_own_template_opens_the_gateway_on_an_external_ip() {
    isolated(|| {
        let (mesh, controller, mut variables) = cluster()?;
        variables["istio_external_ips"] = json!(["10.0.1.180"]);
        let run = controller.play("lateen.mesh.istio", &variables, &[])?;
        ensure!(run.ok, "{}", run.output);
        assert_eq!(mesh.kubectl(&EXTERNAL_IPS)?, "[\"10.0.1.180\"]");
        Ok(())
    });
}

#[test]
fn an_existing_meshs_objects_are_taken_over_where_the_role_is_told_to() {
    isolated(|| {
        let (mesh, controller, mut variables) = cluster()?;
        let first = controller.play("lateen.mesh.istio", &variables, &[])?;
        ensure!(first.ok, "{}", first.output);
        let template = controller.path("other.yml");
        fs::write(
            &template,
            "{apiVersion: install.istio.io/v1alpha1, kind: IstioOperator, metadata: {name: other}, \
             spec: {profile: default}}",
        )?;
        variables["istio_operator_template"] = json!(template);
        for no in [json!(null), json!(false), json!("no")] {
            variables["istio_take_over"] = no.clone();
            if no.is_null() {
                variables.as_object_mut().context("variables")?.remove("istio_take_over");
            }
            let refused = controller.play("lateen.mesh.istio", &variables, &[])?;
            ensure!(!refused.ok && refused.output.contains("--take-over"), "{}", refused.output);
        }
        let owner = || {
            let label = "{.metadata.labels.install\\.operator\\.istio\\.io/owning-resource}";
            let path = format!("jsonpath={label}");
            mesh.kubectl(&["get", "deployment", "istiod", "-n=istio-system", "-o", &path])
        };
        ensure!(owner()? != "other", "it was changed all the same");
        variables["istio_take_over"] = json!("yes");
        let taken = controller.play("lateen.mesh.istio", &variables, &[])?;
        ensure!(taken.ok && changed(&taken) != [("master", 0)], "{}", taken.output);
        ensure!(owner()? == "other");
        Ok(())
    });
}
