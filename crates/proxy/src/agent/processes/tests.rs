//! A pod's `/proc`, with what runtimes make of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use tokio::time::Instant;

use super::{Containers, DELAY, LOOK, NOBODY, REST, Restarts, UNTRACED, container, ids};

fn once(later: usize) -> Containers {
    Containers { later, restarts: Restarts::Never }
}

const ID: u32 = 4_000_001;

fn process(proc: &Path, id: u32, state: char, group: &str) -> PathBuf {
    let folder = proc.join(id.to_string());
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("stat"), format!("{id} (a) b) {state} 1 1")).unwrap();
    fs::write(folder.join("cgroup"), group).unwrap();
    folder
}

/// A container's id; `number` tells it from others.
fn id(number: u32) -> String {
    format!("{number:064x}")
}

fn group(number: u32) -> String {
    format!("0::/../cri-containerd-{}.scope\n", id(number))
}

/// What the agent of a pod sees.
struct Pod {
    _root: TempDir,
    proc: PathBuf,
}

impl Pod {
    fn path(&self) -> &Path {
        &self.proc
    }

    /// The kubelet makes another container.
    fn makes(&self, number: u64) {
        let hosts = fs::File::create(self.proc.with_file_name("etc").join("hosts")).unwrap();
        hosts.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(number)).unwrap();
    }

    /// So many processes and threads have begun.
    fn begun(&self, count: u32) {
        let sign = self.proc.join("sys/kernel/ns_last_pid");
        fs::write(sign, format!("{}\n", ID + count)).unwrap();
    }
}

/// A pod with its first process and the agent's container, in which a hook runs.
fn pod() -> Pod {
    let root = tempfile::tempdir().unwrap();
    let proc = root.path().join("proc");
    fs::create_dir_all(proc.join("sys/kernel")).unwrap();
    fs::create_dir(root.path().join("etc")).unwrap();
    process(&proc, 1, 'S', &group(0));
    process(&proc, ID + 100, 'R', "0::/");
    fs::create_dir(proc.join("self")).unwrap();
    fs::write(proc.join("self/cgroup"), "0::/").unwrap();
    let pod = Pod { _root: root, proc };
    pod.makes(0);
    pod.begun(0);
    pod
}

async fn ended_in(proc: &Path, containers: Containers) {
    super::ended_in(proc.parent().unwrap(), containers).await;
}

#[tokio::test(start_paused = true)]
async fn it_has_ended_when_only_the_first_and_remains_are_left() {
    let proc = pod();
    process(proc.path(), ID, 'R', &group(1));
    process(proc.path(), ID + 1, 'Z', &group(1));
    let path = proc.path().to_owned();
    let watch = tokio::spawn(async move { ended_in(&path, once(0)).await });
    tokio::time::sleep(10 * REST).await;
    assert!(!watch.is_finished());
    process(proc.path(), ID, 'Z', &group(1));
    watch.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn containers_that_start_later_are_waited_for_however_short_they_are() {
    let proc = pod();
    ended_in(proc.path(), once(0)).await;
    let path = proc.path().to_owned();
    let watch = tokio::spawn(async move { ended_in(&path, once(2)).await });
    for name in [1, 2] {
        tokio::time::sleep(1000 * LOOK).await;
        assert!(!watch.is_finished(), "container {name} has not been there");
        let folder = process(proc.path(), ID, 'S', &group(name));
        tokio::time::sleep(2 * LOOK).await;
        fs::remove_dir_all(folder).unwrap();
    }
    watch.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn whoever_came_unseen_is_not_waited_for_without_end() {
    for (seen, limit) in [(1, UNTRACED), (0, NOBODY)] {
        let proc = pod();
        for number in 0..seen {
            let folder = process(proc.path(), ID, 'S', &group(number));
            tokio::spawn(async move {
                tokio::time::sleep(LOOK).await;
                fs::remove_dir_all(folder).unwrap();
            });
        }
        let since = Instant::now();
        ended_in(proc.path(), once(2)).await;
        let waited = since.elapsed();
        assert!((limit..limit + REST).contains(&waited), "{seen} seen: {waited:?}");
    }
}

/// Whether it has ended a moment after all that `happens`, for a Job of so many containers.
async fn ends_after(later: usize, happens: impl AsyncFnOnce(&Pod)) -> bool {
    let pod = pod();
    let path = pod.path().to_owned();
    let watch = tokio::spawn(async move { ended_in(&path, once(later)).await });
    tokio::time::sleep(2 * LOOK).await;
    happens(&pod).await;
    assert!(!watch.is_finished(), "there was somebody a moment ago");
    tokio::time::timeout(2 * REST, watch).await.is_ok()
}

/// The kubelet makes a container, which ends before anybody has looked.
async fn unseen(pod: &Pod, number: u32) {
    pod.makes(number.into());
    tokio::time::sleep(2 * LOOK).await;
    pod.begun(10 * number);
}

#[tokio::test(start_paused = true)]
async fn who_came_and_went_between_two_looks_has_been_there() {
    for later in 1..4 {
        let ends = ends_after(later, async |pod| {
            for number in 1..=u32::try_from(later).unwrap() {
                tokio::time::sleep(1000 * LOOK).await;
                unseen(pod, number).await;
            }
        });
        assert!(ends.await, "{later}");
    }
    let seen_and_unseen = ends_after(2, async |pod| {
        pod.makes(1);
        let folder = process(pod.path(), ID + 1, 'S', &group(1));
        pod.begun(5);
        tokio::time::sleep(2 * LOOK).await;
        fs::remove_dir_all(folder).unwrap();
        tokio::time::sleep(2 * LOOK).await;
        unseen(pod, 2).await;
    });
    assert!(seen_and_unseen.await);
}

#[tokio::test(start_paused = true)]
async fn who_came_and_went_counts_once_and_only_where_the_kubelet_made_a_container() {
    let in_the_agents = async |pod: &Pod| {
        pod.begun(10);
        tokio::time::sleep(2 * LOOK).await;
        pod.begun(20);
        pod.makes(1);
    };
    assert!(!ends_after(1, in_the_agents).await, "a hook is no container");
    let threads = async |pod: &Pod| {
        pod.makes(1);
        tokio::time::sleep(2 * LOOK).await;
        fs::create_dir(pod.path().join((ID + 1).to_string())).unwrap();
        pod.begun(1);
    };
    assert!(!ends_after(1, threads).await, "a thread of the agent's is there still");
    let twice = async |pod: &Pod| {
        unseen(pod, 1).await;
        tokio::time::sleep(2 * LOOK).await;
        pod.begun(20);
    };
    assert!(!ends_after(2, twice).await, "one container was made");
    let beside_another = async |pod: &Pod| {
        pod.makes(1);
        let folder = process(pod.path(), ID + 1, 'S', &group(1));
        tokio::time::sleep(2 * LOOK).await;
        unseen(pod, 2).await;
        tokio::time::sleep(2 * LOOK).await;
        fs::remove_dir_all(folder).unwrap();
    };
    assert!(!ends_after(2, beside_another).await, "it may be the other's");
    let hidden = async |pod: &Pod| {
        fs::remove_dir_all(pod.path().join("1")).unwrap();
        unseen(pod, 1).await;
    };
    assert!(!ends_after(1, hidden).await, "nobody can be seen there");
    let around = async |pod: &Pod| {
        pod.makes(1);
        tokio::time::sleep(2 * LOOK).await;
        fs::write(pod.path().join("sys/kernel/ns_last_pid"), "305\n").unwrap();
    };
    assert!(!ends_after(1, around).await, "the numbers have begun again");
}

#[tokio::test(start_paused = true)]
async fn remains_tell_of_their_container() {
    let remains = ends_after(1, async |pod| {
        process(pod.path(), ID + 1, 'Z', &group(1));
        tokio::time::sleep(LOOK).await;
    });
    assert!(remains.await);
}

#[tokio::test]
async fn a_watch_ends_with_whoever_asked() {
    let name = "processes\n";
    let watchers = || {
        let threads = fs::read_dir("/proc/self/task").unwrap().flatten();
        let names = threads.map(|thread| fs::read_to_string(thread.path().join("comm")));
        names.filter(|found| found.as_ref().is_ok_and(|found| found == name)).count()
    };
    // This machine's own processes never all end.
    let watch = tokio::spawn(super::ended(once(1)));
    let until = async |count: usize| {
        while watchers() != count {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(DELAY, until(1)).await.unwrap();
    watch.abort();
    tokio::time::timeout(DELAY, until(0)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_waited_for_as_long_as_the_kubelet_takes() {
    let proc = pod();
    let path = proc.path().to_owned();
    let restarts = Restarts::Failed { containers: 1 };
    let watch =
        tokio::spawn(async move { ended_in(&path, Containers { later: 1, restarts }).await });
    let late = Duration::from_secs(20);
    let mut gone = Instant::now();
    for (start, back_off) in (1..).zip([0, 0, 10, 20, 40, 80, 160, 300, 300]) {
        tokio::time::sleep_until(gone + Duration::from_secs(back_off) + late).await;
        assert!(!watch.is_finished(), "the program of start {start} finds no proxy");
        let folder = process(proc.path(), ID, 'R', &group(start));
        tokio::time::sleep(2 * LOOK).await;
        fs::remove_dir_all(folder).unwrap();
        gone = Instant::now();
    }
    watch.await.unwrap();
    let waited = gone.elapsed();
    assert!(waited < Duration::from_secs(300) + DELAY + REST, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_program_that_succeeds_at_once_is_waited_for_half_a_minute() {
    let proc = pod();
    let since = Instant::now();
    let restarts = Restarts::Failed { containers: 1 };
    ended_in(proc.path(), Containers { later: 0, restarts }).await;
    assert!((DELAY..DELAY + REST).contains(&since.elapsed()), "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_was_started_again_waits_the_longest() {
    let proc = pod();
    let since = Instant::now();
    let restarts = Restarts::FailedBefore;
    ended_in(proc.path(), Containers { later: 0, restarts }).await;
    assert!(since.elapsed() >= Duration::from_secs(300) + DELAY);
}

/// The groups of cgroup v1 as a runtime moves a process into them: so many controllers have it already.
fn moved(into: &str, from: &str, controllers: usize) -> String {
    let names = ["pids", "memory", "cpu,cpuacct", "devices", "name=systemd"];
    let path = |at: usize| if at < controllers { into } else { from };
    let lines = names.iter().enumerate().map(|(at, name)| format!("{at}:{name}:{}\n", path(at)));
    lines.collect()
}

#[tokio::test(start_paused = true)]
async fn a_container_is_one_while_it_is_moved_into_its_groups() {
    let proc = pod();
    let agent = format!("/k8s.io/{}", id(9));
    let shim = "/system.slice/containerd.service";
    let own = moved(&agent, shim, 5);
    fs::write(proc.path().join("self/cgroup"), &own).unwrap();
    process(proc.path(), ID + 100, 'R', &own);
    let path = proc.path().to_owned();
    let watch = tokio::spawn(async move { ended_in(&path, once(2)).await });
    for container in [format!("/k8s.io/{}", id(1)), agent, format!("/k8s.io/{}", id(2))] {
        assert!(!watch.is_finished(), "{container} has not been there");
        for controllers in 0..=5 {
            process(proc.path(), ID, 'R', &moved(&container, shim, controllers));
            tokio::time::sleep(2 * LOOK).await;
        }
        fs::remove_dir_all(proc.path().join(ID.to_string())).unwrap();
        // A second container whose image takes its time, after one that was short.
        tokio::time::sleep(if watch.is_finished() { LOOK } else { 10 * REST }).await;
    }
    watch.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_has_no_container_yet_is_somebody() {
    let proc = pod();
    let folder = process(proc.path(), ID, 'R', "0::/../../../system.slice/containerd.service\n");
    let path = proc.path().to_owned();
    let watch = tokio::spawn(async move { ended_in(&path, once(0)).await });
    tokio::time::sleep(10 * REST).await;
    assert!(!watch.is_finished());
    fs::remove_dir_all(folder).unwrap();
    watch.await.unwrap();
}

#[test]
fn every_runtime_and_driver_names_the_container() {
    let [pod, app] = [0, 1].map(id);
    let slice = "kubepods-besteffort-pod1b4e28ba_2fa1_11d2_883f_0016d3cca427.slice";
    let plain = "/kubepods/besteffort/pod1b4e28ba-2fa1-11d2-883f-0016d3cca427";
    for path in [
        format!("/../cri-containerd-{app}.scope"),
        format!("/../crio-{app}.scope"),
        format!("/../crio-{app}.scope/container"),
        format!("/../docker-{app}.scope/init.scope"),
        format!("/../{app}"),
        format!("/../{app}/docker/{}", id(7)),
        format!("/kubepods.slice/kubepods-besteffort.slice/{slice}/cri-containerd-{app}.scope"),
        format!("/system.slice/containerd.service/{slice}:cri-containerd:{app}"),
        format!("{plain}/{app}"),
        format!("/k8s.io/{app}"),
    ] {
        for line in [
            format!("0::{path}"),
            format!("5:cpu,cpuacct:{path}"),
            format!("1:name=systemd:{path}"),
        ] {
            assert_eq!(container(&line, &[]), Some(&*app), "{line}");
        }
    }
    for path in ["/", "/../..", plain, "/system.slice/containerd.service"] {
        assert_eq!(container(&format!("0::{path}"), &[]), None, "{path}");
    }
    assert_eq!(container(&format!("0::/../crio-conmon-{pod}.scope"), &[]), None, "a monitor");
}

#[test]
fn a_node_that_is_a_container_itself_is_none_of_the_pod() {
    let [node, own, app] = [5, 9, 1].map(id);
    let at = |end: &str| format!("4:memory:/docker/{node}{end}");
    let line = at(&format!("/kubelet/kubepods/pod1/{own}"));
    let around = ids(&line);
    assert_eq!(around, [&node, &own]);
    assert_eq!(container(&at("/system.slice/containerd.service"), &around), None);
    let part_moved =
        format!("5:cpu:/docker/{node}\n{}", at(&format!("/kubelet/kubepods/pod1/{app}")));
    assert_eq!(container(&part_moved, &around), Some(&*app));
}
