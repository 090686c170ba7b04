//! Which of several files a finding is about. In: an issue of the spec that they make together, and the
//! files. Out: the issue, with the names of those that have its field, or as much of its path as any has, in a length
//! that people read.

use lateen_api::issue::Issue;
use serde_json::Value;

/// One file needs no name.
pub fn named(issue: Issue, files: &[(String, Value)]) -> Issue {
    let mut depths: Vec<(usize, &str)> = files
        .iter()
        .map(|(name, document)| (depth(document, &issue.path), name.as_str()))
        .collect();
    let several = depths.iter().any(|(_, name)| *name != depths[0].1);
    let deepest = depths.iter().map(|(depth, _)| *depth).max().unwrap_or_default();
    if !several || deepest < 2 {
        return issue;
    }
    depths.retain(|(depth, _)| *depth == deepest);
    depths.dedup();
    let names: Vec<&str> = depths.into_iter().map(|(_, name)| name).collect();
    let message = format!("{} (in {})", issue.message, names.join(" or "));
    Issue { message, ..issue }
}

/// Letters of a path or of a message; what a file has in a place may be as long as the file.
const LETTERS: usize = 600;

/// The issue in a length that people read.
pub fn clipped(mut issue: Issue) -> Issue {
    for text in [&mut issue.path, &mut issue.message] {
        let letters = text.chars().count();
        if letters > LETTERS {
            let begin: String = text.chars().take(LETTERS / 2).collect();
            let end: String = text.chars().skip(letters - LETTERS / 4).collect();
            *text = format!("{begin} [...] {end}");
        }
    }
    issue
}

/// How many steps of a path a document has. An item of a list ends the count: files that are laid over each
/// other have items of their own.
fn depth(document: &Value, path: &str) -> usize {
    let (mut at, mut depth) = (document, 0);
    for step in path.split('.') {
        let (key, item) = step.split_once('[').map_or((step, false), |(key, _)| (key, true));
        let Some(inner) = at.get(key).filter(|inner| !inner.is_null()) else { break };
        (at, depth) = (inner, depth + 1);
        if item {
            break;
        }
    }
    depth
}
