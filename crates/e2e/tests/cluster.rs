//! A real Kubernetes (API server, controllers, scheduler, kubelet and containerd).

use std::time::Duration;

use anyhow::Result;
use lateen_e2e::ECHO_YAML;
use lateen_testkit::cluster::{Cluster, Image};
use lateen_testkit::isolate::isolated_for;
use lateen_testkit::net::expect_answer;
use lateen_testkit::tools;
use lateen_testkit::wait::wait_until;

const LIMIT: Duration = Duration::from_secs(300);
const SOON: Duration = Duration::from_secs(60);

fn service_address(cluster: &Cluster, name: &str) -> Result<String> {
    let path = "jsonpath={.spec.clusterIP}:{.spec.ports[0].port}";
    cluster.kubectl().ok(&["get", "service", name, "-o", path])
}

#[test]
fn a_plain_cluster_runs_the_echo_server() {
    isolated_for(LIMIT, || {
        // Service and Deployment; the rest of the file is Istio's.
        let plain: Vec<&str> = ECHO_YAML.split("---\n").take(2).collect();
        let plain = plain.join("---\n");
        let scratch = tempfile::tempdir()?;
        let echo = Image::of_static(
            "grd-dev.urad.com.tw/hank/echoserver:1.0.1",
            &tools::cached("go-echo-server")?,
        );
        let cluster = Cluster::start(&[echo.archive(scratch.path())?])?;
        cluster.apply(&plain)?;
        let address = service_address(&cluster, "tcp-echo-server")?;
        wait_until("the echo server", SOON, || expect_answer(&address, "hello\n", "hello\n"))
    });
}
