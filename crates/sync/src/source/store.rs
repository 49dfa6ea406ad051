//! Opening the store that a location lies in: this machine's files, S3 and what speaks like it, Azure, Google.
//!
//! Every request has a limit and is tried again for a while, so that a store that is slow or down is an
//! error that says so, never a hang.

use std::sync::Arc;
use std::time::Duration;

use delta_kernel::object_store::aws::AmazonS3Builder;
use delta_kernel::object_store::azure::MicrosoftAzureBuilder;
use delta_kernel::object_store::gcp::GoogleCloudStorageBuilder;
use delta_kernel::object_store::local::LocalFileSystem;
use delta_kernel::object_store::{BackoffConfig, ObjectStore, RetryConfig};
use url::Url;

use super::listing::EncodedListings;
use crate::error::{Error, SourceProblem};
use crate::job::Source;

/// From the first try of a request to the last.
const PATIENCE: Duration = Duration::from_secs(10);
const MOST_RETRIES: usize = 5;

/// Options that a source may leave out. The library's own limit on a request would outlast our patience.
const DEFAULTS: [(&str, &str); 2] = [("connect_timeout", "5s"), ("timeout", "10s")];

pub(super) fn open(source: &Source, url: &Url) -> Result<Arc<dyn ObjectStore>, Error> {
    let failed = |error: delta_kernel::object_store::Error| {
        source.problem(SourceProblem::Unsupported, format!("opening the store: {error}"))
    };
    let store: Arc<dyn ObjectStore> = match url.scheme() {
        "file" => Arc::new(LocalFileSystem::new()),
        "s3" | "s3a" => {
            let builder = AmazonS3Builder::new().with_url(url.as_str()).with_retry(retries());
            let builder = configured(source, builder, AmazonS3Builder::with_config)?;
            Arc::new(builder.build().map_err(failed)?)
        }
        "gs" => {
            let builder = GoogleCloudStorageBuilder::new().with_url(url.as_str());
            let builder = builder.with_retry(retries());
            let builder = configured(source, builder, GoogleCloudStorageBuilder::with_config)?;
            Arc::new(builder.build().map_err(failed)?)
        }
        _ => {
            let builder = MicrosoftAzureBuilder::new().with_url(url.as_str());
            let builder = builder.with_retry(retries());
            let builder = configured(source, builder, MicrosoftAzureBuilder::with_config)?;
            Arc::new(builder.build().map_err(failed)?)
        }
    };
    Ok(Arc::new(EncodedListings(store)))
}

fn retries() -> RetryConfig {
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(3),
        base: 2.0,
    };
    RetryConfig { backoff, max_retries: MOST_RETRIES, retry_timeout: PATIENCE }
}

/// The builder with the source's options; one that the store does not have is named.
fn configured<B, K: std::str::FromStr>(
    source: &Source,
    builder: B,
    set: impl Fn(B, K, String) -> B,
) -> Result<B, Error> {
    let given = &source.storage_options;
    let defaults = DEFAULTS.iter().filter(|(name, _)| !given.contains_key(*name));
    let defaults = defaults.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let all = defaults.chain(given.iter().map(|(name, value)| (name.clone(), value.clone())));
    all.into_iter().try_fold(builder, |builder, (name, value)| match name.parse() {
        Ok(key) => Ok(set(builder, key, value)),
        Err(_) => Err(Error::config(format!(
            "storage option \"{name}\" is none that this kind of store has"
        ))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(location: &str, options: &[(&str, &str)]) -> Result<Arc<dyn ObjectStore>, Error> {
        let pairs = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let source = Source {
            location: location.to_owned(),
            storage_options: pairs.collect(),
            ..Source::default()
        };
        open(&source, &Url::parse(location).unwrap())
    }

    #[test]
    fn each_kind_of_store_opens_with_its_options() {
        assert!(opened("file:///data/t", &[]).is_ok());
        let s3 = [("access_key_id", "k"), ("secret_access_key", "s"), ("region", "r")];
        assert!(opened("s3://lake/t", &s3).is_ok());
        let azure = [("account_key", "aGk=")];
        assert!(opened("abfss://c@account.dfs.core.windows.net/t", &azure).is_ok());
        assert!(opened("gs://lake/t", &[("google_skip_signature", "true")]).is_ok());
    }

    #[test]
    fn an_option_that_no_store_has_is_named() {
        let error = opened("s3://lake/t", &[("acess_key_id", "k")]).err().unwrap();
        assert!(error.to_string().contains("acess_key_id"), "{error}");
    }
}
