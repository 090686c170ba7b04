//! What shall be installed, as the command line says it. In: `-f`, `--set`, `--revision`. Out: a plan.

use std::path::PathBuf;

use anyhow::{Result, anyhow, ensure};
use clap::Args;
use lateen_install::Plan;
use serde_json::Value;

use crate::bounded;
use crate::words::parse_name;

/// The options that say what shall be installed.
#[derive(Debug, Args)]
pub struct InputArgs {
    /// An IstioOperator file, or - for standard input; several are laid over each other in order
    #[arg(long = "filename", short = 'f', value_name = "FILE")]
    filename: Vec<PathBuf>,
    /// A setting of the IstioOperator's spec, such as profile=demo or meshConfig.accessLogFile=/dev/stdout
    #[arg(long, short = 's', value_name = "PATH=VALUE", value_parser = parse_setting)]
    set: Vec<(String, String)>,
    /// The name of the control plane's revision
    #[arg(long, short = 'r', value_parser = parse_name)]
    revision: Option<String>,
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((path, value)) if !path.is_empty() => Ok((path.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not a setting: write path=value")),
    }
}

impl InputArgs {
    pub fn has_files(&self) -> bool {
        !self.filename.is_empty()
    }

    /// Whether something is said of an installation.
    pub fn is_given(&self) -> bool {
        self.has_files() || !self.set.is_empty() || self.revision.is_some()
    }

    pub fn revision(&self) -> Option<&str> {
        self.revision.as_deref()
    }

    /// Reads the files and checks them together; errors are told and end the command.
    pub fn plan(&self) -> Result<Plan> {
        bounded::check_once(&self.filename)?;
        let mut files = Vec::new();
        for path in &self.filename {
            let name = bounded::name(path);
            let documents = lateen_install::documents(&bounded::read(path)?);
            let documents = documents.map_err(|reason| anyhow!("{name} is {reason}"))?;
            // A template that came out empty must not install the defaults.
            ensure!(!documents.is_empty(), "{name} is empty: it must have an IstioOperator");
            let operators = documents.iter().filter(|one| one["kind"] == "IstioOperator").count();
            ensure!(
                operators < 2,
                "{name} has {operators} IstioOperators and may have one: write each in a file of its own, to lay \
                 several over each other"
            );
            files.extend(documents.into_iter().map(|document| (name.clone(), document)));
        }
        let mut set = self.set.clone();
        set.extend(self.revision.iter().map(|name| ("revision".to_owned(), quoted(name))));
        match lateen_install::read(&files, &set) {
            Ok(plan) => Ok(plan),
            Err(issues) => {
                super::tell(issues)?;
                Err(anyhow!("nothing was done"))
            }
        }
    }
}

/// A revision such as 1 is a name and no number.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::InputArgs;

    #[test]
    fn a_file_with_nothing_in_it_is_refused_and_no_file_is_the_defaults() {
        let file = std::env::temp_dir().join(format!("lateen-input-{}", std::process::id()));
        for nothing in ["", "# only a comment\n", "---\n---\n"] {
            std::fs::write(&file, nothing).unwrap();
            let args = InputArgs { filename: vec![file.clone()], set: Vec::new(), revision: None };
            let error = args.plan().unwrap_err().to_string();
            assert!(error.contains("is empty: it must have an IstioOperator"), "{error}");
        }
        std::fs::remove_file(file).unwrap();
        let args = InputArgs { filename: Vec::new(), set: Vec::new(), revision: None };
        assert_eq!(args.plan().unwrap().owner(), "installed-state");
    }

    #[test]
    fn a_file_has_one_operator() {
        let file = std::env::temp_dir().join(format!("lateen-two-{}", std::process::id()));
        let one = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\n---\n";
        std::fs::write(&file, one.repeat(2)).unwrap();
        let args = InputArgs { filename: vec![file.clone()], set: Vec::new(), revision: None };
        let error = args.plan().unwrap_err().to_string();
        assert!(error.contains("has 2 IstioOperators and may have one"), "{error}");
        std::fs::write(&file, one).unwrap();
        assert!(args.plan().is_ok());
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn a_file_in_another_encoding_is_told_of_with_the_remedy() {
        let file = std::env::temp_dir().join(format!("lateen-latin-{}", std::process::id()));
        std::fs::write(&file, b"hub: \xe9\n").unwrap();
        let args = InputArgs { filename: vec![file.clone()], set: Vec::new(), revision: None };
        let error = format!("{:#}", args.plan().unwrap_err());
        assert!(
            error.ends_with("it is not text in UTF-8 from byte 5 on: save it as UTF-8"),
            "{error}"
        );
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn of_several_files_the_one_that_is_no_yaml_is_named() {
        let file = |name: &str, text: &str| {
            let path =
                std::env::temp_dir().join(format!("lateen-input-{}-{name}", std::process::id()));
            std::fs::write(&path, text).unwrap();
            path
        };
        let spec = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\n";
        let filename =
            vec![file("good.yaml", spec), file("bad.yaml", "a: [1\n"), file("last.yaml", spec)];
        let args = InputArgs { filename: filename.clone(), set: Vec::new(), revision: None };
        let error = args.plan().unwrap_err().to_string();
        let bad = filename[1].display();
        assert!(error.starts_with(&format!("{bad} is not YAML: ")), "{error}");
        filename.into_iter().for_each(|path| std::fs::remove_file(path).unwrap());
    }
}
