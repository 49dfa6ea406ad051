//! The login to PostgreSQL, and what its refusals mean.

use lakeport_client::Endpoint;
use lakeport_pg::QuotedIdent;
use tokio_postgres::{Client, Config, Error};

use super::Stop;
use super::report::Report;
use crate::text::shell_quote;

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

/// Who may use the instance may run this for itself.
pub(super) fn create_role(instance: &str, role: &str) -> String {
    let (instance, role) = (shell_quote(instance), shell_quote(role));
    // People are named by their address, and programs by an application id.
    let kind = if role.contains('@') { "USER" } else { "SERVICE_PRINCIPAL" };
    format!(
        "lakeport database create-database-instance-role {instance} {role} --identity-type {kind}"
    )
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
        ("28000", ..) if told.message().starts_with("role ") => {
            Some(create_role(endpoint.instance(), endpoint.user()))
        }
        ("3D000", Some(database), _) => Some(format!("CREATE DATABASE {database};")),
        ("42501", Some(database), Some(user)) => {
            Some(format!("GRANT CONNECT ON DATABASE {database} TO {user};"))
        }
        _ => None,
    };
    own.or(told.hint().map(str::to_owned)).into_iter().collect()
}
