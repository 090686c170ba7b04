//! A node's network configurations, edited as texts. In: the names and texts of a folder's files. Out: which
//! of them the container runtime uses, and its text with the plugin at the end of the chain, or without it;
//! every other setting and all formatting stays.

#[cfg(test)]
mod tests;

use lateen_registry::{Error, json};
use serde_json::{Value, json};

use crate::{PLUGIN, VERSIONS};

/// The endings of files that runtimes read.
const ENDINGS: [&str; 3] = [".conf", ".conflist", ".json"];
const PLUGINS: &str = "plugins";

/// A configuration that a runtime takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conf {
    pub file: String,
    pub text: String,
    /// One plugin alone, which is made a list.
    single: bool,
}

/// Why a configuration is not edited.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Text(#[from] Error),
    #[error("{0}")]
    Content(String),
}

/// Whether a runtime looks at a file of this name.
pub fn is_conf(file: &str) -> bool {
    ENDINGS.iter().any(|ending| file.ends_with(ending))
}

/// The first valid one by name, which is the one that runtimes use, and why those before it are none.
pub fn choose(files: &[(String, String)]) -> (Option<Conf>, Vec<(String, Refusal)>) {
    let mut sorted: Vec<_> = files.iter().filter(|(file, _)| is_conf(file)).collect();
    sorted.sort();
    let mut passed_over = Vec::new();
    for (file, text) in sorted {
        match Conf::read(file, text) {
            Ok(conf) => return (Some(conf), passed_over),
            Err(refusal) => passed_over.push((file.clone(), refusal)),
        }
    }
    (None, passed_over)
}

impl Conf {
    /// Reads one file.
    pub fn read(file: &str, text: &str) -> Result<Conf, Refusal> {
        let refuse = |message: &str| Err(Refusal::Content(message.to_owned()));
        let value = json::parse(text)?;
        let single = !value["type"].is_null();
        if single && !value["type"].is_string() {
            return refuse("type is not a text: it names the plugin");
        }
        if !single {
            let plugins = value[PLUGINS].as_array().map_or(&[][..], Vec::as_slice);
            if plugins.is_empty() || !plugins.iter().all(|plugin| plugin["type"].is_string()) {
                return refuse("it has neither a type nor a list of plugins with types");
            }
        }
        if !value["name"].is_string() {
            return refuse("it has no name: runtimes refuse it");
        }
        Ok(Conf { file: file.to_owned(), text: text.to_owned(), single })
    }

    /// The file's name and text with the plugin at the end of the chain; `plugin` is its entry.
    ///
    /// # Errors
    /// The configuration is of a version whose calls the plugin would not understand.
    pub fn with(&self, plugin: &Value) -> Result<(String, String), Refusal> {
        let value = json::parse(&self.text)?;
        let version = value["cniVersion"].as_str().unwrap_or_default();
        let is_known = VERSIONS.contains(&version) || (self.single && version.is_empty());
        if !is_known {
            return Err(Refusal::Content(format!(
                "its cniVersion is {version:?}: plugins can be added to {}",
                VERSIONS.join(", ")
            )));
        }
        if self.single {
            return Ok((self.list_name(), self.listed(&value, version, plugin)));
        }
        let plugins = value[PLUGINS].as_array().map_or(&[][..], Vec::as_slice);
        let alone = plugins.iter().filter(|one| is_ours(one)).count() == 1;
        if alone && plugins.last() == Some(plugin) {
            return Ok((self.file.clone(), self.text.clone()));
        }
        let text = json::drop_from(&self.text, PLUGINS, is_ours)?;
        Ok((self.file.clone(), json::append(&text, PLUGINS, plugin)?))
    }

    /// Whether the plugin is in it.
    pub fn has_plugin(&self) -> bool {
        let value = json::parse(&self.text).unwrap_or_default();
        value[PLUGINS].as_array().is_some_and(|plugins| plugins.iter().any(is_ours))
    }

    /// The text without the plugin; what would be a list of nothing is refused.
    pub fn without(&self) -> Result<String, Refusal> {
        let text = json::drop_from(&self.text, PLUGINS, is_ours)?;
        Conf::read(&self.file, &text).map(|conf| conf.text)
    }

    /// Only lists have chains, and lists have a name of their own.
    fn list_name(&self) -> String {
        let stem = ENDINGS.iter().find_map(|ending| self.file.strip_suffix(ending));
        format!("{}.conflist", stem.unwrap_or(&self.file))
    }

    fn listed(&self, value: &Value, version: &str, plugin: &Value) -> String {
        let version = if version.is_empty() { VERSIONS[0] } else { version };
        format!(
            "{{\n  \"cniVersion\": {},\n  \"name\": {},\n  \"plugins\": [\n{},\n{plugin}\n  ]\n}}\n",
            json!(version),
            value["name"],
            self.text.trim(),
        )
    }
}

fn is_ours(plugin: &Value) -> bool {
    plugin["type"] == PLUGIN
}
