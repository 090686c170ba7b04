//! Query parameters of the graph API. In: a query. Out: its values by name. No name that is not known is passed over:
//! whoever misspells one would be shown, or would change, something else than they asked for.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// Characters of a name that are repeated to whoever gave it.
const NAMED: usize = 64;

/// Values by name.
pub type Pairs<'q> = BTreeMap<Cow<'q, str>, Cow<'q, str>>;

/// All that a query gives.
///
/// # Errors
/// If a name is given twice.
pub fn pairs(query: &str) -> Result<Pairs<'_>, String> {
    let mut all = Pairs::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if all.insert(name.clone(), value).is_some() {
            return Err(format!("{} is given twice", short(&name)));
        }
    }
    Ok(all)
}

/// The same of a page that takes these names only.
pub(crate) fn of_page<'q>(query: &'q str, names: &[&str]) -> Result<Pairs<'q>, String> {
    let all = pairs(query)?;
    match all.keys().find(|name| !names.contains(&&***name)) {
        None => Ok(all),
        Some(name) => Err(not_taken(name, names)),
    }
}

/// What is said of a name that a page does not take, which takes these.
pub fn not_taken(name: &str, names: &[&str]) -> String {
    let name = short(name);
    if names.is_empty() {
        return format!("{name} is not known: this page takes no parameters");
    }
    format!("{name} is not a parameter of this page: it takes {}", names.join(", "))
}

/// A name, or a value, as it is repeated: whoever gave it may have given any.
pub(crate) fn short(name: &str) -> String {
    format!("{:?}", name.chars().take(NAMED).collect::<String>())
}
