//! Forms of texts as JSON schemas, of what Go's regular expressions and JavaScript's have in common. In: a form, or a
//! range of numbers. Out: keywords beside a schema's type. That they take and refuse what the form itself does is a
//! test's.

use lateen_install::{Form, LEVELS, PROXY_LEVELS};
use serde_json::{Value, json};

const LABEL: &str = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?";
/// A part of a domain, and one in whatever letters.
const PART_OF_NAME: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const ANY_PART: &str = "[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?";
const VALUE: &str = "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?";
const DIGEST: &str = "[A-Za-z0-9+._-]+:[0-9a-fA-F]{32,}";
const TAG: &str = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}";
/// A part of an image's path; the first one has no dot, where a registry may stand.
const PART: &str = "[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*";
const FIRST: &str = "[a-z0-9]+((_|__|-+)[a-z0-9]+)*";
const OCTET: &str = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
/// Up to 65535, and from 1 on.
const PORT: &str =
    "(6553[0-5]|655[0-2][0-9]|65[0-4][0-9][0-9]|6[0-4][0-9]{3}|[1-5][0-9]{4}|[0-9]{1,4})";
const SOME_PORT: &str =
    "(6553[0-5]|655[0-2][0-9]|65[0-4][0-9][0-9]|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})";
/// As protobuf and Go write durations, not less than nothing.
const SPAN: &str = "(([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+|0";

/// Of a text that may be empty, which stands for the default.
pub fn of(form: Form) -> Value {
    with_empty(form, true)
}

/// Of an item of a list.
pub fn of_item(form: Form) -> Value {
    with_empty(form, form.check_item("").is_ok())
}

/// Of a port's number as a text.
pub fn port() -> String {
    format!("^\\s*0*{PORT}\\s*$")
}

fn with_empty(form: Form, may_be_empty: bool) -> Value {
    let words = |words: &[&str]| {
        let empty = may_be_empty.then_some("");
        json!({ "enum": empty.iter().chain(words).collect::<Vec<_>>() })
    };
    let (pattern, rest) = match form {
        Form::ProxyLevel => return words(&PROXY_LEVELS),
        Form::Family => return words(&["IPv4", "IPv6"]),
        Form::ExternalIp => (ip(), but(UNREACHABLE)),
        Form::FileName => ("[^/]*".to_owned(), but("^\\.\\.?$")),
        Form::Folder => ("/[\\s\\S]*".to_owned(), but("/\\.\\.(/|$)")),
        Form::InnerPath => ("[^/][\\s\\S]*".to_owned(), but("(^|/)\\.\\.(/|$)")),
        form => (pattern(form), longest(form)),
    };
    let mut schema = rest;
    let optional = if may_be_empty { "?" } else { "" };
    schema["pattern"] = json!(format!("^({pattern}){optional}$"));
    schema[MESSAGE] = json!(message(form));
    schema
}

/// Where a schema has what is said of a text that does not fit, with `%q` in its place.
pub const MESSAGE: &str = "x-message";

/// In the words of `install`.
fn message(form: Form) -> String {
    let sample = match form {
        Form::MountPath => ":",
        Form::FileName | Form::InnerPath => "/",
        _ => "é",
    };
    let message = form.check_item(sample).expect_err("no form takes everything");
    message.replace('%', "%%").replace(&format!("{sample:?}"), "%q")
}

fn but(pattern: &str) -> Value {
    json!({ "not": { "type": "string", "pattern": pattern } })
}

/// Loopback, unspecified and link-local addresses, in the spellings that there are.
const UNREACHABLE: &str = "^(127\\.|0\\.0\\.0\\.0$|169\\.254\\.|224\\.0\\.0\\.|[0:]+:0*1?$|[fF][eE][89abAB][0-9a-fA-F]:|[fF]{2}[0-9a-fA-F]2:)";

fn longest(form: Form) -> Value {
    match form {
        Form::Label => json!({ "maxLength": 63 }),
        Form::PortName => json!({ "maxLength": 15 }),
        Form::Domain | Form::Name | Form::Secret => json!({ "maxLength": 253 }),
        Form::TrustDomain | Form::Image => json!({ "maxLength": 255 }),
        // The image's name comes behind it.
        Form::Hub => json!({ "maxLength": 255 - "/lateen".len() }),
        Form::Key | Form::AnnotationKey | Form::Resource => but("^[^/]{254,}/"),
        _ => json!({}),
    }
}

/// Of the whole of a text.
fn pattern(form: Form) -> String {
    let each = |item: &str| format!("[\\s,]*(({item})\\s*(,[\\s,]*|$))*");
    let all_or = |each: String| format!("\\s*\\*\\s*|{each}");
    let levels = LEVELS.join("|");
    match form {
        Form::Domain => format!("{}\\.?", domain(PART_OF_NAME)),
        Form::Name | Form::Secret => domain(PART_OF_NAME),
        Form::Label => LABEL.to_owned(),
        Form::Key => format!("({}/)?{VALUE}", domain(PART_OF_NAME)),
        Form::AnnotationKey => format!("({}/)?{VALUE}", domain(ANY_PART)),
        Form::Value => VALUE.to_owned(),
        Form::Image => image(),
        Form::Hub => format!("({}|{FIRST})(/{PART})*", registry()),
        Form::Tag => format!("{TAG}(@{DIGEST})?"),
        Form::ProxyLevels => {
            let one = format!("\\s*[^:,\\s][^:,]*:({})\\s*", PROXY_LEVELS.join("|"));
            format!("{one}(,{one})*")
        }
        Form::Levels => {
            let one = format!("\\s*([^:,]*:)?({levels})\\s*");
            format!("{one}(,{one})*")
        }
        Form::Address => format!("([^:/\\[\\] ]+|\\[({})\\]):0*{SOME_PORT}", v6()),
        Form::Span => SPAN.to_owned(),
        Form::TrustDomain => "[a-z0-9._-]*".to_owned(),
        Form::Ranges => each(&range()),
        Form::RangesOrAll => all_or(each(&range())),
        Form::Ports => each(&format!("0*{PORT}")),
        Form::PortsOrAll => all_or(each(&format!("0*{PORT}"))),
        Form::Https => "https://[\\s\\S]*".to_owned(),
        Form::CallPath => "/[\\s\\S]*".to_owned(),
        Form::Base64 => base64(),
        Form::Range => format!("\\s*({})\\s*", range()),
        Form::Ip => ip(),
        Form::ClusterIp => format!("None|{}", ip()),
        Form::PortName => "([0-9]+-)*[0-9]*[a-z][a-z0-9]*(-[a-z0-9]+)*".to_owned(),
        Form::Resource => resource(),
        Form::Variable => "[ -<>-~]*".to_owned(),
        Form::MountPath => "[^:]*".to_owned(),
        Form::ProxyLevel
        | Form::Family
        | Form::ExternalIp
        | Form::FileName
        | Form::Folder
        | Form::InnerPath => unreachable!("they have more than a pattern"),
    }
}

/// Four characters for three bytes, and lines wherever they end.
fn base64() -> String {
    let (one, end) = ("[\\r\\n]*[A-Za-z0-9+/]", "[\\r\\n]*=");
    format!("(({one}){{4}})*(({one}){{2}}({end}){{2}}|({one}){{3}}{end})?[\\r\\n]*")
}

fn resource() -> String {
    format!("cpu|memory|ephemeral-storage|hugepages-.*|{}/{VALUE}", domain(PART_OF_NAME))
}

/// A host that is told from a path, with its port.
fn registry() -> String {
    format!("({}|\\[[0-9a-fA-F:.]+\\])(:0*{PORT})?", domain(ANY_PART))
}

/// Parts with dots between them.
fn domain(part: &str) -> String {
    format!("{part}(\\.{part})*")
}

fn image() -> String {
    let path = format!("({PART}|({}|{FIRST})(/{PART})+)", registry());
    format!("{path}(:{TAG})?(@{DIGEST})?")
}

fn v4() -> String {
    format!("{OCTET}(\\.{OCTET}){{3}}")
}

/// RFC 4291's spellings: whole, with zeros left out behind some of the groups, and with an IPv4 address at the end.
fn v6() -> String {
    let group = "[0-9a-fA-F]{1,4}";
    let mut all = vec![format!("({group}:){{7}}{group}"), format!("({group}:){{1,7}}:")];
    all.extend((1..=6).map(|before| {
        let after = 7 - before;
        format!("({group}:){{{before}}}(:{group}){{1,{after}}}")
    }));
    all.push(format!(":(:{group}){{1,7}}|::"));
    let v4 = v4();
    all.push(format!("({group}:){{6}}{v4}"));
    all.extend((1..=5).map(|before| {
        let after = 5 - before;
        format!("({group}:){{{before}}}(:{group}){{0,{after}}}:{v4}")
    }));
    all.push(format!(":(:{group}){{0,5}}:{v4}"));
    all.join("|")
}

fn ip() -> String {
    format!("{}|{}", v4(), v6())
}

fn range() -> String {
    format!("{}/(3[0-2]|[12]?[0-9])|({})/(12[0-8]|1[01][0-9]|[1-9]?[0-9])", v4(), v6())
}
