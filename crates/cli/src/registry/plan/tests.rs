//! What additions have changed is as it was when the registry is removed again, byte for byte: for every text that
//! fragments make together, and every order of additions.

use std::fs;
use std::path::PathBuf;

use lateen_registry::{Host, Trust};

use super::super::files::Root;
use super::super::runtime::{CONTAINERD_SETTINGS, CRIO_DROP_INS, DOCKER_SETTINGS, Runtime};
use super::{Wish, edits, leftovers};

const HOSTS: &str = "/etc/containerd/certs.d/r:5000/hosts.toml";

struct Node(PathBuf);

impl Drop for Node {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Node {
    fn new(name: &str) -> Node {
        let path = std::env::temp_dir().join(format!("lateen-plan-{name}-{}", std::process::id()));
        fs::create_dir_all(path.join("etc")).unwrap();
        Node(path)
    }

    fn write(&self, path: &str, text: &str) {
        let place = self.0.join(path.trim_start_matches('/'));
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, text).unwrap();
    }

    fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.0.join(path.trim_start_matches('/'))).ok()
    }

    fn change(&self, runtime: Runtime, wish: &Wish, at: usize) {
        let (root, host) = (Root::open(&self.0).unwrap(), host());
        for edit in edits(&root, &host, wish, &[runtime]).unwrap() {
            root.write(&edit, &format!("{at}a")).unwrap();
        }
        if matches!(wish, Wish::Remove) {
            for edit in leftovers(&root, &host, &[runtime]).unwrap() {
                root.write(&edit, &format!("{at}b")).unwrap();
            }
        }
    }
}

fn host() -> Host {
    "r:5000".parse().unwrap()
}

fn add(trust: Trust) -> Wish {
    let authority = (trust == Trust::Authority).then(|| "certificate".to_owned());
    Wish::Add { trust: Some(trust), authority, credentials: None }
}

/// Every choice of the fragments, in their order.
fn texts(fragments: &[&str]) -> Vec<String> {
    let chosen = |choice: usize| {
        let is_in = |at: &usize| choice & (1 << at) != 0;
        (0..fragments.len()).filter(is_in).map(|at| fragments[at]).collect()
    };
    (0..1 << fragments.len()).map(chosen).collect()
}

/// Adds in every way and removes; all of the files are then what they were.
fn check(name: &str, runtime: Runtime, files: &[(&str, Option<&str>)]) {
    use Trust::{Authority, Insecure};
    let orders =
        [&[Insecure][..], &[Authority], &[Insecure, Authority], &[Authority, Insecure, Insecure]];
    for order in orders {
        let node = Node::new(name);
        for (path, text) in files {
            text.iter().for_each(|text| node.write(path, text));
        }
        // A registry that comes and goes twice leaves backups of the first time.
        for round in 0..2 {
            for (at, trust) in order.iter().enumerate() {
                node.change(runtime, &add(*trust), 10 * round + at + 100);
            }
            node.change(runtime, &Wish::Remove, 10 * round + 109);
            for (path, text) in files {
                let now = node.read(path);
                assert_eq!(now.as_deref(), *text, "{runtime} {path} {order:?} round {round}");
            }
            node.change(runtime, &Wish::Remove, 10 * round + 109);
            for (path, text) in files {
                assert_eq!(node.read(path).as_deref(), *text, "{runtime} {path} removed twice");
            }
        }
    }
}

#[test]
fn containerds_files_come_back() {
    let hosts = texts(&[
        "# ours\n",
        "server = \"https://r:5000\" # last\n",
        "\n[host.\"https://mirror\"]\n  capabilities = [\"pull\"]\n",
        "\n[host.'https://r:5000']\n  dial_timeout = \"1s\"\n",
        "\n",
    ]);
    for text in &hosts {
        let both = [(HOSTS, Some(text.as_str())), (CONTAINERD_SETTINGS, Some("version = 2\n"))];
        check("hosts", Runtime::Containerd, &both);
    }
    check("none", Runtime::Containerd, &[(HOSTS, None), (CONTAINERD_SETTINGS, None)]);
    for server in ["https://r:5000/", "http://r:5000/v2", "https://proxy"] {
        let text = format!("server = '{server}'\n\n[host.\"http://r:5000\"]\n");
        for text in [text.as_str(), text.split_once("\n\n").unwrap().0] {
            check("server", Runtime::Containerd, &[(HOSTS, Some(text))]);
        }
    }
    let config = texts(&[
        "# ours\n",
        "version = 2\n",
        "root = '/x'\n",
        "[plugins]\n  [plugins.\"io.containerd.grpc.v1.cri\"]\n    sandbox_image = \"p\"\n",
        "    [plugins.\"io.containerd.grpc.v1.cri\".registry]\n      config_path = ''\n",
    ]);
    for text in
        config.iter().filter(|text| text.contains("[plugins]") || !text.contains("registry"))
    {
        check("config", Runtime::Containerd, &[(CONTAINERD_SETTINGS, Some(text)), (HOSTS, None)]);
        let own = "server = \"https://r:5000\"\n";
        let both = [(CONTAINERD_SETTINGS, Some(text.as_str())), (HOSTS, Some(own))];
        check("both", Runtime::Containerd, &both);
    }
}

/// In the older form.
#[test]
fn containerds_own_settings_of_the_registry_come_back() {
    let registry = "[plugins.\"io.containerd.grpc.v1.cri\".registry";
    let fragments = [
        "# by hand\n".to_owned(),
        format!("{registry}.mirrors.\"r:5000\"]\nendpoint = [\"https://mirror\"] # first\n"),
        format!("\n# of r\n{registry}.configs.\"r:5000\".tls]\n"),
        "ca_file = \"/etc/my-ca.pem\" # mine\n".to_owned(),
        "insecure_skip_verify = true\n".to_owned(),
    ];
    for text in texts(&fragments.each_ref().map(String::as_str)) {
        let text = format!("version = 2\n{text}");
        if text.contains(".tls]") || !text.contains(" = \"/etc") && !text.contains("skip_verify") {
            check("inline", Runtime::Containerd, &[(CONTAINERD_SETTINGS, Some(&text))]);
        }
    }
}

#[test]
fn another_registry_that_came_meanwhile_stays_and_an_authority_by_hand_with_it() {
    let node = Node::new("inline-two");
    let configs = "[plugins.\"io.containerd.grpc.v1.cri\".registry.configs";
    let text = format!("version = 2\n\n{configs}.\"r:5000\".tls]\nca_file = \"/my-ca.pem\"\n");
    node.write(CONTAINERD_SETTINGS, &text);
    node.change(Runtime::Containerd, &add(Trust::Insecure), 1);
    let both = node.read(CONTAINERD_SETTINGS).unwrap();
    let both = format!("{both}\n{configs}.\"s\".tls]\ninsecure_skip_verify = true\n");
    // As where a third one has come and gone.
    node.write(&format!("{CONTAINERD_SETTINGS}.lateen-2a.bak"), &both);
    node.write(CONTAINERD_SETTINGS, &both);
    node.change(Runtime::Containerd, &Wish::Remove, 3);
    let other = format!("\n{configs}.\"s\".tls]\ninsecure_skip_verify = true\n");
    assert_eq!(node.read(CONTAINERD_SETTINGS), Some(text + &other));
}

#[test]
fn dockers_file_comes_back() {
    let lists = [
        "",
        "\"insecure-registries\": []",
        "\"insecure-registries\": [ ]",
        "\"insecure-registries\" : [\n    \"other\"\n  ]",
        "\"insecure-registries\": [\"a\", \"b\"]",
    ];
    for list in lists {
        for rest in ["", "\"debug\": false", "\"log-opts\": {\n\t\"max\": \"1\" }"] {
            let comma = if list.is_empty() || rest.is_empty() { "" } else { ",\n  " };
            for text in
                [format!("{{{list}{comma}{rest}}}"), format!("{{\n  {rest}{comma}{list}\n}}\n")]
            {
                check("docker", Runtime::Docker, &[(DOCKER_SETTINGS, Some(&text))]);
            }
        }
    }
    check("docker", Runtime::Docker, &[(DOCKER_SETTINGS, Some(""))]);
    check("docker", Runtime::Docker, &[(DOCKER_SETTINGS, None)]);
}

#[test]
fn crios_files_come_back() {
    let path = format!("{CRIO_DROP_INS}/10-own.conf");
    let own = format!("{CRIO_DROP_INS}/50-lateen-r_5000.conf");
    for text in texts(&[
        "# ours\n",
        "unqualified-search-registries = [\"x\"]\n",
        "[[registry]]\nlocation = \"r:5000\" # bare\n",
        "[[registry]]\nlocation = \"other\"\ninsecure = true\n",
    ]) {
        check("crio", Runtime::Crio, &[(&path, Some(&text)), (&own, None)]);
    }
    let entry = "[[registry]]\nprefix = \"r:5000\"\nlocation = \"m\"\ninsecure = false\n";
    check("crio", Runtime::Crio, &[(&path, Some(entry)), (&own, None)]);
}

#[test]
fn what_others_changed_meanwhile_stays() {
    let node = Node::new("meanwhile");
    node.write(HOSTS, "server = \"https://r:5000\"\n");
    node.change(Runtime::Containerd, &add(Trust::Insecure), 1);
    let mut text = node.read(HOSTS).unwrap();
    text.push_str("\n[host.\"https://mirror\"]\n");
    node.write(HOSTS, &text);
    node.change(Runtime::Containerd, &Wish::Remove, 2);
    let now = node.read(HOSTS).unwrap();
    assert_eq!(now, "server = \"https://r:5000\"\n\n[host.\"https://mirror\"]\n");
    assert!(node.read(CONTAINERD_SETTINGS).unwrap().contains("config_path"), "it is needed now");
}

#[test]
fn what_no_addition_made_is_removed_with_a_backup() {
    let table = "[host.\"https://r:5000\"]\n  skip_verify = true\n";
    let server = "server = \"http://r:5000\"\n\n";
    for text in [format!("# mine\n{table}"), format!("# mine\n{server}{table}")] {
        let node = Node::new("own");
        node.write(HOSTS, &text);
        node.write(CONTAINERD_SETTINGS, "version = 2\n");
        node.change(Runtime::Containerd, &Wish::Remove, 1);
        assert_eq!(node.read(HOSTS), None);
        let backup = format!("{HOSTS}.lateen-1a.bak");
        assert_eq!(node.read(&backup).as_deref(), Some(&*text));
    }
    let node = Node::new("own");
    let (path, entry) = (
        format!("{CRIO_DROP_INS}/99-own.conf"),
        "# mine\n[[registry]]\nlocation = \"r:5000\"\ninsecure = true\n",
    );
    node.write(&path, entry);
    node.change(Runtime::Crio, &Wish::Remove, 1);
    let kept = node.read(&path).or_else(|| node.read(&format!("{path}.lateen-1a.bak")));
    assert!(kept.is_some_and(|text| text.contains("# mine")));
}

#[test]
fn what_an_addition_made_alone_is_removed_without_a_backup() {
    let node = Node::new("made");
    for trust in [Trust::Insecure, Trust::Authority] {
        node.change(Runtime::Containerd, &add(trust), 1);
        assert!(node.read(HOSTS).is_some());
        node.change(Runtime::Containerd, &Wish::Remove, 2);
        assert!(!node.0.join(HOSTS.trim_start_matches('/')).parent().unwrap().exists());
    }
}
