//! Rules that a node lays for a pod. In: what the pod's init container would be told, from elsewhere. Out: an
//! [`Intercept`], and the kernel's rules in the pod's namespace. Flags of the command that do something else
//! than say rules, such as which namespace is meant, have no effect here: pods' authors write them.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;

use anyhow::{Context, Result, anyhow};
use clap::{Args, Command, FromArgMatches};
use lateen_cni::exchange::Rules;
use lateen_netns::ns::in_netns;
use lateen_netns::pod::{self, Means};
use lateen_netns::rules::Intercept;

use super::flags::{InterceptionCommand, Mode};
use super::{lacking, lists};

/// `None` where nothing is to be intercepted.
pub fn read(rules: &Rules) -> Result<Option<Intercept>> {
    let mut command = parse(rules)?;
    if command.mode == Mode::None {
        return Ok(None);
    }
    command.switches.capture_all_dns |= rules.resolv_conf.is_none();
    lists::intercept(&command, || Ok(rules.resolv_conf.clone().unwrap_or_default())).map(Some)
}

/// Lays them in a namespace; out comes what is not as it was asked.
pub fn lay(intercept: &Intercept, namespace: BorrowedFd<'_>) -> Result<Vec<String>> {
    let laid = in_netns(namespace, || pod::lay(intercept, Means::Nftables))?;
    Ok(laid?.iter().map(lacking).collect())
}

/// The environment of this process is another's.
fn parse(rules: &Rules) -> Result<InterceptionCommand> {
    let command = InterceptionCommand::augment_args(Command::new("interception"));
    let mut words = vec!["interception".to_owned()];
    words.extend(command.get_arguments().filter_map(|flag| variable(flag, &rules.variables)));
    words.extend(rules.arguments.iter().cloned());
    let command = command.mut_args(|flag| flag.env(None)).args_override_self(true);
    let command = command.disable_help_flag(true);
    let matches = command.try_get_matches_from(words).map_err(|error| {
        // Advice on usage follows after an empty line; a value may have lines of its own.
        let words = error.to_string();
        let (message, _) = words.split_once("\n\n").unwrap_or((words.as_str(), ""));
        anyhow!("{}", message.trim_end().replace('\n', " "))
    });
    let matches = matches.context("the pod's rules cannot be read")?;
    InterceptionCommand::from_arg_matches(&matches).context("the pod's rules cannot be read")
}

/// A variable that stands for a flag, as that flag; the command line counts after it.
fn variable(flag: &clap::Arg, variables: &BTreeMap<String, String>) -> Option<String> {
    let value = variables.get(flag.get_env()?.to_str()?)?;
    Some(format!("--{}={value}", flag.get_long()?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use lateen_cni::exchange::Rules;
    use lateen_netns::rules::Transparent;

    use super::read;

    fn rules(arguments: &[&str], variables: &[(&str, &str)], resolv_conf: Option<&str>) -> Rules {
        let text = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Rules {
            arguments: arguments.iter().map(|one| (*one).to_owned()).collect(),
            variables: variables.iter().map(text).collect::<BTreeMap<_, _>>(),
            resolv_conf: resolv_conf.map(str::to_owned),
        }
    }

    #[test]
    fn variables_stand_for_flags_and_flags_count_first() {
        let variables = [("PROXY_UID", "7"), ("ISTIO_META_DNS_CAPTURE", "true"), ("PATH", "/x")];
        let told = rules(&["-i", "*", "-b", "*"], &variables, Some("nameserver 10.96.0.10\n"));
        let intercept = read(&told).unwrap().unwrap();
        assert_eq!(intercept.uids, [7]);
        assert_eq!(intercept.dns.unwrap().servers, Some(vec!["10.96.0.10".parse().unwrap()]));
        let told = rules(&["-u", "1337", "-u", "8"], &variables, None);
        let intercept = read(&told).unwrap().unwrap();
        assert_eq!(intercept.uids, [8]);
        assert_eq!(intercept.dns.unwrap().servers, None, "unknown servers: all are captured");
    }

    #[test]
    fn what_is_no_rule_has_no_effect_and_what_is_wrong_is_told() {
        let elsewhere = ["--network-namespace", "/proc/1/ns/net", "--cleanup-only", "-m", "TPROXY"];
        let intercept = read(&rules(&elsewhere, &[("LATEEN_IPTABLES", "nft")], None)).unwrap();
        let transparent = Some(Transparent { mark: 1337, table: 133 });
        assert_eq!(intercept.unwrap().transparent, transparent);
        assert_eq!(read(&rules(&["-m", "NONE"], &[], None)).unwrap(), None);
        for (wrong, said) in [
            (&["--no-such-flag"][..], "unexpected argument '--no-such-flag'"),
            (&["--help"], "unexpected argument '--help'"),
            (&["-p", "http"], "--envoy-port"),
            (&["-p", "\n"], "--envoy-port"),
            (&["-b", "x"], "x"),
        ] {
            let error = format!("{:#}", read(&rules(wrong, &[], None)).unwrap_err());
            assert!(
                error.contains(said) && !error.contains('\n') && error == error.trim(),
                "{wrong:?}: {error}"
            );
        }
    }
}
