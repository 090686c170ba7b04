//! What an edit changes, for people. In: a text before and after. Out: a unified diff.

use std::fmt::Write;

/// Unchanged lines around a change.
const CONTEXT: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Keep,
    Remove,
    Add,
}

/// A unified diff of two texts, `None` being no file; empty if they are equal.
pub fn diff(path: &str, before: Option<&str>, after: Option<&str>) -> String {
    if before == after {
        return String::new();
    }
    let name = |side: &str, text: Option<&str>| match text {
        Some(_) => format!("{side}{path}"),
        None => "/dev/null".to_owned(),
    };
    let mut out = format!("--- {}\n+++ {}\n", name("a", before), name("b", after));
    let old: Vec<&str> = before.unwrap_or_default().split_inclusive('\n').collect();
    let new: Vec<&str> = after.unwrap_or_default().split_inclusive('\n').collect();
    let steps = steps(&old, &new);
    for (from, to) in hunks(&steps) {
        hunk(&mut out, &steps, (from, to), &old, &new);
    }
    out
}

/// The shortest way from `old` to `new`: equal ends are kept, and between them a longest common part.
fn steps(old: &[&str], new: &[&str]) -> Vec<Step> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[head..], &new[head..]);
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[..old.len() - tail], &new[..new.len() - tail]);
    let mut common = vec![vec![0_u32; new.len() + 1]; old.len() + 1];
    for (i, a) in old.iter().enumerate().rev() {
        for (j, b) in new.iter().enumerate().rev() {
            common[i][j] = match a == b {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let mut steps = vec![Step::Keep; head];
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        let step = match (old.get(i), new.get(j)) {
            (Some(a), Some(b)) if a == b => Step::Keep,
            (Some(_), Some(_)) if common[i + 1][j] < common[i][j + 1] => Step::Add,
            (Some(_), _) => Step::Remove,
            (None, _) => Step::Add,
        };
        i += usize::from(step != Step::Add);
        j += usize::from(step != Step::Remove);
        steps.push(step);
    }
    steps.extend(vec![Step::Keep; tail]);
    steps
}

/// Ranges of steps with their context, those that touch joined.
fn hunks(steps: &[Step]) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (at, _) in steps.iter().enumerate().filter(|(_, step)| **step != Step::Keep) {
        let (from, to) = (at.saturating_sub(CONTEXT), (at + 1 + CONTEXT).min(steps.len()));
        match found.last_mut() {
            Some(last) if from <= last.1 => last.1 = to,
            _ => found.push((from, to)),
        }
    }
    found
}

fn hunk(out: &mut String, steps: &[Step], (from, to): (usize, usize), old: &[&str], new: &[&str]) {
    let count =
        |steps: &[Step], without: Step| steps.iter().filter(|step| **step != without).count();
    let (mut i, mut j) = (count(&steps[..from], Step::Add), count(&steps[..from], Step::Remove));
    let lines = (count(&steps[from..to], Step::Add), count(&steps[from..to], Step::Remove));
    let start = |at: usize, lines: usize| at + usize::from(lines > 0);
    let _ = writeln!(
        out,
        "@@ -{},{} +{},{} @@",
        start(i, lines.0),
        lines.0,
        start(j, lines.1),
        lines.1
    );
    for step in &steps[from..to] {
        let (mark, line) = match step {
            Step::Keep => (' ', old[i]),
            Step::Remove => ('-', old[i]),
            Step::Add => ('+', new[j]),
        };
        i += usize::from(*step != Step::Add);
        j += usize::from(*step != Step::Remove);
        let _ = match line.ends_with('\n') {
            true => write!(out, "{mark}{line}"),
            false => writeln!(out, "{mark}{line}\n\\ No newline at end of file"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::diff;

    #[test]
    fn a_changed_line_has_its_surroundings() {
        let before = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        let found = diff("/f", Some(before), Some(&before.replace('5', "five")));
        assert_eq!(found, "--- a/f\n+++ b/f\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n");
    }

    #[test]
    fn files_come_and_go() {
        assert_eq!(
            diff("/f", None, Some("x")),
            "--- /dev/null\n+++ b/f\n@@ -0,0 +1,1 @@\n+x\n\\ No newline at end of file\n"
        );
        assert_eq!(diff("/f", Some("x\n"), None), "--- a/f\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-x\n");
        assert_eq!(diff("/f", Some("x"), Some("x")), "");
    }

    #[test]
    fn common_lines_between_changes_are_kept() {
        let found = diff("/f", Some("a\nb\nc\n"), Some("x\nb\ny\n"));
        assert_eq!(found, "--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n-a\n+x\n b\n-c\n+y\n");
    }
}
