//! A pool of `tokio-postgres` connections, by `deadpool-postgres`.
//!
//! ```no_run
//! use lakeport_client::{Client, Overrides, Profile, pool::deadpool};
//! use tokio_postgres::Config;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new(Profile::load(&Overrides::default())?)?;
//! let endpoint = client.endpoint("my-instance", 5432).await?;
//! let mut config = Config::new();
//! config.dbname("databricks_postgres").application_name("shop");
//! let pool = deadpool::builder(&endpoint, &config).max_size(10).build()?;
//!
//! let connection = pool.get().await?;
//! let row = connection.query_one("select current_user", &[]).await?;
//! println!("{}", row.get::<_, String>(0));
//! # Ok(())
//! # }
//! ```

use std::future::Future;
use std::pin::Pin;

use deadpool_postgres::{Connect, Manager, ManagerConfig, Pool, PoolBuilder, RecyclingMethod};
use tokio::task::JoinHandle;
use tokio_postgres::{Config, Error};

use crate::Endpoint;

/// Of `config`, database, options and application name are used. A connection is tried before it is
/// handed out again, because an instance may have been restarted since.
#[must_use]
pub fn builder(endpoint: &Endpoint, config: &Config) -> PoolBuilder {
    let manager = Manager::from_connect(
        config.clone(),
        ByToken(endpoint.clone()),
        ManagerConfig { recycling_method: RecyclingMethod::Verified },
    );
    Pool::builder(manager)
}

struct ByToken(Endpoint);

type Connected = Result<(tokio_postgres::Client, JoinHandle<()>), Error>;

impl Connect for ByToken {
    fn connect(&self, config: &Config) -> Pin<Box<dyn Future<Output = Connected> + Send + '_>> {
        let config = config.clone();
        Box::pin(async move {
            let (client, connection) = self.0.connect(&config).await?;
            let carrier = tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a pooled connection ended");
                }
            });
            Ok((client, carrier))
        })
    }
}
