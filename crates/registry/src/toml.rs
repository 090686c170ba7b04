//! TOML texts edited in place, by toml_edit. In: a text. Out: a document, and steps into its tables.

use toml_edit::{DocumentMut, Item, Table, TableLike, Value};

use crate::Error;

pub fn parse(text: &str) -> Result<DocumentMut, Error> {
    Error::refuse_mark(text)?;
    text.parse().map_err(|error: toml_edit::TomlError| {
        // The library's message shows the place over several lines; the first one names it.
        let text = error.to_string();
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let place = lines.next().unwrap_or_default().trim_start_matches("TOML parse error ");
        Error::Toml(format!("{place}: {}", error.message().replace('\n', ", ")))
    })
}

/// The document's text with the line ends that `before` had.
pub fn print(document: &DocumentMut, before: &str) -> String {
    let text = document.to_string();
    match before.contains("\r\n") && !text.contains("\r\n") {
        true => text.replace('\n', "\r\n"),
        false => text,
    }
}

/// What is at `path`, if there is something.
pub fn get<'a>(document: &'a DocumentMut, path: &[&str]) -> Option<&'a Item> {
    path.iter().try_fold(document.as_item(), |item, key| item.get(key))
}

/// What a setting has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Text,
    Flag,
    Number,
    Texts,
    /// One text, or several.
    TextOrTexts,
    Table,
    /// A table of tables.
    Tables,
}

impl Shape {
    fn name(self) -> &'static str {
        match self {
            Shape::Text => "a text",
            Shape::Flag => "true or false",
            Shape::Number => "a number from 0 on",
            Shape::Texts => "a list of texts",
            Shape::TextOrTexts => "a text or a list of texts",
            Shape::Table => "a table",
            Shape::Tables => "a table of tables",
        }
    }

    fn fits(self, item: &Item) -> bool {
        let texts = || item.as_array().is_some_and(|list| list.iter().all(Value::is_str));
        match self {
            Shape::Text => item.is_str(),
            Shape::Flag => item.is_bool(),
            Shape::Number => item.as_integer().is_some_and(|number| number >= 0),
            Shape::Texts => texts(),
            Shape::TextOrTexts => item.is_str() || texts(),
            Shape::Table => item.is_table_like(),
            Shape::Tables => item
                .as_table_like()
                .is_some_and(|table| table.iter().all(|(_, item)| item.is_table_like())),
        }
    }
}

/// An error unless what is at each path, if there is something, has its shape. A table's path comes
/// before those into it.
pub fn check(document: &DocumentMut, shapes: &[(&[&str], Shape)]) -> Result<(), Error> {
    let wrong = |(path, shape): &&(&[&str], Shape)| {
        get(document, path).is_some_and(|item| !shape.fits(item))
    };
    match shapes.iter().find(wrong) {
        Some((path, shape)) => Err(Error::wrong(path.join("."), shape.name())),
        None => Ok(()),
    }
}

/// The table at `path`, made where it is missing; tables on the way to it do not show.
pub fn table<'a>(
    document: &'a mut DocumentMut,
    path: &[&str],
) -> Result<&'a mut dyn TableLike, Error> {
    let mut item = document.as_item_mut();
    for (depth, key) in path.iter().enumerate() {
        let wrong = || Error::Type { key: path[..=depth].join("."), wanted: "a table" };
        let inline = item.is_inline_table();
        let tables = item.as_table_like_mut().ok_or_else(wrong)?;
        let next = tables.entry(key).or_insert_with(|| match inline {
            true => toml_edit::value(toml_edit::InlineTable::new()),
            false => {
                let mut made = Table::new();
                made.set_implicit(depth + 1 < path.len());
                Item::Table(made)
            }
        });
        if !next.is_table_like() {
            return Err(wrong());
        }
        item = next;
    }
    item.as_table_like_mut().ok_or(Error::Type { key: path.join("."), wanted: "a table" })
}

/// Sets a key of a table; the comment behind its line, and the indentation of the table's lines, stay.
pub fn put(table: &mut dyn TableLike, key: &str, value: impl Into<Value>) {
    let mut value = value.into();
    if let Some(Item::Value(current)) = table.get_mut(key) {
        value.decor_mut().clone_from(current.decor());
        *current = value;
        return;
    }
    let indent = table.get_values().iter().find_map(|(keys, _)| {
        let prefix = keys.first()?.leaf_decor().prefix()?.as_str()?;
        Some(prefix.rsplit('\n').next().unwrap_or_default().to_owned())
    });
    table.insert(key, Item::Value(value));
    let indent = indent.filter(|indent| !indent.is_empty() && indent.trim().is_empty());
    if let (Some(indent), Some(mut key)) = (indent, table.key_mut(key)) {
        key.leaf_decor_mut().set_prefix(indent);
    }
}

/// Removes the table at `path` and those above it that it leaves empty and that no line of the text names.
pub fn prune(document: &mut DocumentMut, path: &[&str]) {
    for depth in (1..=path.len()).rev() {
        let (key, above) = (path[depth - 1], &path[..depth - 1]);
        let above = above.iter().try_fold(document.as_item_mut(), |item, key| item.get_mut(key));
        let Some(above) = above.and_then(Item::as_table_like_mut) else { return };
        let named = |item: &Item| item.as_table().is_none_or(|table| !table.is_implicit());
        match above.get(key) {
            Some(item)
                if item.as_table_like().is_some_and(|table| table.is_empty())
                    && (depth == path.len() || !named(item)) =>
            {
                above.remove(key);
            }
            _ => return,
        }
    }
}
