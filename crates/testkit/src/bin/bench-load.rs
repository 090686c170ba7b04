//! The load tool of `bench/run.py`: backends and clients on one thread. In: a mode and `--name value`
//! pairs. Out: backends print `ready`; clients print one JSON line.
//!
//! - `backend --echo ADDR --source ADDR`: an echo server, and one that sends zeros without end
//! - `bulk|pingpong|connect --to ADDR --conns N --secs S --warm S`
//! - `idle --to ADDR --conns N`: opens connections, prints `ready`, holds them until stdin ends

use std::collections::HashMap;
use std::io::Read;
use std::rc::Rc;
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, LocalSet};

#[path = "bench-load/stats.rs"]
mod stats;

use stats::Stats;

/// Bytes of one message of a ping-pong.
const MESSAGE: usize = 64;
const BULK_BUFFER: usize = 256 * 1024;

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let mode = words.next().context("which mode?")?;
    let options = Options::read(words)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        match mode.as_str() {
            "backend" => backend(&options).await,
            "bulk" => measure(&options, bulk).await,
            "pingpong" => measure(&options, ping_pong).await,
            "connect" => measure(&options, connect).await,
            "idle" => idle(&options).await,
            other => bail!("unknown mode {other:?}"),
        }
    })
}

struct Options(HashMap<String, String>);

impl Options {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Options> {
        let mut found = HashMap::new();
        while let Some(name) = words.next() {
            let value = words.next().with_context(|| format!("{name} needs a value"))?;
            found.insert(name, value);
        }
        Ok(Options(found))
    }

    fn get<T: FromStr>(&self, name: &str) -> Result<T> {
        let text = self.0.get(name).with_context(|| format!("{name} is missing"))?;
        text.parse().ok().with_context(|| format!("{name} {text:?} is malformed"))
    }
}

async fn backend(options: &Options) -> Result<()> {
    let echo = TcpListener::bind(options.get::<String>("--echo")?).await?;
    let source = TcpListener::bind(options.get::<String>("--source")?).await?;
    println!("ready");
    tokio::try_join!(serve(echo, echo_back), serve(source, send_zeros)).map(|_| ())
}

async fn serve<F>(listener: TcpListener, answer: impl Fn(TcpStream) -> F) -> Result<()>
where
    F: Future<Output = Result<()>> + 'static,
{
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // A connection's failure is its own.
        tokio::task::spawn_local(answer(stream));
    }
}

async fn echo_back(mut stream: TcpStream) -> Result<()> {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            count => stream.write_all(&buffer[..count]).await?,
        }
    }
}

async fn send_zeros(mut stream: TcpStream) -> Result<()> {
    let zeros = vec![0; BULK_BUFFER];
    loop {
        stream.write_all(&zeros).await?;
    }
}

/// What one connection's task needs.
struct Task {
    to: String,
    stats: Rc<Stats>,
}

async fn measure<F>(options: &Options, work: impl Fn(Task) -> F) -> Result<()>
where
    F: Future<Output = Result<()>> + 'static,
{
    let to: String = options.get("--to")?;
    let warm = Duration::from_secs_f64(options.get("--warm")?);
    let length = Duration::from_secs_f64(options.get("--secs")?);
    let stats = Rc::new(Stats::new(Instant::now() + warm));
    let mut tasks = JoinSet::new();
    for _ in 0..options.get::<usize>("--conns")? {
        tasks.spawn_local(work(Task { to: to.clone(), stats: Rc::clone(&stats) }));
    }
    let ended_early = tokio::time::timeout(warm + length, tasks.join_next()).await;
    if let Ok(Some(result)) = ended_early {
        result?.context("a connection failed")?;
        bail!("a connection ended by itself");
    }
    println!("{}", stats.report(length));
    Ok(())
}

async fn bulk(task: Task) -> Result<()> {
    let mut stream = dial(&task.to).await?;
    let mut buffer = vec![0; BULK_BUFFER];
    loop {
        let count = stream.read(&mut buffer).await?;
        anyhow::ensure!(count > 0, "the source closed");
        task.stats.bytes(count);
    }
}

async fn ping_pong(task: Task) -> Result<()> {
    let mut stream = dial(&task.to).await?;
    loop {
        let start = Instant::now();
        exchange(&mut stream).await?;
        task.stats.operation(start.elapsed());
    }
}

async fn connect(task: Task) -> Result<()> {
    loop {
        let start = Instant::now();
        let mut stream = dial(&task.to).await?;
        exchange(&mut stream).await?;
        drop(stream);
        task.stats.operation(start.elapsed());
    }
}

async fn idle(options: &Options) -> Result<()> {
    let to: String = options.get("--to")?;
    let mut held = Vec::new();
    for _ in 0..options.get::<usize>("--conns")? {
        let mut stream = dial(&to).await?;
        // One exchange: the connection is established all the way to the backend.
        exchange(&mut stream).await?;
        held.push(stream);
    }
    println!("ready");
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest)?;
    Ok(())
}

async fn dial(to: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect(to).await.with_context(|| format!("connecting to {to}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn exchange(stream: &mut TcpStream) -> Result<()> {
    let mut buffer = [7; MESSAGE];
    stream.write_all(&buffer).await?;
    stream.read_exact(&mut buffer).await.context("waiting for the echo")?;
    Ok(())
}
