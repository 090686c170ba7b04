//! `lateen dashboard`: the live graph's page of a control plane on a cluster, on this machine's loopback. In: the
//! options that name the cluster. Out: an address with a token in it, served until a signal; of a home, the address
//! of its own page.

use std::io::IsTerminal;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use lateen_graph::relay::serve;
use lateen_graph::serve::Token;
use lateen_identity::{random_token, write_private};
use tokio::net::TcpListener;

use crate::home::Home;
use crate::manifest::ClusterArgs;
use crate::output::{note, say};
use crate::remote::{self, Wanted};

/// The port of `lateen up` and of the control plane.
const PORT: u16 = 20001;

/// Open the live graph of the mesh on a cluster in a browser
#[derive(Debug, Args)]
pub struct DashboardCommand {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The control plane's namespace
    #[arg(long, short = 'i', visible_short_alias = 'n', default_value = "istio-system")]
    istio_namespace: String,
    /// The control plane's revision [default: the default one, or any]
    #[arg(long, short)]
    revision: Option<String>,
    /// Look as this account and not as yourself, such as istio-system/istio-dashboard
    #[arg(long, value_name = "NAMESPACE/NAME")]
    service_account: Option<String>,
    /// The port on 127.0.0.1 [default: 20001, or any that is free]
    #[arg(long, short)]
    port: Option<u16>,
    /// Only print the address
    #[arg(long)]
    no_browser: bool,
    /// Print the address of the page of a mesh on this machine instead
    #[arg(long, value_name = "DIR", conflicts_with_all = ["kubeconfig", "context", "port"])]
    home: Option<PathBuf>,
}

pub async fn execute(command: DashboardCommand) -> Result<()> {
    if let Some(home) = command.home {
        return of_home(&Home::new(Some(home))?);
    }
    let wanted = Wanted {
        cluster: &command.cluster,
        namespace: &command.istio_namespace,
        revision: command.revision.as_deref(),
        account: command.service_account.as_deref(),
    };
    let relay = Arc::new(remote::relay(&wanted).await?);
    // Whoever may not look is told here and not in the browser.
    remote::get(&relay, "/api/v1/status").await?;
    let listener = listener(command.port).await?;
    let token = random_token();
    let url = format!("http://{}/?token={token}", listener.local_addr()?);
    say(&url);
    let _opened = if command.no_browser { None } else { Opened::open(&url) };
    let access = Arc::new(Token::new(&token).printed_by("lateen dashboard"));
    tokio::select! {
        () = serve(listener, access, relay) => Ok(()),
        signal = lateen_runtime::signal::terminated() => {
            signal.map(drop).context("cannot listen for signals")
        }
    }
}

fn of_home(home: &Home) -> Result<()> {
    let state = home.running()?;
    say(format_args!("{}/?token={}", state.graph_url, home.graph_token()?));
    Ok(())
}

async fn listener(asked: Option<u16>) -> Result<TcpListener> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    if let Some(port) = asked {
        return bind(port)
            .await
            .with_context(|| format!("cannot listen on 127.0.0.1:{port}: choose another --port"));
    }
    match bind(PORT).await {
        Ok(listener) => Ok(listener),
        Err(_) => bind(0).await.context("no port is free on 127.0.0.1"),
    }
}

/// What leads the browser to the address: a file that is the user's alone. A command line is everybody's to read.
struct Opened(PathBuf);

impl Opened {
    /// Only where somebody looks on, and on a screen.
    fn open(url: &str) -> Option<Self> {
        let given = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        given("DISPLAY").or_else(|| given("WAYLAND_DISPLAY"))?;
        let folder = PathBuf::from(given("XDG_RUNTIME_DIR")?);
        if !std::io::stdout().is_terminal() {
            return None;
        }
        let file = folder.join(format!("lateen-dashboard-{}.html", std::process::id()));
        let page = format!("<meta http-equiv=\"refresh\" content=\"0; url={url}\">\n");
        write_private(&file, page.as_bytes()).ok()?;
        let opened = Self(file);
        let mut browser = Command::new("xdg-open");
        browser.arg(&opened.0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Err(error) = browser.spawn() {
            note(format_args!("no browser could be started ({error}): open the address yourself"));
        }
        Some(opened)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // Its address leads nowhere any more.
        let _ = std::fs::remove_file(&self.0);
    }
}
