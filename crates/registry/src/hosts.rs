//! containerd's `hosts.toml` of one registry. In: its text. Out: the text with the registry trusted as
//! wanted (<https://github.com/containerd/containerd/blob/main/docs/hosts.md>).

use toml_edit::{Array, DocumentMut, Item};

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
            // An image that the host does not have is asked of the server, by what is said outside of all tables.
            if is_server(&document, host) {
                put_authority(document.as_table_mut());
            }
            let table = registry(&mut document, &url)?;
            table.remove("skip_verify");
            put_authority(table);
        }
        Trust::Insecure => {
            // Hosts are tried in their order, the server last: TLS first, and then without.
            server(&mut document, &url, &plain(host));
            remove_authority(document.as_table_mut());
            let table = registry(&mut document, &url)?;
            remove_authority(table);
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
    let insecure = skips(&document, host) || names_plain(&document, host);
    Ok(match (insecure, setting(&document, host, "ca").next()) {
        (true, _) => Trust::Insecure,
        (false, Some(_)) => Trust::Authority,
        (false, None) => Trust::System,
    })
}

/// Whether the text has the registry asked over TLS whoever it is.
pub fn takes_any(text: &str, host: &Host) -> Result<bool, Error> {
    Ok(skips(&parse(text, host)?, host))
}

fn skips(document: &DocumentMut, host: &Host) -> bool {
    setting(document, host, "skip_verify").any(|skip| skip.as_bool() == Some(true))
}

/// A setting of the registry over TLS, as a host and as the server, if that is the registry.
fn setting<'a>(
    document: &'a DocumentMut,
    host: &Host,
    key: &str,
) -> impl Iterator<Item = &'a Item> {
    let of_host = toml::get(document, &[HOST, &secure(host), key]);
    let of_server = toml::get(document, &[key]).filter(|_| is_server(document, host));
    of_host.into_iter().chain(of_server)
}

/// Whether the text has the registry asked without TLS.
pub fn tries_plain(text: &str, host: &Host) -> Result<bool, Error> {
    Ok(names_plain(&parse(text, host)?, host))
}

/// Whether containerd, where the registry that it checks by an authority has not an image, asks it again without one.
pub fn goes_on_unchecked(text: &str, host: &Host) -> Result<bool, Error> {
    let document = parse(text, host)?;
    let has = |path: &[&str]| toml::get(&document, path).is_some();
    let is_checked = has(&[HOST, &secure(host), "ca"]);
    let skips = toml::get(&document, &["skip_verify"]).and_then(Item::as_bool) == Some(true);
    Ok(is_checked && is_server(&document, host) && !has(&["ca"]) && !skips)
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

/// Whether a URL is the registry's without TLS.
fn is_plain(url: &str, host: &Host) -> bool {
    without_path(url) == plain(host)
}

/// A URL without the path that containerd adds where it is missing.
fn without_path(url: &str) -> &str {
    let url = url.trim_end_matches('/');
    url.strip_suffix("/v2").unwrap_or(url).trim_end_matches('/')
}

fn put_authority(table: &mut dyn toml_edit::TableLike) {
    if table.get("ca").and_then(|ca| ca.as_str()) != Some(AUTHORITY_FILE) {
        toml::put(table, "ca", AUTHORITY_FILE);
    }
}

fn remove_authority(table: &mut dyn toml_edit::TableLike) {
    if table.get("ca").and_then(|ca| ca.as_str()) == Some(AUTHORITY_FILE) {
        table.remove("ca");
    }
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
    server.is_none_or(|server| without_path(server) == secure(host) || is_plain(server, host))
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
        remove_authority(table);
        if table.iter().all(|(key, _)| key == "capabilities") {
            table.remove("capabilities");
        }
    }
    toml::prune(document, &[HOST, &url]);
    clear_plain(document, host);
    remove_authority(document.as_table_mut());
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
mod tests;
