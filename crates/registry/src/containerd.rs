//! containerd's `config.toml`. In: its text. Out: where it looks for `hosts.toml` files, the text in which it
//! does, and registries in the older form, which keeps them in this file
//! (<https://github.com/containerd/containerd/blob/main/docs/cri/registry.md>).

use toml_edit::{DocumentMut, Item};

use crate::toml::Shape;
use crate::{Error, Host, Trust, toml};

/// Where containerd's own documentation has the folders of hosts.
pub const FOLDER: &str = "/etc/containerd/certs.d";

/// The text of a configuration where there is none: every containerd since 1.3 reads it.
const EMPTY: &str = "version = 2\n";

/// The newest version of a configuration whose sections are known.
const NEWEST: i64 = 4;

/// The plugin that answers on a socket, from version 4 of a configuration on.
const SERVER: [&str; 2] = ["plugins", "io.containerd.server.v1.grpc"];

/// The plugin that pulls images in containerd 2.
const MERGED: &str = "io.containerd.cri.v1.images";

/// A configuration, as far as registries matter.
#[derive(Debug)]
pub struct Config {
    document: DocumentMut,
    text: String,
}

/// How a configuration knows registries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registries {
    /// It says nothing.
    Unset,
    /// By a folder for each host, in these folders.
    Folders(Vec<String>),
    /// By `mirrors` and `configs`, with which containerd allows no folders.
    Inline,
}

impl Config {
    /// An empty text is a configuration that was not there.
    pub fn parse(text: &str) -> Result<Config, Error> {
        let source = if text.trim().is_empty() { EMPTY } else { text };
        let config = Config { document: toml::parse(source)?, text: text.to_owned() };
        config.check()?;
        Ok(config)
    }

    /// What is edited or read here has to be what containerd takes.
    fn check(&self) -> Result<(), Error> {
        toml::check(&self.document, &[(&["version"], Shape::Number)])?;
        // Another version has its settings elsewhere, or under other names.
        if let Some(version) = self.version().filter(|version| *version > NEWEST) {
            return Err(Error::Version(version));
        }
        let [plugins, plugin] = self.plugin();
        let at = |key| [plugins, plugin, "registry", key];
        toml::check(
            &self.document,
            &[
                (&["imports"], Shape::Texts),
                (&["disabled_plugins"], Shape::Texts),
                (&["grpc"], Shape::Table),
                (&["grpc", "address"], Shape::Text),
                (&[plugins], Shape::Tables),
                (&[SERVER[0], SERVER[1], "address"], Shape::Text),
                (&[plugins, plugin, "registry"], Shape::Table),
                (&at("config_path"), Shape::Text),
                (&at("mirrors"), Shape::Tables),
                (&at("configs"), Shape::Tables),
            ],
        )
    }

    fn version(&self) -> Option<i64> {
        self.document.get("version").and_then(Item::as_integer)
    }

    /// The path of the plugin that pulls images.
    fn plugin(&self) -> [&'static str; 2] {
        let name = match self.version() {
            None | Some(..=1) => "cri",
            Some(2) => "io.containerd.grpc.v1.cri",
            Some(_) => MERGED,
        };
        ["plugins", name]
    }

    fn registry(&self, key: &str) -> Option<&Item> {
        let [plugins, plugin] = self.plugin();
        toml::get(&self.document, &[plugins, plugin, "registry", key])
    }

    /// Whether it has the plugin's section.
    pub fn has_plugin(&self) -> bool {
        toml::get(&self.document, &self.plugin()).is_some()
    }

    /// Whether its section says all about registries when it is the last file's. containerd 2 merges
    /// sections; before it, the last one took the place of all others.
    pub fn overrules(&self) -> bool {
        let merges = self.plugin()[1] == MERGED;
        self.has_plugin() && (!merges || self.registries() != Registries::Unset)
    }

    /// Whether the kubelet can use this containerd: one that only serves Docker has this switched off.
    pub fn serves_kubelet(&self) -> bool {
        let disabled = self.document.get("disabled_plugins").and_then(Item::as_array);
        let is_cri = |name: &str| {
            name == "cri" || name.starts_with("io.containerd.grpc.v1.cri") || name == MERGED
        };
        !disabled.into_iter().flatten().filter_map(|name| name.as_str()).any(is_cri)
    }

    /// Other files, as patterns, whose settings count as well.
    pub fn imports(&self) -> Vec<String> {
        let imports = self.document.get("imports").and_then(Item::as_array);
        imports.into_iter().flatten().filter_map(|path| path.as_str()).map(str::to_owned).collect()
    }

    /// The socket that it answers on.
    pub fn address(&self) -> Option<String> {
        let [plugins, server] = SERVER;
        let address = match self.version() {
            Some(4..) => toml::get(&self.document, &[plugins, server, "address"]),
            _ => toml::get(&self.document, &["grpc", "address"]),
        };
        let address = address.and_then(Item::as_str);
        address.filter(|address| !address.is_empty()).map(str::to_owned)
    }

    pub fn registries(&self) -> Registries {
        let path = self.registry("config_path").and_then(Item::as_str).unwrap_or_default();
        let folders = path.split(':').filter(|folder| !folder.is_empty());
        let path: Vec<String> = folders.map(str::to_owned).collect();
        if !path.is_empty() {
            return Registries::Folders(path);
        }
        let has = |key: &str| {
            let table = self.registry(key).and_then(Item::as_table_like);
            table.is_some_and(|table| match key {
                "mirrors" => !table.is_empty(),
                _ => table.iter().any(|(_, config)| config.get("tls").is_some()),
            })
        };
        if has("mirrors") || has("configs") { Registries::Inline } else { Registries::Unset }
    }

    /// The text with a folder for hosts.
    pub fn with_folder(mut self, folder: &str) -> Result<String, Error> {
        let [plugins, plugin] = self.plugin();
        let path = [plugins, plugin, "registry"];
        let indent = toml::indent_below(toml::get(&self.document, &path));
        let table = toml::table(&mut self.document, &path)?;
        toml::put_indented(table, "config_path", folder, indent);
        Ok(toml::print(&self.document, &self.text))
    }

    /// How the older form has the registry trusted.
    pub fn inline_trust(&self, host: &Host) -> Trust {
        match (self.takes_any(host) || self.tries_plain(host), self.inline_tls(host, "ca_file")) {
            (true, _) => Trust::Insecure,
            (false, Some(_)) => Trust::Authority,
            (false, None) => Trust::System,
        }
    }

    fn inline_tls(&self, host: &Host, key: &str) -> Option<&Item> {
        let config = self.registry("configs").and_then(|configs| configs.get(host.as_str()));
        config.and_then(|config| config.get("tls")).and_then(|tls| tls.get(key))
    }

    /// Whether the older form has the registry asked over TLS whoever it is.
    pub fn takes_any(&self, host: &Host) -> bool {
        self.inline_tls(host, "insecure_skip_verify").and_then(Item::as_bool) == Some(true)
    }

    /// Whether the older form has the registry asked without TLS.
    pub fn tries_plain(&self, host: &Host) -> bool {
        let plain = format!("http://{host}");
        let mirror = self.registry("mirrors").and_then(|mirrors| mirrors.get(host.as_str()));
        let endpoints = mirror.and_then(|mirror| mirror.get("endpoint")).and_then(Item::as_array);
        endpoints.into_iter().flatten().any(|url| url.as_str() == Some(&plain))
    }

    /// Whether the older form has the registry as an addition leaves it; `authority` is the path of its authority's file.
    pub fn is_added(&self, host: &Host, authority: &str) -> bool {
        let is_insecure = self.takes_any(host) && self.tries_plain(host);
        is_insecure || self.has_authority(host, authority)
    }

    fn has_authority(&self, host: &Host, authority: &str) -> bool {
        self.inline_tls(host, "ca_file").and_then(Item::as_str) == Some(authority)
    }

    /// The registries that the older form names.
    pub fn inline_hosts(&self) -> Vec<String> {
        let mut found: Vec<String> = ["mirrors", "configs"]
            .iter()
            .filter_map(|key| self.registry(key).and_then(Item::as_table_like))
            .flat_map(|table| table.iter().map(|(host, _)| host.to_owned()).collect::<Vec<_>>())
            .collect();
        found.sort();
        found.dedup();
        found
    }

    /// The text with the registry in the older form; `authority` is the path of its authority's file. Another authority
    /// stays, unless this one takes its place.
    pub fn with_inline(
        mut self,
        host: &Host,
        trust: Trust,
        authority: &str,
    ) -> Result<String, Error> {
        let has_authority = self.has_authority(host, authority);
        let is_so = match trust {
            Trust::System => true,
            Trust::Authority => has_authority,
            Trust::Insecure => self.tries_plain(host),
        };
        if is_so && self.inline_trust(host) == trust {
            return Ok(self.text);
        }
        let [plugins, plugin] = self.plugin();
        let mirror = [plugins, plugin, "registry", "mirrors", host.as_str()];
        let tls = [plugins, plugin, "registry", "configs", host.as_str(), "tls"];
        let settings = toml::table(&mut self.document, &tls)?;
        settings.remove("insecure_skip_verify");
        if has_authority && trust != Trust::Authority {
            settings.remove("ca_file");
        }
        match trust {
            Trust::Insecure => {
                toml::put(settings, "insecure_skip_verify", true);
                let table = toml::table(&mut self.document, &mirror)?;
                let mut endpoints =
                    table.get("endpoint").and_then(Item::as_array).cloned().unwrap_or_default();
                for url in [format!("https://{host}"), format!("http://{host}")] {
                    if !endpoints.iter().any(|known| known.as_str() == Some(&url)) {
                        endpoints.push(url);
                    }
                }
                toml::put(table, "endpoint", endpoints);
            }
            Trust::Authority => {
                toml::put(settings, "ca_file", authority);
                self.forget_mirror(&mirror, host);
            }
            Trust::System => {
                toml::prune(&mut self.document, &tls);
                self.forget_mirror(&mirror, host);
            }
        }
        Ok(toml::print(&self.document, &self.text))
    }

    /// Removes the registry's own addresses from the end of its endpoints: it is asked last, over TLS,
    /// without being named.
    fn forget_mirror(&mut self, path: &[&str], host: &Host) {
        // A step into what is not there would make it.
        if toml::get(&self.document, path).is_none() {
            return;
        }
        let mut item = Some(self.document.as_item_mut());
        for key in path {
            item = item.and_then(|item| item.get_mut(key));
        }
        if let Some(mirror) = item.and_then(Item::as_table_like_mut) {
            let (plain, secure) = (format!("http://{host}"), format!("https://{host}"));
            if let Some(endpoints) = mirror.get_mut("endpoint").and_then(Item::as_array_mut) {
                endpoints.retain(|url| url.as_str() != Some(&plain));
                let last = endpoints.len().saturating_sub(1);
                if endpoints.get(last).and_then(|url| url.as_str()) == Some(&secure) {
                    endpoints.remove(last);
                }
                if endpoints.is_empty() {
                    mirror.remove("endpoint");
                }
            }
        }
        toml::prune(&mut self.document, path);
    }
}

#[cfg(test)]
mod tests;
