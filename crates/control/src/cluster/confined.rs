//! The lists of the mesh for readers who may look into some namespaces only. In: pages, and who asks. Out: the same
//! without what is in other namespaces. Pages that know readers themselves are left as they are.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::BoxFuture;
use lateen_runtime::admin::Page;
use lateen_runtime::pages::{Ask, Pages};
use serde_json::Value;

/// Pages that confine their readers themselves.
const KNOWING: [&str; 5] = ["status", "graph", "series", "failures", "logs"];
/// Lists that take the parameter `namespaces`.
const LISTS: [&str; 4] = ["services", "workloads", "applications", "config"];
/// No namespace's name: it is no DNS label.
const NONE: &str = "-";

/// The pages of the graph API for everybody.
pub struct Confined(pub Arc<dyn Pages>);

impl Pages for Confined {
    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Option<Page>> {
        let Some(namespaces) = ask.reader.confined_to() else { return self.0.answer(ask) };
        Box::pin(async move {
            let path = ask.path.strip_prefix("/api/v1/")?;
            if LISTS.contains(&path) {
                let query = narrowed(&ask.query, namespaces);
                return self.0.answer(&Ask { query, ..ask.clone() }).await;
            }
            if path == "namespaces" {
                let here =
                    |row: &Value| row["name"].as_str().is_some_and(|n| namespaces.contains(n));
                return Some(only(self.0.answer(ask).await?, "namespaces", here));
            }
            // Single objects are read with the reader's own rights; what they act on may be anywhere.
            if path.starts_with("config/") {
                let here = |id: &Value| id.as_str().is_some_and(|id| is_here(id, namespaces));
                return Some(only(self.0.answer(ask).await?, "actsOn", here));
            }
            if KNOWING.contains(&path) {
                return self.0.answer(ask).await;
            }
            let known = self.0.answer(ask).await.is_some();
            let text = "this is for those who may list services in all namespaces";
            known.then(|| Page::problem(403, text))
        })
    }
}

/// Whether a node of the graph, `KIND/NAMESPACE/NAME`, is in one of these.
fn is_here(id: &str, namespaces: &BTreeSet<String>) -> bool {
    id.split('/').nth(1).is_some_and(|namespace| namespaces.contains(namespace))
}

/// The query, of these namespaces at most. Whether the reader may know of a selection, the page decides.
fn narrowed(query: &str, namespaces: &BTreeSet<String>) -> String {
    let given = || form_urlencoded::parse(query.as_bytes());
    let wanted = given().find(|(name, value)| name == "namespaces" && !value.is_empty());
    let wanted: Option<Vec<Cow<'_, str>>> = wanted
        .as_ref()
        .map(|(_, names)| names.split(',').map(|name| Cow::Borrowed(name.trim())).collect());
    let shown = namespaces
        .iter()
        .filter(|name| wanted.as_ref().is_none_or(|all| all.iter().any(|one| one == *name)));
    let mut shown: Vec<&str> = shown.map(String::as_str).collect();
    if shown.is_empty() {
        shown.push(NONE);
    }
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(given().filter(|(name, _)| name != "namespaces"))
        .append_pair("namespaces", &shown.join(","))
        .finish()
}

/// The page, whose list of this name has only what is `here`.
fn only(page: Page, name: &str, here: impl Fn(&Value) -> bool) -> Page {
    if page.status != 200 {
        return page;
    }
    let Ok(mut shown) = serde_json::from_slice::<Value>(&page.body) else {
        return Page::problem(500, format!("the page with {name} is none"));
    };
    if let Some(rows) = shown[name].as_array_mut() {
        rows.retain(here);
    }
    Page::json(&shown)
}

#[cfg(test)]
mod tests {
    use lateen_runtime::pages::{Reader, Secret, User, at_once};

    use super::*;

    fn jane(namespaces: &[&str]) -> Reader {
        let namespaces = namespaces.iter().map(|name| (*name).to_owned()).collect();
        Reader::User(User {
            name: "jane".to_owned(),
            groups: Vec::new(),
            token: Secret::new("t"),
            namespaces: Some(Arc::new(namespaces)),
        })
    }

    async fn get(reader: Reader, path: &str, query: &str) -> (u16, String) {
        let pages = Confined(at_once(|ask| match &*ask.path {
            "/api/v1/namespaces" => Some(Page::text(
                r#"{"namespaces": [{"name": "shop"}, {"name": "bank"}, {"name": "lab"}]}"#,
            )),
            "/api/v1/config/DestinationRule.networking.istio.io/shop/all" => Some(Page::text(
                r#"{"actsOn": ["service/bank/vault", "service/shop/web", "workload/bank/vault-1"], "name": "all"}"#,
            )),
            "/api/v1/nothing" => None,
            _ => Some(Page::text(ask.query.clone())),
        }));
        let page = pages.answer(&Ask { reader, ..Ask::get(path, query) }).await.unwrap();
        (page.status, String::from_utf8(page.body).unwrap())
    }

    #[tokio::test]
    async fn lists_are_of_the_readers_namespaces_whatever_is_asked_for() {
        let jane = || jane(&["lab", "shop"]);
        for (query, asked) in [
            ("", "namespaces=lab%2Cshop"),
            ("namespaces=&search=a", "search=a&namespaces=lab%2Cshop"),
            ("namespaces=bank,+shop", "namespaces=shop"),
            ("namespaces=bank", "namespaces=-"),
            ("actsOn=service/shop/web", "actsOn=service%2Fshop%2Fweb&namespaces=lab%2Cshop"),
            ("namespaces=shop&namespaces=bank", "namespaces=shop"),
        ] {
            for path in ["services", "workloads", "applications", "config"] {
                let page = get(jane(), &format!("/api/v1/{path}"), query).await;
                assert_eq!(page, (200, asked.to_owned()), "{path}?{query}");
            }
        }
        let (_, list) = get(jane(), "/api/v1/namespaces", "").await;
        assert!(list.contains("shop") && list.contains("lab") && !list.contains("bank"), "{list}");
    }

    #[tokio::test]
    async fn what_an_object_acts_on_elsewhere_is_not_told() {
        let path = "/api/v1/config/DestinationRule.networking.istio.io/shop/all";
        let (status, object) = get(jane(&["shop"]), path, "").await;
        let object: Value = serde_json::from_str(&object).unwrap();
        let expected = serde_json::json!({ "actsOn": ["service/shop/web"], "name": "all" });
        assert_eq!((status, object), (200, expected));
        assert!(get(Reader::Owner, path, "").await.1.contains("bank"));
    }

    #[tokio::test]
    async fn what_nobody_thought_of_is_for_those_who_see_everything() {
        let asked = |reader| get(reader, "/api/v1/other", "namespaces=bank");
        assert_eq!(asked(jane(&["shop"])).await.0, 403);
        assert_eq!(asked(Reader::Owner).await, (200, "namespaces=bank".to_owned()));
    }
}
