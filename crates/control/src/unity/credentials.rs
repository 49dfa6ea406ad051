//! Credentials for a table's files, for clients that read them themselves.
//!
//! Only those that the operator has set aside for it are given; the ones that this server works with are
//! never.

use std::time::Duration;

use jiff::Timestamp;
use lakeport_api::unity_grants::{
    AwsCredentials, AzureSas, GcpToken, TableCredential, TableCredentialRequest,
};
use lakeport_catalog::Location;
use lakeport_store::Principal;
use uuid::Uuid;

use super::rights::{MODIFY, SELECT, require};
use crate::{Control, Error, Result};

/// When a client should ask again, whatever the store's own limit is.
const LIFETIME: Duration = Duration::from_secs(3600);

impl Control {
    pub async fn temporary_table_credential(
        &self,
        caller: &Principal,
        request: &TableCredentialRequest,
    ) -> Result<TableCredential> {
        let privileges: &[&str] = match request.operation.as_str() {
            "READ" => &[SELECT],
            "READ_WRITE" => &[SELECT, MODIFY],
            other => {
                let problem = format!("\"{other}\" is none of READ, READ_WRITE");
                return Err(Error::invalid("operation", problem));
            }
        };
        let not_found = || Error::not_found("table", &request.table_id);
        let id = Uuid::parse_str(&request.table_id).map_err(|_| not_found())?;
        let row = self.store.unity_table_by_id(id).await?.ok_or_else(not_found)?;
        let name = lakeport_catalog::join_name(&[&row.catalog_name, &row.schema_name, &row.name]);
        let who = self.who(caller).await?;
        let (row, held) = self.known_table(&who, &name).await.map_err(|_| not_found())?;
        for privilege in privileges {
            require(&held, privilege, &name)?;
        }
        let location = row.storage_location.ok_or_else(|| {
            Error::invalid(
                "table_id",
                format!("\"{name}\" is a table of a database: it has no files"),
            )
        })?;
        self.credential_of(&location, request.operation == "READ_WRITE")
    }

    fn credential_of(&self, location: &str, write: bool) -> Result<TableCredential> {
        let parsed = Location::parse(location).map_err(lakeport_catalog::Error::from)?;
        self.catalog.open(&parsed)?;
        let expires = Timestamp::now().checked_add(LIFETIME).ok().map(Timestamp::as_millisecond);
        let mut credential = TableCredential {
            url: location.to_owned(),
            expiration_time: expires,
            ..TableCredential::default()
        };
        if parsed.file_path().is_some() {
            return Ok(credential);
        }
        let given = self.catalog.hand_out(&parsed, write).ok_or_else(|| {
            Error::precondition(format!(
                "no credentials for {} of {location} are handed out: ask the operator to set {} of its \
                 [[object_store]]",
                if write { "writing" } else { "reading" },
                if write { "hand_out_write" } else { "hand_out" },
            ))
        })?;
        let value = |key: &str| given.get(key).cloned();
        match parsed.scheme() {
            "s3" | "s3a" => {
                credential.aws_temp_credentials = Some(AwsCredentials {
                    access_key_id: value("access_key_id").unwrap_or_default(),
                    secret_access_key: value("secret_access_key").unwrap_or_default(),
                    session_token: value("session_token"),
                });
            }
            "gs" => {
                let oauth_token = value("oauth_token").unwrap_or_default();
                credential.gcp_oauth_token = Some(GcpToken { oauth_token });
            }
            _ => {
                let sas_token = value("sas_token").unwrap_or_default();
                credential.azure_user_delegation_sas = Some(AzureSas { sas_token });
            }
        }
        Ok(credential)
    }
}
