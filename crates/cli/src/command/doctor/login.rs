//! The login to PostgreSQL, and what its refusals mean.

use lakeport_client::Endpoint;
use lakeport_pg::QuotedIdent;
use tokio_postgres::{Client, Config, Error};

use super::Stop;
use super::report::Report;

const STEP: &str = "login";

pub(super) async fn open(
    endpoint: &Endpoint,
    database: &str,
    report: &mut Report,
) -> Result<Client, Stop> {
    let mut config = Config::new();
    config.dbname(database).application_name("lakeport doctor");
    match endpoint.connect(&config).await {
        Ok((client, connection)) => {
            // It ends with the client; what ends it earlier is told to whoever asks the client.
            tokio::spawn(async move { connection.await.ok() });
            report.well(STEP, format!("{} opens database {database} over TLS", endpoint.user()));
            Ok(client)
        }
        Err(error) => {
            report.ill(STEP, message(&error), mend(&error, endpoint, database));
            Err(Stop)
        }
    }
}

pub(super) fn message(error: &Error) -> String {
    let Some(told) = error.as_db_error() else { return error.to_string() };
    let detail = told.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    format!("{}{detail}", told.message())
}

fn mend(error: &Error, endpoint: &Endpoint, database: &str) -> Vec<String> {
    let Some(told) = error.as_db_error() else { return Vec::new() };
    let quoted = |name: &str| QuotedIdent::new(name).map(|name| name.to_string()).ok();
    let own = match (told.code().code(), quoted(database), quoted(endpoint.user())) {
        ("3D000", Some(database), _) => Some(format!("CREATE DATABASE {database};")),
        ("42501", Some(database), Some(user)) => {
            Some(format!("GRANT CONNECT ON DATABASE {database} TO {user};"))
        }
        _ => None,
    };
    own.or(told.hint().map(str::to_owned)).into_iter().collect()
}
