//! Edits of containerd configurations of every version.

use lateen_testkit::fuzz::{bytes, fuzz};

use super::{Config, FOLDER, Registries};
use crate::{Host, Trust};

fn read(text: &str) -> Config {
    Config::parse(text).unwrap()
}

fn host() -> Host {
    "r:5000".parse().unwrap()
}

#[track_caller]
fn check_folder(before: &str, after: &str) {
    assert_eq!(read(before).registries(), Registries::Unset);
    assert_eq!(read(before).with_folder(FOLDER).unwrap(), after);
    assert_eq!(read(after).registries(), Registries::Folders(vec![FOLDER.to_owned()]));
}

#[test]
fn the_folder_goes_into_the_section_of_the_files_version() {
    check_folder(
        "",
        "version = 2\n\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\nconfig_path = \"/etc/containerd/certs.d\"\n",
    );
    check_folder(
        "# three\nversion = 3\nroot = '/data'\n",
        "# three\nversion = 3\nroot = '/data'\n\n[plugins.\"io.containerd.cri.v1.images\".registry]\nconfig_path = \"/etc/containerd/certs.d\"\n",
    );
    check_folder(
        "[plugins.cri]\nsandbox_image = 'x' # kept\n",
        "[plugins.cri]\nsandbox_image = 'x' # kept\n\n[plugins.cri.registry]\nconfig_path = \"/etc/containerd/certs.d\"\n",
    );
}

#[test]
fn the_default_file_keeps_its_layout() {
    let before = "version = 2\n\n[plugins]\n\n  [plugins.\"io.containerd.grpc.v1.cri\"]\n    sandbox_image = \"p\"\n\n    [plugins.\"io.containerd.grpc.v1.cri\".registry]\n      config_path = \"\" # none\n\n      [plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors]\n\n  [plugins.\"io.containerd.gc.v1.scheduler\"]\n    startup_delay = \"100ms\"\n";
    check_folder(before, &before.replace("\"\" # none", "\"/etc/containerd/certs.d\" # none"));
}

#[test]
fn a_version_that_nobody_here_knows_is_refused() {
    for version in [5, 99] {
        let error = Config::parse(&format!("version = {version}\n")).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("version = {version}: ")) && error.contains("newer lateen"),
            "{error}"
        );
    }
    assert!(Config::parse("version = 0\n").is_ok(), "containerd's own word for the first one");
}

#[test]
fn the_socket_is_where_the_files_version_has_it() {
    let both =
        "[grpc]\naddress = '/old'\n[plugins.'io.containerd.server.v1.grpc']\naddress = '/new'\n";
    for (version, socket) in [("", "/old"), ("version = 3\n", "/old"), ("version = 4\n", "/new")] {
        assert_eq!(read(&format!("{version}{both}")).address().as_deref(), Some(socket));
    }
    let error =
        Config::parse("version = 4\n[plugins.'io.containerd.server.v1.grpc']\naddress = 1\n");
    assert!(error.unwrap_err().to_string().contains("address is not a text"));
}

#[test]
fn headers_keep_their_quotes_and_a_first_line_is_indented() {
    let before = "version = 2\n\n[plugins]\n\n  [plugins.\"io.containerd.grpc.v1.cri\".registry] # ours\n\n  [plugins.'io.containerd.grpc.v1.cri'.containerd]\n    snapshotter = 'x'\n    args = [\n['a', \"b\"],\n    ]\n";
    let line = "ours\n    config_path = \"/etc/containerd/certs.d\"\n";
    check_folder(before, &before.replacen("ours\n", line, 1));
    let crlf = before.replace('\n', "\r\n");
    let after = read(&crlf).with_folder(FOLDER).unwrap();
    assert_eq!(after, before.replacen("ours\n", line, 1).replace('\n', "\r\n"));
}

#[test]
fn line_ends_stay() {
    check_folder(
        "version = 2\r\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\r\nconfig_path = ''\r\n",
        "version = 2\r\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\r\nconfig_path = \"/etc/containerd/certs.d\"\r\n",
    );
}

#[test]
fn several_folders_are_told_apart() {
    let text =
        "version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '/a:/b'\n";
    assert_eq!(read(text).registries(), Registries::Folders(vec!["/a".into(), "/b".into()]));
}

const INLINE: &str = "version = 2

[plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors.\"docker.io\"]
  endpoint = [\"https://mirror\"] # ours
";

#[test]
fn where_the_older_form_is_used_it_is_used_on() {
    assert_eq!(read(INLINE).registries(), Registries::Inline);
    let insecure = read(INLINE).with_inline(&host(), Trust::Insecure, "/ca").unwrap();
    assert_eq!(
        insecure,
        format!(
            "{INLINE}\n[plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors.\"r:5000\"]\nendpoint = [\"https://r:5000\", \"http://r:5000\"]\n\n[plugins.\"io.containerd.grpc.v1.cri\".registry.configs.\"r:5000\".tls]\ninsecure_skip_verify = true\n"
        )
    );
    assert_eq!(read(&insecure).inline_trust(&host()), Trust::Insecure);
    assert_eq!(read(&insecure).inline_hosts(), ["docker.io", "r:5000"]);
    assert_eq!(read(&insecure).with_inline(&host(), Trust::Insecure, "/ca").unwrap(), insecure);
    let authority = read(&insecure).with_inline(&host(), Trust::Authority, "/ca").unwrap();
    assert!(
        authority.contains("ca_file = \"/ca\"") && !authority.contains("http://"),
        "{authority}"
    );
    for text in [insecure, authority] {
        assert_eq!(read(&text).with_inline(&host(), Trust::System, "/ca").unwrap(), INLINE);
    }
}

#[test]
fn other_endpoints_of_the_registry_stay_and_are_asked_first() {
    let cache = "version = 2

[plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors.\"r:5000\"]
  endpoint = [\"https://cache\"] # ours
";
    let insecure = read(cache).with_inline(&host(), Trust::Insecure, "/ca").unwrap();
    let all = "[\"https://cache\", \"https://r:5000\", \"http://r:5000\"] # ours\n";
    assert!(insecure.contains(all), "{insecure}");
    assert_eq!(read(&insecure).with_inline(&host(), Trust::System, "/ca").unwrap(), cache);
}

#[test]
fn another_authority_of_the_registry_stays_unless_it_is_replaced() {
    let own = "version = 2

# by hand
[plugins.\"io.containerd.grpc.v1.cri\".registry.configs.\"r:5000\".tls]
ca_file = \"/own\" # ours
";
    let insecure = read(own).with_inline(&host(), Trust::Insecure, "/ca").unwrap();
    assert_eq!(read(&insecure).inline_trust(&host()), Trust::Insecure);
    assert!(read(&insecure).is_added(&host(), "/ca") && !read(own).is_added(&host(), "/ca"));
    for text in [own, &insecure] {
        assert_eq!(read(text).with_inline(&host(), Trust::System, "/ca").unwrap(), own);
        let authority = read(text).with_inline(&host(), Trust::Authority, "/ca").unwrap();
        assert_eq!(authority, own.replace("/own", "/ca"));
        assert!(read(&authority).is_added(&host(), "/ca"));
    }
}

#[test]
fn a_registry_of_which_no_certificate_is_checked_is_asked_without_tls_as_well() {
    let unchecked = "version = 2
[plugins.\"io.containerd.grpc.v1.cri\".registry.configs.\"r:5000\".tls]
insecure_skip_verify = true
";
    let insecure = read(unchecked).with_inline(&host(), Trust::Insecure, "/ca").unwrap();
    assert!(insecure.contains("[\"https://r:5000\", \"http://r:5000\"]"), "{insecure}");
    assert_eq!(read(&insecure).with_inline(&host(), Trust::Insecure, "/ca").unwrap(), insecure);
}

#[test]
fn a_containerd_of_docker_alone_does_not_serve_the_kubelet() {
    assert!(!read("disabled_plugins = [\"cri\"]\n").serves_kubelet());
    assert!(
        !read("version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n").serves_kubelet()
    );
    assert!(read("disabled_plugins = []\n").serves_kubelet());
    assert!(read("").serves_kubelet());
}

#[test]
fn imports_and_sections_are_found() {
    let config = read("version = 2\nimports = ['/etc/containerd/conf.d/*.toml']\n");
    assert_eq!(config.imports(), ["/etc/containerd/conf.d/*.toml"]);
    assert!(!config.has_plugin() && read(INLINE).has_plugin());
}

#[test]
fn other_shapes_are_refused_not_broken() {
    let refused =
        |text: &str| Config::parse(text).and_then(|config| config.with_folder(FOLDER)).is_err();
    assert!(refused("version = 2\nplugins = 1\n"));
    assert!(refused("version = 2\n[[plugins]]\n"));
    assert!(refused("version = 2\n[plugins\n"));
    let inline = "version = 2\nplugins = { \"io.containerd.grpc.v1.cri\" = { x = 1 } }\n";
    let after = read(inline).with_folder(FOLDER).unwrap();
    assert_eq!(read(&after).registries(), Registries::Folders(vec![FOLDER.into()]), "{after}");
}

#[test]
fn any_text_is_read_or_refused() {
    let samples =
        vec![INLINE.as_bytes().to_vec(), b"version = 3\n[plugins.a]\nx = {y = [1]}\n".to_vec()];
    fuzz(2000, bytes(samples), |bytes| {
        let Ok(text) = String::from_utf8(bytes) else { return };
        let Ok(config) = Config::parse(&text) else { return };
        if let Ok(after) = config.with_folder("/x") {
            assert_eq!(
                read(&after).registries(),
                Registries::Folders(vec!["/x".into()]),
                "{text}\n{after}"
            );
        }
        let _ = read(&text).with_inline(&host(), Trust::Insecure, "/ca");
    });
}

#[test]
fn what_containerd_would_not_take_is_refused_by_its_path() {
    let cri = "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry]\n";
    for (text, wrong) in [
        ("version = '2'\n", "version is not a number from 0 on"),
        ("version = -1\n", "version is not a number from 0 on"),
        ("imports = 'x'\n", "imports is not a list of texts"),
        ("disabled_plugins = 'cri'\n", "disabled_plugins is not a list of texts"),
        ("plugins = 1\n", "plugins is not a table"),
        ("[plugins]\ncri = 'x'\n", "plugins is not a table of tables"),
        (&format!("{cri}config_path = 5\n"), "registry.config_path is not a text"),
        (&format!("{cri}mirrors = 'x'\n"), "registry.mirrors is not a table of tables"),
        ("\u{feff}version = 2\n", "byte order mark"),
    ] {
        let error = Config::parse(text).unwrap_err().to_string();
        assert!(error.contains(wrong), "{text}: {error}");
    }
}

#[test]
fn folders_without_a_name_are_none() {
    let text = "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry]\nconfig_path = ':'\n";
    assert_eq!(read(text).registries(), Registries::Unset);
}
