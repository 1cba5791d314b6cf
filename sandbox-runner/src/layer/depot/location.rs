//! Where the depot is: `file:///directory` or `s3://bucket/prefix?endpoint=…&region=…`.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::prefix::PrefixStore;
use object_store::{ClientOptions, ObjectStore, RetryConfig};
use reqwest::Url;

/// One request moves at most some megabytes.
const REQUEST: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(10);
const RETRIES: usize = 5;
const RETRY: Duration = Duration::from_secs(2 * 60);
/// What R2 calls the only region that it has.
const REGION: &str = "auto";

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDepot {
    #[error("not the address of a depot")]
    NoAddress,
    #[error("a bucket needs an access key and its secret")]
    NoKeys,
}

#[derive(Clone, PartialEq, Eq)]
pub struct DepotConfig {
    address: String,
    place: Place,
}

#[derive(Clone, PartialEq, Eq)]
enum Place {
    Directory(PathBuf),
    Bucket(Bucket),
}

#[derive(Clone, PartialEq, Eq)]
struct Bucket {
    name: String,
    prefix: String,
    endpoint: Option<String>,
    region: String,
    access_key_id: String,
    secret_access_key: String,
}

impl DepotConfig {
    /// A bucket needs both keys; a directory needs none.
    pub fn parse(
        address: &str,
        access_key_id: Option<String>,
        secret_access_key: Option<String>,
    ) -> Result<Self, InvalidDepot> {
        let url = Url::parse(address).map_err(|_| InvalidDepot::NoAddress)?;
        let plain = url.username().is_empty() && url.password().is_none();
        if !plain || url.fragment().is_some() || url.port().is_some() {
            return Err(InvalidDepot::NoAddress);
        }
        let place = match url.scheme() {
            "file" if url.query().is_none() => {
                Place::Directory(url.to_file_path().map_err(|()| InvalidDepot::NoAddress)?)
            }
            "s3" => {
                let keys = access_key_id.zip(secret_access_key);
                Place::Bucket(Bucket::parse(&url, keys.ok_or(InvalidDepot::NoKeys)?)?)
            }
            _ => return Err(InvalidDepot::NoAddress),
        };
        Ok(Self {
            address: address.to_owned(),
            place,
        })
    }

    /// As it was configured; holds no secret.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn store(&self) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
        match &self.place {
            Place::Directory(path) => {
                std::fs::create_dir_all(path).map_err(|source| generic("file", source))?;
                let store = LocalFileSystem::new_with_prefix(path)?;
                Ok(Arc::new(store.with_fsync(true)))
            }
            Place::Bucket(bucket) => bucket.store(),
        }
    }
}

impl fmt::Debug for DepotConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DepotConfig")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Bucket {
    fn parse(url: &Url, keys: (String, String)) -> Result<Self, InvalidDepot> {
        let (access_key_id, secret_access_key) = keys;
        let mut bucket = Self {
            name: url.host_str().ok_or(InvalidDepot::NoAddress)?.to_owned(),
            prefix: url.path().trim_matches('/').to_owned(),
            endpoint: None,
            region: REGION.to_owned(),
            access_key_id,
            secret_access_key,
        };
        for (name, value) in url.query_pairs() {
            match &*name {
                "endpoint" => {
                    let endpoint = Url::parse(&value).map_err(|_| InvalidDepot::NoAddress)?;
                    if !matches!(endpoint.scheme(), "http" | "https") {
                        return Err(InvalidDepot::NoAddress);
                    }
                    bucket.endpoint = Some(value.trim_end_matches('/').to_owned());
                }
                "region" => bucket.region = value.into_owned(),
                _ => return Err(InvalidDepot::NoAddress),
            }
        }
        Ok(bucket)
    }

    fn store(&self) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
        let options = ClientOptions::new()
            .with_timeout(REQUEST)
            .with_connect_timeout(CONNECT);
        let retry = RetryConfig {
            max_retries: RETRIES,
            retry_timeout: RETRY,
            ..RetryConfig::default()
        };
        let mut builder = AmazonS3Builder::new()
            .with_client_options(options)
            .with_retry(retry)
            .with_bucket_name(&self.name)
            .with_region(&self.region)
            .with_access_key_id(&self.access_key_id)
            .with_secret_access_key(&self.secret_access_key);
        if let Some(endpoint) = &self.endpoint {
            builder = builder
                .with_allow_http(endpoint.starts_with("http://"))
                .with_endpoint(endpoint);
        }
        let store = builder.build()?;
        if self.prefix.is_empty() {
            return Ok(Arc::new(store));
        }
        Ok(Arc::new(PrefixStore::new(store, self.prefix.as_str())))
    }
}

fn generic(store: &'static str, source: io::Error) -> object_store::Error {
    object_store::Error::Generic {
        store,
        source: Box::new(source),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn parse(address: &str) -> Result<DepotConfig, InvalidDepot> {
        let keys = ["an-id", "a-secret"].map(|key| Some(key.to_owned()));
        let [id, secret] = keys;
        DepotConfig::parse(address, id, secret)
    }

    #[test]
    fn a_bucket_has_an_endpoint_and_a_region() {
        let config = parse("s3://layers/a/b?endpoint=https://x.example/&region=eu").unwrap();
        let expected = Place::Bucket(Bucket {
            name: "layers".to_owned(),
            prefix: "a/b".to_owned(),
            endpoint: Some("https://x.example".to_owned()),
            region: "eu".to_owned(),
            access_key_id: "an-id".to_owned(),
            secret_access_key: "a-secret".to_owned(),
        });
        assert!(config.place == expected);
    }

    #[test]
    fn what_is_no_depot_is_refused() {
        for address in [
            "",
            "/directory",
            "file://host/directory",
            "file:///directory?region=eu",
            "http://layers",
            "s3:layers",
            "s3://key:secret@layers",
            "s3://layers?endpoint=ftp://x",
            "s3://layers?secret=x",
        ] {
            assert_eq!(parse(address), Err(InvalidDepot::NoAddress), "{address}");
        }
        let without_keys = DepotConfig::parse("s3://layers", None, None);
        assert_eq!(without_keys, Err(InvalidDepot::NoKeys));
    }

    #[test]
    fn no_key_is_printed() {
        let printed = format!("{:?}", parse("s3://layers").unwrap());
        assert!(
            !printed.contains("secret") && !printed.contains("an-id"),
            "{printed}"
        );
    }
}
