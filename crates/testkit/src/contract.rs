//! The graph API as its page reads it. In: real answers of the Rust side, each with the TypeScript type that it must
//! have. Out: a module in `ui/tests/contract`, which the page's type check reads: a field that either side renames
//! fails there, or here.

use std::fmt::Write;
use std::path::Path;

use serde_json::Value;

/// An answer: its name, its type, itself.
pub type Answer<'a> = (&'a str, &'a str, Value);

/// Compares the module with what is kept; `UPDATE_GOLDEN=1` writes it anew.
///
/// # Panics
/// If they differ.
pub fn check(file: &str, by: &str, types: &[&str], answers: &[Answer<'_>]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui/tests/contract").join(file);
    let now = module(by, types, answers);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, now).expect("the contract can be written");
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == now,
        "{}: the API's answers are others now: UPDATE_GOLDEN=1 writes them, and npm run check in ui/ says \
         whether the page knows them",
        path.display()
    );
}

fn module(by: &str, types: &[&str], answers: &[Answer<'_>]) -> String {
    let mut text = format!(
        "// Answers of the graph API, written by the tests of {by} (UPDATE_GOLDEN=1). Checked by tsc.\n\
         import type {{ {} }} from \"../../src/api/types\";\n",
        types.join(", ")
    );
    for (name, r#type, answer) in answers {
        writeln!(text, "\nexport const {name}: {type} = {answer:#};")
            .expect("writing to a string does not fail");
    }
    text
}
