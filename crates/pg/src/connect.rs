//! Lakeport's own connections: pinned settings, so that nothing that a tenant has set on a role or a
//! database steers them.

use std::ops::Deref;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, Error, NoTls};

/// Start-up options override `ALTER ROLE … SET` and `ALTER DATABASE … SET`. Nobody's lock holds us, or
/// those who queue behind us, for long.
const PINNED: &str = "-c search_path=pg_catalog,pg_temp -c default_transaction_read_only=off \
                      -c statement_timeout=0 -c lock_timeout=10s -c role=none \
                      -c idle_in_transaction_session_timeout=0";

/// The configuration with our settings pinned and a limit on connecting.
#[must_use]
pub fn pinned(mut config: Config, application_name: &str) -> Config {
    config.options(PINNED);
    config.application_name(application_name);
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(Duration::from_secs(5));
    }
    config
}

/// A client together with the task that drives its connection; dropping it ends both.
pub struct Session {
    client: Client,
    driver: JoinHandle<()>,
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Session {
    /// Mutable access, which transactions need.
    pub fn client_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Connects without TLS: our own connections run over unix sockets, or to a metadata server that the
/// operator has named.
pub async fn connect(config: &Config) -> Result<Session, Error> {
    let (client, connection) = config.connect(NoTls).await?;
    // The driver's error, if any, is also what the client's next call reports.
    let driver = tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(Session { client, driver })
}
