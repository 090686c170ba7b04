//! CRI-O's registries, in files of `containers-registries.conf(5)`. In: a file's text. Out: the text with
//! the registry's entry as wanted.

use toml_edit::{ArrayOfTables, Item, Table, TableLike, Value, value};

use crate::{Error, Host, toml};

const LIST: &str = "registry";

/// The name of the registry's own file in `registries.conf.d`.
pub fn file_name(host: &Host) -> String {
    format!("50-lateen-{}.conf", host.file_name())
}

/// Whether the text has an entry for the registry.
pub fn names(text: &str, host: &Host) -> Result<bool, Error> {
    Ok(entries(text)?.iter().any(|(name, _)| name == host.as_str()))
}

/// The entries with whether they are insecure.
pub fn entries(text: &str) -> Result<Vec<(String, bool)>, Error> {
    let document = toml::parse(text)?;
    let Some(list) = document.get(LIST) else { return Ok(Vec::new()) };
    let tables: Vec<&dyn TableLike> = match list {
        Item::ArrayOfTables(tables) => tables.iter().map(|table| table as &dyn TableLike).collect(),
        // The other way to write it.
        Item::Value(Value::Array(tables)) => {
            let tables = tables.iter().map(|table| table.as_inline_table());
            let tables: Option<Vec<_>> = tables.collect();
            tables
                .ok_or_else(not_tables)?
                .into_iter()
                .map(|table| table as &dyn TableLike)
                .collect()
        }
        _ => return Err(not_tables()),
    };
    tables.into_iter().filter_map(|table| entry(table).transpose()).collect()
}

fn not_tables() -> Error {
    Error::wrong(LIST, "a list of tables, [[registry]]")
}

/// An entry's name and whether it is insecure, if it has a name.
fn entry(table: &dyn TableLike) -> Result<Option<(String, bool)>, Error> {
    for key in ["prefix", "location"] {
        if table.get(key).is_some_and(|item| !item.is_str()) {
            return Err(Error::wrong(format!("{LIST}.{key}"), "a text"));
        }
    }
    let insecure = match table.get("insecure") {
        None => false,
        Some(item) => item
            .as_bool()
            .ok_or_else(|| Error::wrong(format!("{LIST}.insecure"), "true or false"))?,
    };
    Ok(name(table).map(|name| (name.to_owned(), insecure)))
}

/// What the entry is about: its prefix, or without one its location.
fn name(table: &dyn TableLike) -> Option<&str> {
    let text = |key: &str| table.get(key).and_then(Item::as_str).filter(|text| !text.is_empty());
    text("prefix").or_else(|| text("location"))
}

/// The text in which the registry is insecure or not; `None` if nothing is left to say.
pub fn set(text: &str, host: &Host, insecure: bool) -> Result<Option<String>, Error> {
    let is_insecure = |(name, insecure): &(String, bool)| *insecure && name == host.as_str();
    let there = entries(text)?;
    // Nothing in it is of this program then.
    if !insecure && !there.iter().any(is_insecure) {
        return Ok(Some(text.to_owned()));
    }
    let mut document = toml::parse(text)?;
    let list = document
        .entry(LIST)
        .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()))
        .as_array_of_tables_mut()
        .ok_or_else(not_tables)?;
    let at = list.iter().position(|table| name(table) == Some(host.as_str()));
    let blocked = at.and_then(|at| list.get(at)?.get("blocked")?.as_bool());
    if insecure && blocked == Some(true) {
        let wanted = "false, and nothing is pulled from it";
        return Err(Error::wrong(format!("{LIST}.blocked of {}", host.as_str()), wanted));
    }
    match (at.and_then(|at| list.get_mut(at)), insecure) {
        (Some(table), true) if table.get("insecure").and_then(Item::as_bool) != Some(true) => {
            toml::put(table, "insecure", true);
        }
        (None, true) => {
            let mut table = Table::new();
            table.insert("location", value(host.as_str()));
            table.insert("insecure", value(true));
            list.push(table);
        }
        (Some(table), false) => {
            table.remove("insecure");
            if table.len() == 1 && table.contains_key("location") {
                list.remove(at.expect("invariant: the entry was found at a place"));
            }
        }
        _ => {}
    }
    if list.is_empty() {
        document.remove(LIST);
    }
    let text = toml::print(&document, text);
    Ok((!text.trim().is_empty()).then_some(text))
}

#[cfg(test)]
mod tests {
    use super::{entries, file_name, names, set};
    use crate::Host;

    fn host() -> Host {
        "r:5000".parse().unwrap()
    }

    #[test]
    fn a_file_of_its_own_is_made_and_unmade() {
        let made = set("", &host(), true).unwrap().unwrap();
        assert_eq!(made, "[[registry]]\nlocation = \"r:5000\"\ninsecure = true\n");
        assert_eq!(set(&made, &host(), true).unwrap().unwrap(), made);
        assert_eq!(set(&made, &host(), false).unwrap(), None);
        assert_eq!(file_name(&host()), "50-lateen-r_5000.conf");
    }

    #[test]
    fn an_entry_with_more_settings_keeps_them() {
        let before = "unqualified-search-registries = ['x']\n[[registry]]\nprefix = 'r:5000' # ours\nlocation = 'elsewhere'\n[[registry.mirror]]\nlocation = 'm'\n";
        assert!(names(before, &host()).unwrap());
        let after = set(before, &host(), true).unwrap().unwrap();
        assert_eq!(after, before.replace("'elsewhere'\n", "'elsewhere'\ninsecure = true\n"));
        assert_eq!(entries(&after).unwrap(), [("r:5000".to_owned(), true)]);
        assert_eq!(set(&after, &host(), false).unwrap().unwrap(), before);
    }

    #[test]
    fn other_registries_are_left_alone() {
        let before = "[[registry]]\nlocation = \"other\"\n";
        assert!(!names(before, &host()).unwrap());
        let after = set(before, &host(), true).unwrap().unwrap();
        assert!(after.starts_with(before), "{after}");
        assert_eq!(set(&after, &host(), false).unwrap().unwrap(), before);
    }

    #[test]
    fn other_shapes_are_refused() {
        for (text, wrong) in [
            ("registry = 1\n", "registry is not a list of tables"),
            ("[[registry]]\nlocation = 5\n", "registry.location is not a text"),
            (
                "[[registry]]\nlocation = 'r'\ninsecure = 'yes'\n",
                "registry.insecure is not true or false",
            ),
            (
                "[[registry]]\nlocation = 'r:5000'\nblocked = true\n",
                "registry.blocked of r:5000 is not false, and nothing is pulled from it",
            ),
        ] {
            assert!(set(text, &host(), true).unwrap_err().to_string().contains(wrong), "{text}");
        }
        let inline = "registry = [{location = 'r:5000', insecure = true}]\n";
        assert_eq!(entries(inline).unwrap(), [("r:5000".to_owned(), true)]);
        assert!(set("[[registry]\n", &host(), true).is_err());
    }
}
