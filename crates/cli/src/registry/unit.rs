//! What systemd would start a service with. In: a node's unit files, which need not be in effect yet. Out: the words of
//! its command line (<https://www.freedesktop.org/software/systemd/man/latest/systemd.unit.html>).

use std::collections::BTreeMap;

use super::files::Root;

/// Where units are; of two files of one name the first one counts.
const FOLDERS: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// What a service is started with, as far as its files say.
#[derive(Debug, Default)]
struct Service {
    start: Vec<String>,
    variables: BTreeMap<String, String>,
    files: Vec<String>,
}

/// The words of the command line of a unit; of one that is not there, or is masked, none.
pub fn arguments(root: &Root, unit: &str) -> Vec<String> {
    let read = |path: &str| root.read(path).ok().flatten().unwrap_or_default();
    let mut service = Service::default();
    for path in files(root, unit) {
        service.read(&read(&path));
    }
    // Files of variables go over those of the unit.
    for path in std::mem::take(&mut service.files) {
        service.set(&read(path.trim_start_matches('-')));
    }
    service.command_line()
}

/// The unit's own file, and those that go over it.
fn files(root: &Root, unit: &str) -> Vec<String> {
    let own = FOLDERS.iter().map(|folder| format!("{folder}/{unit}"));
    let own = own.into_iter().find(|path| root.exists(path));
    let mut drop_ins = BTreeMap::new();
    for folder in FOLDERS.map(|folder| format!("{folder}/{unit}.d")) {
        for name in root.names(&folder).into_iter().filter(|name| name.ends_with(".conf")) {
            let path = format!("{folder}/{name}");
            drop_ins.entry(name).or_insert(path);
        }
    }
    own.into_iter().chain(drop_ins.into_values()).collect()
}

impl Service {
    fn read(&mut self, text: &str) {
        let text = text.replace("\\\n", " ");
        let mut is_service = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with('[') {
                is_service = line == "[Service]";
            }
            let Some((key, value)) = line.split_once('=').filter(|_| is_service) else { continue };
            match (key.trim_end(), value.trim()) {
                ("ExecStart", "") => self.start.clear(),
                ("ExecStart", value) => self.start.push(value.to_owned()),
                ("EnvironmentFile", "") => self.files.clear(),
                ("EnvironmentFile", value) => self.files.push(value.to_owned()),
                ("Environment", "") => self.variables.clear(),
                ("Environment", value) => {
                    words(value).iter().for_each(|assignment| self.assign(assignment));
                }
                _ => {}
            }
        }
    }

    /// Reads a file of variables.
    fn set(&mut self, text: &str) {
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            if let Some((name, value)) = line.split_once('=') {
                self.assign(&format!("{name}={}", value.trim().trim_matches(['"', '\''])));
            }
        }
    }

    fn assign(&mut self, assignment: &str) {
        if let Some((name, value)) = assignment.split_once('=') {
            self.variables.insert(name.to_owned(), value.to_owned());
        }
    }

    /// A word that is a variable's name alone is as many words as the variable has.
    fn command_line(&self) -> Vec<String> {
        let value = |name: &str| self.variables.get(name).map_or("", String::as_str);
        let expand = |word: String| match word.strip_prefix('$') {
            Some(name) => words(value(name.trim_matches(['{', '}']))),
            None => vec![word],
        };
        self.start.iter().flat_map(|line| words(line)).flat_map(expand).collect()
    }
}

/// The words of a line, in which quotes hold several together.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut open = None;
    for c in line.chars() {
        match open {
            Some(quote) if c == quote => open = None,
            None if c == '"' || c == '\'' => open = Some(c),
            None if c.is_whitespace() => words.push(String::new()),
            _ => words.last_mut().into_iter().for_each(|word| word.push(c)),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::{Service, words};

    const UNIT: &str =
        "[Unit]\nExecStart=/no\n[Service]\nExecStart=/usr/bin/dockerd -H fd:// \\\n  $OPTIONS\n";

    fn command_line(files: &[&str], variables: &str) -> String {
        let mut service = Service::default();
        files.iter().for_each(|text| service.read(text));
        service.set(variables);
        service.command_line().join(" ")
    }

    #[test]
    fn lines_go_on_and_variables_are_several_words() {
        assert_eq!(command_line(&[UNIT], ""), "/usr/bin/dockerd -H fd://");
        let variable = "[Service]\nEnvironment=A=b \"OPTIONS=--insecure-registry r\"\n";
        let whole = "/usr/bin/dockerd -H fd:// --insecure-registry r";
        assert_eq!(command_line(&[UNIT, variable], ""), whole);
        assert_eq!(command_line(&[UNIT], "# x\nOPTIONS='--insecure-registry r'\n"), whole);
    }

    #[test]
    fn an_empty_start_takes_those_before_it_back() {
        let other = "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd --insecure-registry=r\n";
        assert_eq!(command_line(&[UNIT, other], ""), "/usr/bin/dockerd --insecure-registry=r");
    }

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(words("a 'b c'  \"d\"e"), ["a", "b c", "de"]);
    }
}
