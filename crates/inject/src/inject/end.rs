//! How a plain sidecar ends with a Job's program, which it would keep from ending otherwise. In: the context of an
//! injection. Out: the context with what the agent is to wait for, and what a job's author should know of it.
//! The agent sees that the application has ended only where the containers share a process namespace.

use lateen_api::issue::Issue;

use super::{Context, Target};
use crate::{LIMITED, WITH_PROCESSES, WITH_SUCCESS};

const SHARED: &str = "spec.shareProcessNamespace";

pub fn with_application(context: &mut Context, target: &Target) -> Vec<Issue> {
    if context.native || !context.owner.ends() {
        return Vec::new();
    }
    let spec = &context.base["spec"];
    if spec["hostPID"] == true {
        let message = "the proxy sees the node's processes and not when the job's program ends, so the job \
                       will not end: remove this, or use a cluster with native sidecars";
        return vec![target.warning("spec.hostPID", LIMITED, message)];
    }
    if spec["shareProcessNamespace"] == false {
        let message = format!(
            "the proxy cannot see when the job's program ends, so the job will not end: remove this, have the \
             program end the proxy by a POST to http://127.0.0.1:{}/quitquitquit, or use a cluster with native \
             sidecars",
            context.status_port
        );
        return vec![target.warning(SHARED, LIMITED, message)];
    }
    let mut issues = Vec::new();
    context.ends_with = Some(WITH_PROCESSES);
    if spec["restartPolicy"] == "OnFailure" {
        context.ends_with = Some(WITH_SUCCESS);
        let message = "the proxy cannot see whether the program failed and is started again, so the job ends half a \
                       minute after its program does, and later after failures: use Never, with which the job \
                       starts a new pod for each attempt, or a cluster with native sidecars";
        issues.push(target.warning("spec.restartPolicy", LIMITED, message));
    }
    if spec["shareProcessNamespace"] != true {
        let message = "is true from here on, so that the proxy sees when the job's program ends: the containers see \
                       each other's processes, and none of theirs is process 1; false declines, and the job does not \
                       end by itself then";
        issues.push(target.warning(SHARED, LIMITED, message));
    }
    issues
}
