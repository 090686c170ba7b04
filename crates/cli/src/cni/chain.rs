//! The plugin on the node: its program in the folder of plugins, and its entry in the configuration that the
//! container runtime uses. In: the two folders. Out: both as they should be, whoever changed them.

use std::fmt;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use lateen_cni::PLUGIN;
use lateen_cni::conflist::{Conf, choose, is_conf};
use serde_json::{Value, json};

use super::flags::Options;
use crate::registry::files::{put, read_text};

/// The program that this process runs.
const SELF: &str = "/proc/self/exe";
/// Files of other modes belong to providers that wrote them so.
const MODE: u32 = 0o644;

pub struct Chain {
    conf_folder: PathBuf,
    bin_folder: PathBuf,
    conf_name: Option<String>,
    plugin: Value,
    run_folder: PathBuf,
    state: Mutex<State>,
}

/// What one look knows of those before it.
#[derive(Default)]
struct State {
    /// The configurations at the last look.
    last: Vec<(String, String)>,
    /// The program on the node is this one's.
    installed: bool,
    /// Nothing is put in place any more.
    withdrawn: bool,
}

/// Everything is as it should be.
#[derive(Debug, Default)]
pub struct Settled {
    /// The configuration that counts; nothing after a withdrawal.
    pub file: String,
    /// What had to be changed for it.
    pub news: Vec<String>,
}

/// What could not be put in place.
#[derive(Debug)]
pub enum Unsettled {
    Program(anyhow::Error),
    Configuration(anyhow::Error),
}

impl Unsettled {
    /// Istio's word for it.
    pub fn result(&self) -> &'static str {
        match self {
            Unsettled::Program(_) => "COPY_BINARIES_FAILURE",
            Unsettled::Configuration(_) => "CREATE_CNI_CONFIG_FAILURE",
        }
    }
}

impl fmt::Display for Unsettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Unsettled::Program(error) | Unsettled::Configuration(error)) = self;
        write!(f, "{error:#}")
    }
}

impl Chain {
    pub fn new(options: &Options) -> Chain {
        Chain {
            conf_folder: options.conf_folder.clone(),
            bin_folder: options.bin_folder.clone(),
            conf_name: options.conf_name.clone(),
            plugin: json!({
                "type": PLUGIN,
                "name": PLUGIN,
                "cni_agent_run_dir": options.run_folder,
                "exclude_namespaces": options.excluded_namespaces,
                "pod_namespace": options.namespace,
            }),
            run_folder: options.run_folder.clone(),
            state: Mutex::default(),
        }
    }

    /// Puts the program and the entry where they belong, unless they are there.
    ///
    /// # Errors
    /// There is no configuration yet, or none that can be edited. The next change of the folder may help.
    pub fn settle(&self) -> Result<Settled, Unsettled> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut settled = Settled::default();
        if state.withdrawn {
            return Ok(settled);
        }
        // The program comes first: a runtime calls what is in the chain.
        if self.install_program(&mut state).map_err(Unsettled::Program)? {
            settled.news.push(format!("{PLUGIN} is in {}", self.bin_folder.display()));
        }
        self.settle_conf(&mut state, &mut settled).map_err(Unsettled::Configuration)?;
        Ok(settled)
    }

    fn settle_conf(&self, state: &mut State, settled: &mut Settled) -> Result<()> {
        let files = self.read()?;
        let conf = self.chosen(&files, state)?;
        let refused = |conf: &Conf| format!("{} is not edited", conf.file);
        let (file, text) = conf.with(&self.plugin).with_context(|| refused(&conf))?;
        if (&file, &text) != (&conf.file, &conf.text) {
            self.write(&conf, &file, &text)?;
            settled.news.push(format!("{PLUGIN} is at the end of the chain in {file}"));
        }
        for (other, text) in files.iter().filter(|(other, _)| *other != file && *other != conf.file)
        {
            let Ok(other) = Conf::read(other, text) else { continue };
            if other.has_plugin()
                && let Ok(without) = other.without()
            {
                self.write(&other, &other.file, &without)?;
                settled.news.push(format!("{PLUGIN} is out of {}: {file} counts now", other.file));
            }
        }
        settled.file = file;
        Ok(())
    }

    /// Takes everything away.
    pub fn withdraw(&self) -> Result<()> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).withdrawn = true;
        for (file, text) in self.read()? {
            let Ok(conf) = Conf::read(&file, &text) else { continue };
            if conf.has_plugin() {
                let text = conf.without().with_context(|| format!("{file} is not edited"))?;
                self.write(&conf, &conf.file, &text)?;
            }
        }
        for path in
            [self.bin_folder.join(PLUGIN), self.run_folder.join(lateen_cni::exchange::SOCKET)]
        {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot remove {}", path.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The configurations with their texts; a file that cannot be read is none.
    fn read(&self) -> Result<Vec<(String, String)>> {
        let folder = self.conf_folder.display();
        let entries =
            fs::read_dir(&self.conf_folder).with_context(|| format!("cannot list {folder}"))?;
        let mut files = Vec::new();
        for entry in entries.flatten() {
            let Ok(file) = entry.file_name().into_string() else { continue };
            // Opening a pipe would wait for its other end.
            if !is_conf(&file) || !entry.path().is_file() {
                continue;
            }
            if let Ok(text) = File::open(entry.path()).map_err(Into::into).and_then(read_text) {
                files.push((file, text));
            }
        }
        Ok(files)
    }

    fn chosen(&self, files: &[(String, String)], state: &mut State) -> Result<Conf> {
        let folder = self.conf_folder.display();
        let Some(name) = &self.conf_name else {
            let (chosen, passed_over) = choose(files);
            let is_steady = state.last == files;
            files.clone_into(&mut state.last);
            if let Some((file, reason)) = passed_over.first() {
                // Its provider may be writing it just now.
                ensure!(is_steady, "{file} is passed over if it stays as it is: {reason}");
                tracing::debug!(file, %reason, "passed over");
            }
            return chosen.with_context(|| {
                format!("{folder} has no network configuration: it comes from the cluster's network provider")
            });
        };
        // What was one plugin is a list since the plugin was added.
        let stem = name.strip_suffix("list").unwrap_or(name);
        let of_name = [name.clone(), stem.to_owned(), format!("{stem}list")];
        let found = of_name.iter().find_map(|name| files.iter().find(|(file, _)| file == name));
        let Some((file, text)) = found else {
            bail!("{folder} has no {name}, which values.cni.cniConfFileName names");
        };
        Conf::read(file, text).with_context(|| format!("{file} is not edited"))
    }

    /// Writes `text` into `file`, which takes the place of `conf`'s, if that is as it was read.
    fn write(&self, conf: &Conf, file: &str, text: &str) -> Result<()> {
        let (old, new) = (self.conf_folder.join(&conf.file), self.conf_folder.join(file));
        let now = read_text(File::open(&old)?).with_context(|| conf.file.clone())?;
        ensure!(now == conf.text, "{} was changed by somebody else just now", conf.file);
        let like = File::open(&old).ok();
        let scratch = self.conf_folder.join(format!(".{file}.lateen-new"));
        put(&new, &scratch, text, like.as_ref(), MODE)
            .with_context(|| format!("cannot write {}", new.display()))?;
        if old != new {
            fs::remove_file(&old).with_context(|| format!("cannot remove {}", old.display()))?;
        }
        Ok(())
    }

    /// Whether the program was copied. What an agent before this one left may be of another version and have
    /// this one's size, so the first look copies in any case.
    fn install_program(&self, state: &mut State) -> Result<bool> {
        let target = self.bin_folder.join(PLUGIN);
        let failed = || format!("cannot copy the plugin to {}", target.display());
        if state.installed && is_same_program(&target) {
            return Ok(false);
        }
        let scratch = self.bin_folder.join(format!(".{PLUGIN}.lateen-new"));
        let copied = fs::copy(SELF, &scratch)
            .and_then(|_| fs::set_permissions(&scratch, fs::Permissions::from_mode(0o755)))
            .and_then(|()| File::open(&scratch)?.sync_all())
            .and_then(|()| fs::rename(&scratch, &target));
        if copied.is_err() {
            let _ = fs::remove_file(&scratch);
        }
        copied.with_context(failed)?;
        state.installed = true;
        Ok(true)
    }
}

/// By size and time: reading forty megabytes at each look would be too much.
fn is_same_program(target: &Path) -> bool {
    let (Ok(own), Ok(there)) = (fs::metadata(SELF), fs::metadata(target)) else { return false };
    let runs = there.permissions().mode() & 0o111 == 0o111;
    own.len() == there.len() && runs && there.modified().ok() >= own.modified().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};
    use std::sync::Mutex;

    use lateen_cni::PLUGIN;
    use serde_json::{Value, json};

    use super::Chain;

    const LIST: &str =
        "{\"cniVersion\": \"1.0.0\", \"name\": \"n\", \"plugins\": [{\"type\": \"ptp\"}]}\n";

    struct Scratch {
        root: PathBuf,
        chain: Chain,
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.root);
        }
    }

    fn scratch(name: &str, conf_name: Option<&str>) -> Scratch {
        let root = std::env::temp_dir().join(format!("lateen-chain-{}-{name}", std::process::id()));
        let folder = |name: &str| {
            fs::create_dir_all(root.join(name)).unwrap();
            root.join(name)
        };
        let chain = Chain {
            conf_folder: folder("net.d"),
            bin_folder: folder("bin"),
            conf_name: conf_name.map(str::to_owned),
            plugin: json!({"type": PLUGIN}),
            run_folder: folder("run"),
            state: Mutex::default(),
        };
        Scratch { root, chain }
    }

    fn put(folder: &Path, name: &str, text: &str) {
        fs::write(folder.join(name), text).unwrap();
    }

    fn types(folder: &Path, name: &str) -> Vec<Value> {
        let value: Value = serde_json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap();
        value["plugins"].as_array().unwrap().iter().map(|one| one["type"].clone()).collect()
    }

    #[test]
    fn the_plugin_comes_again_and_goes_at_the_end() {
        let scratch = scratch("again", None);
        let (chain, folder) = (&scratch.chain, scratch.chain.conf_folder.clone());
        let error = chain.settle().unwrap_err().to_string();
        assert!(error.contains("has no network configuration"), "{error}");
        put(&folder, "10-a.conflist", LIST);
        fs::set_permissions(folder.join("10-a.conflist"), fs::Permissions::from_mode(0o600))
            .unwrap();
        assert_eq!(chain.settle().unwrap().news.len(), 1);
        assert_eq!(types(&folder, "10-a.conflist"), ["ptp", PLUGIN]);
        let mode = fs::metadata(folder.join("10-a.conflist")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "the mode is its provider's");
        assert!(chain.settle().unwrap().news.is_empty());
        put(&folder, "10-a.conflist", LIST);
        assert_eq!(chain.settle().unwrap().news.len(), 1, "another provider has written it anew");
        put(&folder, "05-b.conflist", LIST);
        chain.settle().unwrap();
        assert_eq!(types(&folder, "05-b.conflist"), ["ptp", PLUGIN]);
        assert_eq!(fs::read_to_string(folder.join("10-a.conflist")).unwrap(), LIST);
        assert!(chain.bin_folder.join(PLUGIN).exists());
        chain.withdraw().unwrap();
        assert_eq!(fs::read_to_string(folder.join("05-b.conflist")).unwrap(), LIST);
        assert!(!chain.bin_folder.join(PLUGIN).exists());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "nothing is left behind");
        chain.settle().unwrap();
        assert!(!chain.bin_folder.join(PLUGIN).exists(), "who has left does not come back");
    }

    #[test]
    fn a_program_of_another_version_is_replaced_whatever_its_size_is() {
        let scratch = scratch("version", None);
        let (chain, program) = (&scratch.chain, scratch.chain.bin_folder.join(PLUGIN));
        put(&chain.conf_folder, "10-a.conflist", LIST);
        let size = fs::metadata(super::SELF).unwrap().len();
        fs::File::create(&program).unwrap().set_len(size).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        chain.settle().unwrap();
        assert!(fs::read(&program).unwrap().starts_with(b"\x7fELF"));
        assert!(chain.settle().unwrap().news.is_empty());
    }

    #[test]
    fn a_single_plugin_makes_way_for_its_list() {
        let scratch = scratch("single", Some("20-ptp.conf"));
        let (chain, folder) = (&scratch.chain, scratch.chain.conf_folder.clone());
        put(&folder, "10-a.conflist", LIST);
        put(
            &folder,
            "20-ptp.conf",
            "{\"cniVersion\": \"0.4.0\", \"name\": \"n\", \"type\": \"ptp\"}",
        );
        chain.settle().unwrap();
        assert_eq!(types(&folder, "20-ptp.conflist"), ["ptp", PLUGIN]);
        assert!(!folder.join("20-ptp.conf").exists());
        assert!(chain.settle().unwrap().news.is_empty(), "the list has the name now");
        assert_eq!(fs::read_to_string(folder.join("10-a.conflist")).unwrap(), LIST);
    }

    #[test]
    fn what_is_broken_stays_as_it_is() {
        let scratch = scratch("broken", Some("10-a.conflist"));
        let (chain, folder) = (&scratch.chain, scratch.chain.conf_folder.clone());
        assert!(chain.settle().unwrap_err().to_string().contains("cniConfFileName"));
        put(&folder, "10-a.conflist", "{\"plugins\": [");
        let error = chain.settle().unwrap_err().to_string();
        assert!(error.contains("not valid JSON"), "{error}");
        assert_eq!(fs::read_to_string(folder.join("10-a.conflist")).unwrap(), "{\"plugins\": [");
    }

    #[test]
    fn a_file_that_is_being_written_is_waited_for() {
        let scratch = scratch("written", None);
        let (chain, folder) = (&scratch.chain, scratch.chain.conf_folder.clone());
        put(&folder, "10-a.conflist", "{\"plugins\": [");
        put(&folder, "20-b.conflist", LIST);
        let error = chain.settle().unwrap_err().to_string();
        assert!(error.contains("10-a.conflist is passed over if it stays"), "{error}");
        assert_eq!(types(&folder, "20-b.conflist"), ["ptp"]);
        chain.settle().unwrap();
        assert_eq!(types(&folder, "20-b.conflist"), ["ptp", PLUGIN]);
    }
}
