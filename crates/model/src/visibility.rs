//! `exportTo`: which namespaces may see an object. In: the list as written. Out: a question answered.

use std::sync::Arc;

/// Where an object is visible. An absent list means the mesh's default, kept as `None` by the owner.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ExportTo {
    /// Every namespace (`*`).
    #[default]
    Everywhere,
    /// No namespace, not even its own (`~`).
    Nowhere,
    /// These namespaces; `.` is already replaced by the owner's.
    Namespaces(Vec<Arc<str>>),
}

impl ExportTo {
    /// Reads a list written in `namespace`; `None` when it is empty.
    pub fn parse<S: AsRef<str>>(list: &[S], namespace: &str) -> Option<Self> {
        let items: Vec<&str> =
            list.iter().map(|item| item.as_ref().trim()).filter(|item| !item.is_empty()).collect();
        if items.is_empty() {
            return None;
        }
        if items.contains(&"*") {
            return Some(Self::Everywhere);
        }
        let names: Vec<Arc<str>> = items
            .iter()
            .filter(|item| **item != "~")
            .map(|item| Arc::from(if *item == "." { namespace } else { item }))
            .collect();
        Some(if names.is_empty() { Self::Nowhere } else { Self::Namespaces(names) })
    }

    /// Whether an object of `owner` that carries this list is visible in `namespace`.
    pub fn allows(&self, namespace: &str) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Nowhere => false,
            Self::Namespaces(names) => names.iter().any(|name| &**name == namespace),
        }
    }

    /// A mesh-wide default (`.` stands for the owner's namespace), read for one owner.
    pub fn default_for(list: &[String], owner: &str) -> Self {
        Self::parse(list, owner).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::ExportTo;

    #[test]
    fn dot_is_the_own_namespace_and_tilde_is_nobody() {
        assert!(ExportTo::parse(&["."], "a").unwrap().allows("a"));
        assert!(!ExportTo::parse(&["."], "a").unwrap().allows("b"));
        assert!(!ExportTo::parse(&["~"], "a").unwrap().allows("a"));
        assert!(ExportTo::parse(&["x", "*"], "a").unwrap().allows("b"));
        assert_eq!(ExportTo::parse::<&str>(&[], "a"), None);
    }
}
