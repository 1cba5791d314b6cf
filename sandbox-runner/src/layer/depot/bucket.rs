//! As much of S3 as a depot needs, over HTTP on loopback, for tests: it counts, and fails on demand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri, header};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{Depot, DepotConfig};

/// A server with one bucket called `layers`. It ends when it is dropped.
pub(super) struct Bucket {
    address: String,
    pub(super) state: Arc<Mutex<Contents>>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
pub(super) struct Contents {
    pub(super) objects: HashMap<String, Vec<u8>>,
    uploads: HashMap<String, HashMap<u32, Vec<u8>>>,
    /// Requests that were answered, as `METHOD /path`.
    pub(super) requests: Vec<String>,
    /// How many of the next requests are answered with an error of the server.
    pub(super) failures: usize,
}

impl Bucket {
    pub(super) async fn serve() -> Self {
        let state = Arc::<Mutex<Contents>>::default();
        let router = Router::new()
            .fallback(answer)
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&state));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            state,
            serving,
        }
    }

    pub(super) fn depot(&self) -> Depot {
        let address = format!("s3://layers/prefix?endpoint=http://{}", self.address);
        let keys = ["id", "secret"].map(|key| Some(key.to_owned()));
        let [id, secret] = keys;
        Depot::open(&DepotConfig::parse(&address, id, secret).unwrap()).unwrap()
    }

    pub(super) fn requests(&self, method: &str) -> usize {
        let state = self.state.lock().unwrap();
        let requests = state.requests.iter();
        requests.filter(|line| line.starts_with(method)).count()
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(
    State(state): State<Arc<Mutex<Contents>>>,
    method: Method,
    uri: Uri,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let mut state = state.lock().unwrap();
    state.requests.push(format!("{method} {uri}"));
    if state.failures > 0 {
        state.failures -= 1;
        return reply(StatusCode::SERVICE_UNAVAILABLE, "");
    }
    let path = uri.path().to_owned();
    let part = query
        .get("partNumber")
        .map(|number| number.parse().unwrap());
    match (method, query.get("uploadId"), part) {
        (Method::POST, None, _) => {
            state.uploads.insert(path, HashMap::new());
            let id = "<UploadId>1</UploadId>";
            let text =
                format!("<InitiateMultipartUploadResult>{id}</InitiateMultipartUploadResult>");
            reply(StatusCode::OK, text)
        }
        (Method::PUT, Some(_), Some(number)) => {
            let upload = state.uploads.get_mut(&path).unwrap();
            upload.insert(number, body.to_vec());
            reply(StatusCode::OK, "")
        }
        (Method::POST, Some(_), _) => {
            let mut parts: Vec<_> = state.uploads.remove(&path).unwrap().into_iter().collect();
            parts.sort();
            let whole = parts.into_iter().flat_map(|(_, bytes)| bytes).collect();
            state.objects.insert(path, whole);
            let tag = "<ETag>1</ETag>";
            let text =
                format!("<CompleteMultipartUploadResult>{tag}</CompleteMultipartUploadResult>");
            reply(StatusCode::OK, text)
        }
        (Method::PUT, None, _) => {
            state.objects.insert(path, body.to_vec());
            reply(StatusCode::OK, "")
        }
        (method, ..) => match state.objects.get(&path) {
            None => reply(StatusCode::NOT_FOUND, ""),
            Some(bytes) if method == Method::HEAD => {
                let mut response = reply(StatusCode::OK, "");
                let length = bytes.len().into();
                response
                    .headers_mut()
                    .insert(header::CONTENT_LENGTH, length);
                response
            }
            Some(bytes) => ranged(bytes, &headers),
        },
    }
}

fn ranged(bytes: &[u8], headers: &HeaderMap) -> Response<Body> {
    let Some(range) = headers.get(header::RANGE) else {
        return reply(StatusCode::OK, bytes.to_vec());
    };
    let range = range.to_str().unwrap().strip_prefix("bytes=").unwrap();
    let (first, last) = range.split_once('-').unwrap();
    let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
    let Some(piece) = bytes.get(first..bytes.len().min(last + 1)) else {
        return reply(StatusCode::RANGE_NOT_SATISFIABLE, "");
    };
    let total = bytes.len();
    let content = format!("bytes {first}-{}/{total}", first + piece.len() - 1);
    let mut response = reply(StatusCode::PARTIAL_CONTENT, piece.to_vec());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_RANGE, content.parse().unwrap());
    response
}

fn reply(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    Response::builder()
        .status(status)
        .header(header::ETAG, "\"1\"")
        .header(header::LAST_MODIFIED, "Tue, 01 Dec 2026 00:00:00 GMT")
        .body(body.into())
        .unwrap()
}
