//! containerd's `hosts.toml` of one registry. In: its text. Out: the text with the registry trusted as
//! wanted (<https://github.com/containerd/containerd/blob/main/docs/hosts.md>).

use toml_edit::{Array, DocumentMut};

use crate::toml::Shape;
use crate::{AUTHORITY_FILE, Error, Host, Trust, toml};

const HOST: &str = "host";

/// What a registry is asked for that is set here.
const CAPABILITIES: [&str; 2] = ["pull", "resolve"];

/// The text in which the registry is trusted so; `None` if nothing is left to say.
pub fn set(text: &str, host: &Host, wanted: Trust) -> Result<Option<String>, Error> {
    let mut document = parse(text, host)?;
    // Nothing in it is of this program then.
    if wanted == Trust::System && trust(text, host)? == wanted {
        return Ok(Some(text.to_owned()));
    }
    let url = secure(host);
    match wanted {
        Trust::System => clear(&mut document, host),
        Trust::Authority => {
            server(&mut document, &plain(host), &url);
            check_always(&mut document, host);
            let table = registry(&mut document, &url)?;
            table.remove("skip_verify");
            if table.get("ca").and_then(|ca| ca.as_str()) != Some(AUTHORITY_FILE) {
                toml::put(table, "ca", AUTHORITY_FILE);
            }
        }
        Trust::Insecure => {
            // Hosts are tried in their order, the server last: TLS first, and then without.
            server(&mut document, &url, &plain(host));
            let table = registry(&mut document, &url)?;
            if table.get("ca").and_then(|ca| ca.as_str()) == Some(AUTHORITY_FILE) {
                table.remove("ca");
            }
            if table.get("skip_verify").and_then(|skip| skip.as_bool()) != Some(true) {
                toml::put(table, "skip_verify", true);
            }
            // The server may be another one, or be written in another way.
            if !names_plain(&document, host) {
                registry(&mut document, &plain(host))?;
            }
        }
    }
    let text = toml::print(&document, text);
    Ok((!text.trim().is_empty()).then_some(text))
}

/// How the text has the registry trusted.
pub fn trust(text: &str, host: &Host) -> Result<Trust, Error> {
    let document = parse(text, host)?;
    let url = secure(host);
    let own = [HOST, &*url];
    let server = is_server(&document, host).then_some(&[][..]);
    let tables = server.into_iter().chain([&own[..]]);
    let of =
        |key: &str| tables.clone().find_map(|path| toml::get(&document, &[path, &[key]].concat()));
    let without_tls = names_plain(&document, host);
    Ok(match of("skip_verify").and_then(|skip| skip.as_bool()) {
        Some(true) => Trust::Insecure,
        _ if without_tls => Trust::Insecure,
        _ if of("ca").is_some() => Trust::Authority,
        _ => Trust::System,
    })
}

/// Whether the text has the registry asked without TLS.
pub fn tries_plain(text: &str, host: &Host) -> Result<bool, Error> {
    Ok(names_plain(&parse(text, host)?, host))
}

/// What is edited or read here has to be what containerd takes.
fn parse(text: &str, host: &Host) -> Result<DocumentMut, Error> {
    let (document, url) = (toml::parse(text)?, secure(host));
    toml::check(
        &document,
        &[
            (&["server"], Shape::Text),
            (&["skip_verify"], Shape::Flag),
            (&["ca"], Shape::TextOrTexts),
            (&[HOST], Shape::Tables),
            (&[HOST, &url, "skip_verify"], Shape::Flag),
            (&[HOST, &url, "ca"], Shape::TextOrTexts),
            (&[HOST, &url, "capabilities"], Shape::Texts),
        ],
    )?;
    Ok(document)
}

fn secure(host: &Host) -> String {
    format!("https://{host}")
}

fn plain(host: &Host) -> String {
    format!("http://{host}")
}

/// Whether the registry without TLS is the server or one of the hosts.
fn names_plain(document: &DocumentMut, host: &Host) -> bool {
    let hosts = document.get(HOST).and_then(|hosts| hosts.as_table_like());
    let server = document.get("server").and_then(|server| server.as_str());
    server.is_some_and(|url| is_plain(url, host))
        || hosts.is_some_and(|hosts| hosts.iter().any(|(url, _)| is_plain(url, host)))
}

/// Whether a URL is the registry's without TLS, with or without the path that containerd adds.
fn is_plain(url: &str, host: &Host) -> bool {
    let url = url.trim_end_matches('/');
    url.strip_suffix("/v2").unwrap_or(url).trim_end_matches('/') == plain(host)
}

/// Sets the server, unless it is another one than this registry.
fn server(document: &mut DocumentMut, from: &str, to: &str) {
    match document.get("server").map(|server| server.as_str()) {
        None => {
            toml::put(document.as_table_mut(), "server", to);
        }
        Some(Some(current)) if current == from => {
            toml::put(document.as_table_mut(), "server", to);
        }
        Some(_) => {}
    }
}

/// Whether what is said outside of all tables is said of this registry: it is of the server.
fn is_server(document: &DocumentMut, host: &Host) -> bool {
    let server = document.get("server").and_then(|server| server.as_str());
    server.is_none_or(|server| server == secure(host) || is_plain(server, host))
}

/// Takes out by what containerd would go on to this registry where its certificate does not satisfy.
fn check_always(document: &mut DocumentMut, host: &Host) {
    if is_server(document, host) {
        document.remove("skip_verify");
    }
    let server = document.get("server").and_then(|server| server.as_str());
    if server.is_some_and(|url| is_plain(url, host)) {
        toml::put(document.as_table_mut(), "server", secure(host));
    }
    if let Some(hosts) = document.get_mut(HOST).and_then(|hosts| hosts.as_table_like_mut()) {
        let plain = hosts.iter().map(|(url, _)| url.to_owned()).filter(|url| is_plain(url, host));
        for url in plain.collect::<Vec<_>>() {
            hosts.remove(&url);
        }
    }
}

fn registry<'a>(
    document: &'a mut DocumentMut,
    url: &str,
) -> Result<&'a mut dyn toml_edit::TableLike, Error> {
    let table = toml::table(document, &[HOST, url])?;
    if table.is_empty() {
        toml::put(table, "capabilities", Array::from_iter(CAPABILITIES));
    }
    Ok(table)
}

/// Takes back what [`set`] may have said; a table that says more stays.
fn clear(document: &mut DocumentMut, host: &Host) {
    let url = secure(host);
    if let Some(table) = document.get_mut(HOST).and_then(|hosts| hosts.get_mut(&url))
        && let Some(table) = table.as_table_like_mut()
    {
        table.remove("skip_verify");
        if table.get("ca").and_then(|ca| ca.as_str()) == Some(AUTHORITY_FILE) {
            table.remove("ca");
        }
        if table.iter().all(|(key, _)| key == "capabilities") {
            table.remove("capabilities");
        }
    }
    toml::prune(document, &[HOST, &url]);
    clear_plain(document, host);
    let ours = [Some(url.as_str()), Some(&plain(host))];
    let alone = document.get(HOST).is_none();
    if let Some(server) = document.get("server").map(|server| server.as_str())
        && ours.contains(&server)
    {
        match alone && document.len() == 1 {
            true => drop(document.remove("server")),
            false => toml::put(document.as_table_mut(), "server", url),
        }
    }
}

/// Takes back the registry without TLS, if nothing else is said of it.
fn clear_plain(document: &mut DocumentMut, host: &Host) {
    let plain = plain(host);
    let Some(hosts) = document.get_mut(HOST).and_then(|hosts| hosts.as_table_like_mut()) else {
        return;
    };
    let capabilities = |table: &dyn toml_edit::TableLike| -> Option<Vec<String>> {
        let listed = table.get("capabilities")?.as_array()?.iter();
        listed.map(|name| name.as_str().map(str::to_owned)).collect()
    };
    if let Some(table) = hosts.get_mut(&plain).and_then(|table| table.as_table_like_mut())
        && table.len() == 1
        && capabilities(table).is_some_and(|listed| listed == CAPABILITIES)
    {
        table.remove("capabilities");
    }
    toml::prune(document, &[HOST, &plain]);
}

#[cfg(test)]
mod tests {
    use super::{set, tries_plain, trust};
    use crate::{Host, Trust};

    const INSECURE: &str = "server = \"http://r:5000\"

[host.\"https://r:5000\"]
capabilities = [\"pull\", \"resolve\"]
skip_verify = true
";

    fn host() -> Host {
        "r:5000".parse().unwrap()
    }

    #[track_caller]
    fn check(before: &str, wanted: Trust, after: &str) {
        let found = set(before, &host(), wanted).unwrap().unwrap_or_default();
        assert_eq!(found, after);
        assert_eq!(trust(&found, &host()).unwrap(), wanted);
        let again = set(&found, &host(), wanted).unwrap().unwrap_or_default();
        assert_eq!(again, found, "a second time");
    }

    #[test]
    fn a_new_file_says_what_is_wanted_and_nothing_else() {
        check("", Trust::Insecure, INSECURE);
        let authority = INSECURE
            .replace("http:", "https:")
            .replace("skip_verify = true", "ca = \"lateen-ca.crt\"");
        check("", Trust::Authority, &authority);
        check(INSECURE, Trust::Authority, &authority);
        check(&authority, Trust::Insecure, INSECURE);
        check(INSECURE, Trust::System, "");
        check(&authority, Trust::System, "");
    }

    #[test]
    fn a_mirror_with_its_comments_stays() {
        let mirror = "# ours\nserver = \"https://r:5000\" # last\n\n[host.\"https://mirror\"]\n  capabilities = [\"pull\"]\n  dial_timeout = \"1s\"\n";
        let both = "# ours\nserver = \"http://r:5000\" # last\n\n[host.\"https://mirror\"]\n  capabilities = [\"pull\"]\n  dial_timeout = \"1s\"\n\n[host.\"https://r:5000\"]\ncapabilities = [\"pull\", \"resolve\"]\nskip_verify = true\n";
        check(mirror, Trust::Insecure, both);
        check(both, Trust::System, mirror);
    }

    #[test]
    fn a_table_with_more_in_it_stays() {
        let header = format!("{INSECURE}\n[host.\"https://r:5000\".header]\nx = \"y\"\n");
        let after = set(&header, &host(), Trust::System).unwrap().unwrap();
        assert!(after.contains("[host.\"https://r:5000\".header]\nx = \"y\"\n"), "{after}");
        assert!(after.starts_with("server = \"https://r:5000\"\n"), "{after}");
        assert!(!after.contains("skip_verify"), "{after}");
    }

    #[test]
    fn no_way_past_the_authority_stays() {
        let authority = "server = \"https://r:5000\"

[host.\"https://r:5000\"]
capabilities = [\"pull\", \"resolve\"]
ca = \"lateen-ca.crt\"
";
        for before in [
            "[host.\"http://r:5000\"]\ncapabilities = [\"pull\"]\n",
            "skip_verify = true\n",
            "server = \"http://r:5000\"\nskip_verify = true\n\n[host.\"http://r:5000\"]\n",
            "server = \"http://r:5000/v2\"\n\n[host.\"http://r:5000/v2\"]\n",
        ] {
            check(before, Trust::Authority, authority);
        }
        let elsewhere = "server = \"https://proxy\"\nskip_verify = true\n";
        let after = format!("{elsewhere}{}", authority.split_once("5000\"\n").unwrap().1);
        check(elsewhere, Trust::Authority, &after);
    }

    #[test]
    fn another_server_stays_and_the_registry_is_asked_without_tls_before_it() {
        let tables = INSECURE.split_once('\n').unwrap().1;
        for server in ["https://r:5000/", "https://r:5000/v2", "https://proxy", "http://r:5001"] {
            let before = format!("server = \"{server}\"\n");
            let after = format!(
                "{before}{tables}\n[host.\"http://r:5000\"]\ncapabilities = [\"pull\", \"resolve\"]\n"
            );
            check(&before, Trust::Insecure, &after);
            assert!(tries_plain(&after, &host()).unwrap());
            check(&after, Trust::System, &before);
        }
    }

    #[test]
    fn a_server_without_tls_is_known_with_containerds_path() {
        for url in ["http://r:5000/", "http://r:5000/v2", "http://r:5000/v2/"] {
            let server = format!("server = \"{url}\"\n");
            let table = format!("[host.\"{url}\"]\n");
            for text in [server, table] {
                assert!(tries_plain(&text, &host()).unwrap(), "{text}");
                let after = set(&text, &host(), Trust::Insecure).unwrap().unwrap();
                assert!(!after.contains("\"http://r:5000\"]"), "{after}");
            }
        }
        for text in
            ["", "server = \"http://r:5000/x\"\n", "[host.'https://r:5000']\nskip_verify = true\n"]
        {
            assert!(!tries_plain(text, &host()).unwrap(), "{text}");
        }
    }

    #[test]
    fn what_is_not_valid_is_refused() {
        let error = set("server = \n", &host(), Trust::Insecure).unwrap_err().to_string();
        assert!(error.starts_with("not valid TOML: ") && error.contains("line 1"), "{error}");
        for (text, wrong) in [
            ("host = 1\n", "host is not a table of tables"),
            ("server = 1\n", "server is not a text"),
            ("[host.'https://r:5000']\nskip_verify = 'true'\n", "skip_verify is not true or false"),
            ("[host.'https://r:5000']\nca = [1]\n", "ca is not a text or a list of texts"),
        ] {
            let error = set(text, &host(), Trust::Insecure).unwrap_err().to_string();
            assert!(error.contains(wrong) && error.ends_with("correct it first"), "{error}");
        }
    }
}
