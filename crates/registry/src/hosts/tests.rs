//! containerd's `hosts.toml` edited and read.

use super::{goes_on_unchecked, set, takes_any, tries_plain, trust};
use crate::{Host, Trust};

const INSECURE: &str = "server = \"http://r:5000\"

[host.\"https://r:5000\"]
capabilities = [\"pull\", \"resolve\"]
skip_verify = true
";
const AUTHORITY: &str = "server = \"https://r:5000\"
ca = \"lateen-ca.crt\"

[host.\"https://r:5000\"]
capabilities = [\"pull\", \"resolve\"]
ca = \"lateen-ca.crt\"
";

fn host() -> Host {
    "r:5000".parse().unwrap()
}

#[track_caller]
fn check(before: &str, wanted: Trust, after: &str) {
    let found = set(before, &host(), wanted).unwrap().unwrap_or_default();
    assert_eq!(found, after);
    assert_eq!(trust(&found, &host()).unwrap(), wanted);
    let again = set(&found, &host(), wanted).unwrap().unwrap_or_default();
    assert_eq!(again, found, "a second time");
}

#[test]
fn a_new_file_says_what_is_wanted_and_nothing_else() {
    check("", Trust::Insecure, INSECURE);
    check("", Trust::Authority, AUTHORITY);
    check(INSECURE, Trust::Authority, AUTHORITY);
    check(AUTHORITY, Trust::Insecure, INSECURE);
    check(INSECURE, Trust::System, "");
    check(AUTHORITY, Trust::System, "");
}

#[test]
fn a_mirror_with_its_comments_stays() {
    let mirror = "# ours\nserver = \"https://r:5000\" # last\n\n[host.\"https://mirror\"]\n  capabilities = [\"pull\"]\n  dial_timeout = \"1s\"\n";
    let both = "# ours\nserver = \"http://r:5000\" # last\n\n[host.\"https://mirror\"]\n  capabilities = [\"pull\"]\n  dial_timeout = \"1s\"\n\n[host.\"https://r:5000\"]\ncapabilities = [\"pull\", \"resolve\"]\nskip_verify = true\n";
    check(mirror, Trust::Insecure, both);
    check(both, Trust::System, mirror);
}

#[test]
fn a_table_with_more_in_it_stays() {
    let header = format!("{INSECURE}\n[host.\"https://r:5000\".header]\nx = \"y\"\n");
    let after = set(&header, &host(), Trust::System).unwrap().unwrap();
    assert!(after.contains("[host.\"https://r:5000\".header]\nx = \"y\"\n"), "{after}");
    assert!(after.starts_with("server = \"https://r:5000\"\n"), "{after}");
    assert!(!after.contains("skip_verify"), "{after}");
}

#[test]
fn no_way_past_the_authority_stays() {
    for before in [
        "[host.\"http://r:5000\"]\ncapabilities = [\"pull\"]\n",
        "skip_verify = true\n",
        "server = \"http://r:5000\"\nskip_verify = true\n\n[host.\"http://r:5000\"]\n",
        "server = \"http://r:5000/v2\"\n\n[host.\"http://r:5000/v2\"]\n",
    ] {
        check(before, Trust::Authority, AUTHORITY);
    }
    let elsewhere = "server = \"https://proxy\"\nskip_verify = true\n";
    let (_, tables) = AUTHORITY.split_once("\n\n").unwrap();
    check(elsewhere, Trust::Authority, &format!("{elsewhere}\n{tables}"));
}

#[test]
fn the_server_is_checked_by_the_authority_as_its_host_is() {
    let (_, tables) = AUTHORITY.split_once("\n\n").unwrap();
    for url in ["https://r:5000", "https://r:5000/", "https://r:5000/v2"] {
        let server = format!("server = \"{url}\"\n");
        let after = format!("{server}ca = \"lateen-ca.crt\"\n\n{tables}");
        // As it was written before, of the host alone.
        for before in [format!("{server}\n{tables}"), format!("{server}ca = \"old.crt\"\n")] {
            check(&before, Trust::Authority, &after);
        }
        let host_alone = format!("{server}\n{tables}");
        assert!(goes_on_unchecked(&host_alone, &host()).unwrap());
        for (skips, unchecked) in [(true, false), (false, true)] {
            let text = format!("skip_verify = {skips}\n{host_alone}");
            assert_eq!(goes_on_unchecked(&text, &host()).unwrap(), unchecked, "{skips}");
        }
        assert!(!goes_on_unchecked(&after, &host()).unwrap());
    }
    let elsewhere = format!("server = \"https://proxy\"\n\n{tables}");
    assert!(!goes_on_unchecked(&elsewhere, &host()).unwrap());
}

#[test]
fn another_server_stays_and_the_registry_is_asked_without_tls_before_it() {
    let tables = INSECURE.split_once('\n').unwrap().1;
    for server in ["https://r:5000/", "https://r:5000/v2", "https://proxy", "http://r:5001"] {
        let before = format!("server = \"{server}\"\n");
        let after = format!(
            "{before}{tables}\n[host.\"http://r:5000\"]\ncapabilities = [\"pull\", \"resolve\"]\n"
        );
        check(&before, Trust::Insecure, &after);
        assert!(tries_plain(&after, &host()).unwrap());
        check(&after, Trust::System, &before);
    }
}

#[test]
fn a_server_without_tls_is_known_with_containerds_path() {
    for url in ["http://r:5000/", "http://r:5000/v2", "http://r:5000/v2/"] {
        let server = format!("server = \"{url}\"\n");
        let table = format!("[host.\"{url}\"]\n");
        for text in [server, table] {
            assert!(tries_plain(&text, &host()).unwrap(), "{text}");
            let after = set(&text, &host(), Trust::Insecure).unwrap().unwrap();
            assert!(!after.contains("\"http://r:5000\"]"), "{after}");
        }
    }
    for text in
        ["", "server = \"http://r:5000/x\"\n", "[host.'https://r:5000']\nskip_verify = true\n"]
    {
        assert!(!tries_plain(text, &host()).unwrap(), "{text}");
    }
}

#[test]
fn any_certificate_will_do_where_a_line_says_so() {
    assert!(takes_any(INSECURE, &host()).unwrap());
    assert!(takes_any("skip_verify = true\n", &host()).unwrap());
    for text in [
        "[host.\"http://r:5000\"]\n",
        "server = \"https://proxy\"\nskip_verify = true\n",
        AUTHORITY,
    ] {
        assert!(!takes_any(text, &host()).unwrap(), "{text}");
    }
}

#[test]
fn what_is_not_valid_is_refused() {
    let error = set("server = \n", &host(), Trust::Insecure).unwrap_err().to_string();
    assert!(error.starts_with("not valid TOML: ") && error.contains("line 1"), "{error}");
    for (text, wrong) in [
        ("host = 1\n", "host is not a table of tables"),
        ("server = 1\n", "server is not a text"),
        ("[host.'https://r:5000']\nskip_verify = 'true'\n", "skip_verify is not true or false"),
        ("[host.'https://r:5000']\nca = [1]\n", "ca is not a text or a list of texts"),
    ] {
        let error = set(text, &host(), Trust::Insecure).unwrap_err().to_string();
        assert!(error.contains(wrong) && error.ends_with("correct it first"), "{error}");
    }
}
