//! What apps shall have in databases, made so: role, rights, permission on the instance, and their removal.
//!
//! What is to be done is in the metadata, so that a request, a crash and an instance that is down for a
//! while all go the same way. Each step is safe to run twice, and by two at once.

use std::sync::Arc;
use std::time::Duration;

use lakeport_api::{DatabaseInstanceRole, IdentityType};
use lakeport_pg::QuotedIdent;
use lakeport_store::{App, AppGrant, Instance};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::target::refused;
use crate::{Control, Error, Kind, Result};

const TICK: Duration = Duration::from_secs(1);
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Finishes what requests could not, until cancelled.
pub async fn run(control: Arc<Control>, cancel: CancellationToken) -> Result<()> {
    while cancel.run_until_cancelled(tokio::time::sleep(TICK)).await.is_some() {
        match control.store.due_apps(control.node).await {
            Ok(due) => {
                for app in due {
                    control.settle_app(app).await;
                }
            }
            Err(error) => tracing::warn!(%error, "looking for apps failed"),
        }
    }
    Ok(())
}

impl Control {
    /// Does what can be done now; what fails is written down and tried again.
    pub(super) async fn settle_app(&self, id: Uuid) {
        if let Err(error) = self.try_settle_app(id).await {
            tracing::warn!(app.id = %id, %error, "settling an app failed; it is tried again");
        }
    }

    async fn try_settle_app(&self, id: Uuid) -> Result<()> {
        let Some(app) = self.store.app_by_id(id).await? else { return Ok(()) };
        let grants = self.store.app_grants(id).await?;
        for grant in grants.iter().filter(|grant| !grant.settled) {
            match self.settle_grant(&app, grant, &grants).await {
                Ok(()) => self.store.settle_app_grant(grant).await?,
                Err(error) => {
                    tracing::warn!(
                        app = app.name, database = grant.database_name, error = error.message(),
                        source = ?std::error::Error::source(&error), "an app's rights are not settled"
                    );
                    let message = error.message();
                    self.store.postpone_app_grant(grant, message, PAUSE_AFTER_FAILURE).await?;
                }
            }
        }
        if app.deleted_at.is_some() && self.store.forget_app(&app).await? {
            tracing::info!(app = app.name, "deleted");
        }
        Ok(())
    }

    async fn settle_grant(&self, app: &App, grant: &AppGrant, all: &[AppGrant]) -> Result<()> {
        // A deleted instance has taken its grants with it.
        let Some(instance) = self.store.instance(grant.instance_uid).await? else { return Ok(()) };
        self.require_available(&instance)?;
        if grant.wanted {
            return self.grant_to_app(app, &instance, &grant.database_name).await;
        }
        let others: Vec<_> = all
            .iter()
            .filter(|other| other.wanted && other.instance_uid == instance.uid)
            .map(|other| other.database_name.as_str())
            .collect();
        self.revoke_from_app(app, &instance, &grant.database_name, &others).await
    }

    async fn grant_to_app(&self, app: &App, instance: &Instance, database: &str) -> Result<()> {
        let name = app.client_id.to_string();
        let role = DatabaseInstanceRole {
            name: name.clone(),
            identity_type: Some(IdentityType::ServicePrincipal),
            ..DatabaseInstanceRole::default()
        };
        match self.add_instance_role(instance, &role, IdentityType::ServicePrincipal).await {
            Err(error) if error.kind() != Kind::AlreadyExists => return Err(error),
            _ => {}
        }
        let quoted = |name: &str| {
            QuotedIdent::new(name).map_err(|error| Error::invalid("database_name", error))
        };
        let (role, in_database) = (quoted(&name)?, quoted(database)?);
        let public = match self.app_public_schema {
            true => format!("grant usage, create on schema public to {role};"),
            false => String::new(),
        };
        let session = self.admin_session(instance, database).await?;
        session
            .batch_execute(&format!(
                "grant connect, create on database {in_database} to {role}; {public}"
            ))
            .await
            .map_err(refused("giving an app its rights"))?;
        Ok(self.store.open_instance_to(instance.uid, app.principal_id).await?)
    }

    /// What the app owns in the database becomes the instance's owner's; the role goes with the last
    /// database of the instance.
    async fn revoke_from_app(
        &self,
        app: &App,
        instance: &Instance,
        database: &str,
        others: &[&str],
    ) -> Result<()> {
        let (role, heir) = (app.client_id.to_string(), &instance.creator);
        if others.is_empty() {
            self.store.close_instance_to(instance.uid, app.principal_id).await?;
            self.rights_changed().await;
            return self.delete_instance_role(instance, &role, true, Some(heir)).await;
        }
        if self.has_database(instance, database).await? {
            self.empty_role(instance, database, &role, heir).await?;
            // Rights on databases belong to none of them: those on the others went too.
            for other in others {
                self.grant_to_app(app, instance, other).await?;
            }
        }
        Ok(())
    }
}
