//! A scripted ADS server on a Unix socket. In: resources by name, and names to keep silent about.
//! Out: answers to what is asked, pushes, and a log of all requests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use discovery::aggregated_discovery_service_server as server;
use discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource};
use envoy_types::pb::envoy::service::discovery::v3 as discovery;
use envoy_types::pb::google::protobuf::Any;
use lateen_api::xds::ResourceType;
use prost::{Message, Name};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::{UnboundedReceiverStream, UnixListenerStream};
use tonic::{Request, Response, Status, Streaming};

pub type Asked = DeltaDiscoveryRequest;

pub const PATIENCE: Duration = Duration::from_secs(20);

type Responses<T> = UnboundedReceiverStream<Result<T, Status>>;

#[derive(Default)]
struct State {
    resources: BTreeMap<(ResourceType, String), Resource>,
    silent: BTreeSet<String>,
    /// Asked for and not answered yet.
    owed: BTreeSet<(ResourceType, String)>,
    requests: Vec<DeltaDiscoveryRequest>,
    stream: Option<mpsc::UnboundedSender<Result<DeltaDiscoveryResponse, Status>>>,
    version: u64,
    nonce: u64,
}

pub struct Ads {
    pub path: PathBuf,
    shared: Shared,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct Shared {
    state: Arc<Mutex<State>>,
    logged: Arc<watch::Sender<usize>>,
}

impl Ads {
    pub fn start(path: &Path) -> Self {
        let shared = Shared { state: Arc::default(), logged: Arc::new(watch::Sender::new(0)) };
        let mut ads = Self { path: path.to_owned(), shared, server: tokio::spawn(async {}) };
        ads.resume();
        ads
    }

    /// Listens again, with the same resources.
    pub fn resume(&mut self) {
        let _ = std::fs::remove_file(&self.path);
        let listener = UnixListener::bind(&self.path).unwrap();
        let service = server::AggregatedDiscoveryServiceServer::new(self.shared.clone());
        self.server = tokio::spawn(async move {
            let router = tonic::transport::Server::builder().add_service(service);
            router.serve_with_incoming(UnixListenerStream::new(listener)).await.unwrap();
        });
    }

    /// Ends the stream, listens no more and forgets the log.
    pub async fn stop(&mut self) {
        self.server.abort();
        let _ = (&mut self.server).await;
        let mut state = self.shared.state.lock().unwrap();
        state.stream = None;
        state.requests.clear();
        self.shared.logged.send_replace(0);
    }

    /// Sets a resource without a word to the client.
    pub fn set<T: Message + Name>(&self, kind: ResourceType, name: &str, message: &T) {
        self.set_any(kind, name, Any { type_url: T::type_url(), value: message.encode_to_vec() });
    }

    pub fn set_any(&self, kind: ResourceType, name: &str, any: Any) {
        let mut state = self.shared.state.lock().unwrap();
        state.version += 1;
        let resource = Resource {
            name: name.into(),
            version: format!("v{}", state.version),
            resource: Some(any),
            ..Default::default()
        };
        state.resources.insert((kind, name.into()), resource);
    }

    pub fn unset(&self, kind: ResourceType, name: &str) {
        self.shared.state.lock().unwrap().resources.remove(&(kind, name.to_owned()));
    }

    /// Keeps silent about a name until [`Self::speak`].
    pub fn silence(&self, name: &str) {
        self.shared.state.lock().unwrap().silent.insert(name.into());
    }

    pub fn speak(&self) {
        let mut state = self.shared.state.lock().unwrap();
        state.silent.clear();
        for (kind, name) in std::mem::take(&mut state.owed) {
            state.answer(kind, &[name]);
        }
    }

    /// Sends what a name is now, or that it is gone.
    pub fn push(&self, kind: ResourceType, name: &str) {
        self.shared.state.lock().unwrap().answer(kind, &[name.to_owned()]);
    }

    /// The first request so far or to come that `wanted` takes.
    pub async fn request(
        &self,
        what: &str,
        wanted: impl Fn(&DeltaDiscoveryRequest) -> bool,
    ) -> DeltaDiscoveryRequest {
        let mut logged = self.shared.logged.subscribe();
        let search = async {
            loop {
                let found = {
                    let state = self.shared.state.lock().unwrap();
                    state.requests.iter().find(|request| wanted(request)).cloned()
                };
                match found {
                    Some(request) => return request,
                    None => logged.changed().await.unwrap(),
                }
            }
        };
        match tokio::time::timeout(PATIENCE, search).await {
            Ok(request) => request,
            Err(_) => panic!("no {what} among {:#?}", self.shared.state.lock().unwrap().requests),
        }
    }

    /// The request that subscribes to a name.
    pub async fn subscription(&self, kind: ResourceType, name: &str) -> DeltaDiscoveryRequest {
        let wanted = |request: &DeltaDiscoveryRequest| {
            request.type_url == kind.type_url()
                && request.resource_names_subscribe.iter().any(|asked| asked == name)
        };
        self.request(&format!("subscription to {name}"), wanted).await
    }

    pub async fn nack(&self) -> String {
        let nack = self.request("NACK", |request| request.error_detail.is_some()).await;
        nack.error_detail.unwrap().message
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        self.shared.state.lock().unwrap().requests.clear();
    }
}

impl State {
    fn answer(&mut self, kind: ResourceType, names: &[String]) {
        let mut resources = Vec::new();
        let mut removed_resources = Vec::new();
        for name in names {
            let key = (kind, name.clone());
            if name == "*" {
                let all = self.resources.iter().filter(|((of, _), _)| *of == kind);
                resources.extend(all.map(|(_, resource)| resource.clone()));
            } else if self.silent.contains(name) {
                self.owed.insert(key);
                continue;
            } else if let Some(resource) = self.resources.get(&key) {
                resources.push(resource.clone());
            } else {
                removed_resources.push(name.clone());
            }
        }
        let nothing = resources.is_empty() && removed_resources.is_empty();
        if nothing && !names.iter().any(|name| name == "*") {
            return;
        }
        self.nonce += 1;
        let response = DeltaDiscoveryResponse {
            type_url: kind.type_url().into(),
            nonce: self.nonce.to_string(),
            resources,
            removed_resources,
            ..Default::default()
        };
        if let Some(stream) = &self.stream {
            let _ = stream.send(Ok(response));
        }
    }
}

#[tonic::async_trait]
impl server::AggregatedDiscoveryService for Shared {
    type StreamAggregatedResourcesStream =
        Pin<Box<dyn futures::Stream<Item = Result<discovery::DiscoveryResponse, Status>> + Send>>;
    type DeltaAggregatedResourcesStream = Responses<DeltaDiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        _: Request<Streaming<discovery::DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("delta only"))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.state.lock().unwrap().stream = Some(sender.clone());
        let shared = self.clone();
        // Not to keep the stream open by itself.
        let own = sender.downgrade();
        drop(sender);
        let mut requests = request.into_inner();
        tokio::spawn(async move {
            while let Ok(Some(request)) = requests.message().await {
                let mut state = shared.state.lock().unwrap();
                let current = state.stream.as_ref().zip(own.upgrade());
                if !current.is_some_and(|(stream, own)| stream.same_channel(&own)) {
                    return;
                }
                let kind = ResourceType::from_type_url(&request.type_url).unwrap();
                let held = &request.initial_resource_versions;
                let mut asked = request.resource_names_subscribe.clone();
                // What is held at the same version is not sent again.
                asked.retain(|name| {
                    let known = state.resources.get(&(kind, name.clone()));
                    known.is_none_or(|known| held.get(name) != Some(&known.version))
                });
                state.requests.push(request);
                if !asked.is_empty() {
                    state.answer(kind, &asked);
                }
                drop(state);
                shared.logged.send_modify(|count| *count += 1);
            }
        });
        Ok(Response::new(UnboundedReceiverStream::new(receiver)))
    }
}
