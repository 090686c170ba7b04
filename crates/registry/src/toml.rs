//! TOML texts edited in place, by toml_edit. In: a text. Out: a document, and steps into its tables.

use toml_edit::{DocumentMut, Item, Table, TableLike, Value};

use crate::Error;

/// As containerd's own files are indented.
const DEEPER: &str = "  ";

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

/// The document's text with the line ends and the headers' quotes that `before` had.
pub fn print(document: &DocumentMut, before: &str) -> String {
    let text = with_quotes(document.to_string(), before);
    match before.contains("\r\n") && !text.contains("\r\n") {
        true => text.replace('\n', "\r\n"),
        false => text,
    }
}

/// The document writes a key in all headers as the first one has it; where only that changed a line, it is put back.
fn with_quotes(text: String, before: &str) -> String {
    let is_header = |line: &str| line.trim_start().starts_with('[');
    let bare = |line: &str| line.trim_end().replace(['"', '\''], "");
    let mut headers = before.lines().filter(|line| is_header(line)).collect::<Vec<_>>().into_iter();
    let mut restored = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let found = match is_header(line) {
            true => headers.as_slice().iter().position(|header| bare(header) == bare(line)),
            false => None,
        };
        match found.and_then(|at| headers.nth(at)) {
            Some(header) => restored.extend([header.trim_end(), &line[line.trim_end().len()..]]),
            None => restored.push_str(line),
        }
    }
    // Lines of a long value may look like headers: nothing but quotes may differ for a reader either.
    let is_same = restored.parse::<DocumentMut>().is_ok_and(|again| again.to_string() == text);
    if is_same { restored } else { text }
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

/// Where a line in a table would be that is indented but has none yet: deeper than its header.
pub fn indent_below(item: Option<&Item>) -> Option<String> {
    let header = item?.as_table()?.decor().prefix()?.as_str()?;
    let indent = header.rsplit('\n').next().unwrap_or_default();
    (!indent.is_empty() && indent.trim().is_empty()).then(|| format!("{indent}{DEEPER}"))
}

/// Sets a key of a table; the comment behind its line, and the indentation of the table's lines, stay.
pub fn put(table: &mut dyn TableLike, key: &str, value: impl Into<Value>) {
    put_indented(table, key, value, None);
}

/// The same; `first` is the indentation of a table's first line.
pub fn put_indented(
    table: &mut dyn TableLike,
    key: &str,
    value: impl Into<Value>,
    first: Option<String>,
) {
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
    let indent = indent.or(first).filter(|indent| !indent.is_empty() && indent.trim().is_empty());
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
