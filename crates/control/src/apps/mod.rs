//! Apps: the service behind `/api/2.0/apps`.
//!
//! An app is a service principal with rights in databases, deployments, and perhaps a process that runs
//! it somewhere and tells so. Here nothing is run.

mod deployments;
mod grants;
mod runs;
mod spec;
mod wire;

use lakeport_api::app::{App, AppUpdate, AppUpdateRequest};
use lakeport_store::{App as Row, DatabaseOfApp, NewApp, Principal};
use uuid::Uuid;

use crate::page::PageRequest;
use crate::{Capability, Control, Error, Page, Result};

pub use grants::run as settle_apps;

const MAX_NAME_BYTES: usize = 30;
/// How often an update is tried again when another writer was faster.
const UPDATE_ATTEMPTS: usize = 5;

impl Control {
    /// Who may: anybody. An app has no rights but in databases of instances that its maker manages.
    pub async fn create_app(
        &self,
        caller: &Principal,
        request: &App,
        no_compute: bool,
    ) -> Result<App> {
        check_name(&request.name)?;
        let spec = spec::from_request(request)?;
        let databases = self.databases_of(caller, &spec).await?;
        let id = Uuid::new_v4();
        let new = NewApp {
            id,
            name: request.name.clone(),
            creator: caller.user_name.clone(),
            spec: spec::to_json(&spec)?,
            stopped: no_compute,
            client_id: Uuid::new_v4(),
            principal_name: format!("app-{} {}", &id.simple().to_string()[..6], request.name),
        };
        self.store.add_app(&new, &databases).await.map_err(|error| {
            match error.is_constraint("apps_name_key") {
                true => Error::already_exists(format!(
                    "an app named \"{}\" already exists; choose another name",
                    request.name
                )),
                false => error.into(),
            }
        })?;
        self.identities_changed().await;
        self.settle_app(id).await;
        self.get_app(caller, &request.name).await
    }

    pub async fn get_app(&self, caller: &Principal, name: &str) -> Result<App> {
        let app = self.authorize_app(caller, name).await?;
        self.app_to_wire(&app).await
    }

    pub async fn list_apps(
        &self,
        caller: &Principal,
        page_size: Option<i64>,
        page_token: Option<&str>,
    ) -> Result<Page<App>> {
        let request = PageRequest::new(&self.vault, String::from("apps"), page_size, page_token)?;
        let creator = (!caller.is_admin).then_some(caller.user_name.as_str());
        let rows = self.store.apps(creator, &request.after, request.limit()).await?;
        let page = request.page(rows, |app| app.name.clone());
        let mut items = Vec::with_capacity(page.items.len());
        for app in &page.items {
            items.push(self.app_to_wire(app).await?);
        }
        Ok(Page { items, next_page_token: page.next_page_token })
    }

    /// Without a mask, what the body holds is set; with one, a field that it names and the body lacks is
    /// cleared. Resources are always replaced as a whole.
    pub async fn update_app(
        &self,
        caller: &Principal,
        name: &str,
        request: &App,
        mask: Option<&str>,
    ) -> Result<App> {
        for _ in 0..UPDATE_ATTEMPTS {
            let app = self.living_app(caller, name).await?;
            let before = spec::of(&app)?;
            let after = spec::updated(&before, request, mask)?;
            let databases = match after.resources == before.resources {
                true => None,
                false => Some(self.databases_of(caller, &after).await?),
            };
            let json = spec::to_json(&after)?;
            let updater = &caller.user_name;
            if self.store.update_app(&app, updater, &json, databases.as_deref()).await? {
                self.settle_app(app.id).await;
                return self.get_app(caller, name).await;
            }
        }
        Err(Error::conflict(format!(
            "app \"{name}\" is being changed by others at the same time; try again"
        )))
    }

    pub async fn start_app_update(
        &self,
        caller: &Principal,
        name: &str,
        request: &AppUpdateRequest,
    ) -> Result<AppUpdate> {
        let body = request.app.clone().unwrap_or_default();
        self.update_app(caller, name, &body, request.update_mask.as_deref()).await?;
        self.get_app_update(caller, name).await
    }

    pub async fn get_app_update(&self, caller: &Principal, name: &str) -> Result<AppUpdate> {
        let app = self.authorize_app(caller, name).await?;
        self.app_update_to_wire(&app).await
    }

    pub async fn set_app_stopped(
        &self,
        caller: &Principal,
        name: &str,
        stopped: bool,
    ) -> Result<App> {
        let app = self.living_app(caller, name).await?;
        self.store.set_app_stopped(app.id, &caller.user_name, stopped).await?;
        self.get_app(caller, name).await
    }

    /// Its identity logs in nowhere from here on; what it owns goes to the instances' owners.
    pub async fn delete_app(&self, caller: &Principal, name: &str) -> Result<App> {
        let app = self.authorize_app(caller, name).await?;
        self.store.mark_app_deleted(&app).await?;
        self.rights_changed().await;
        self.identities_changed().await;
        let deleting = self.authorize_app(caller, name).await?;
        let answer = self.app_to_wire(&deleting).await?;
        self.settle_app(app.id).await;
        Ok(answer)
    }

    async fn living_app(&self, caller: &Principal, name: &str) -> Result<Row> {
        let app = self.authorize_app(caller, name).await?;
        if app.deleted_at.is_some() {
            return Err(Error::precondition(format!("app \"{name}\" is being deleted")));
        }
        Ok(app)
    }

    /// The databases that the resources name: each must be there, on an instance that the caller manages.
    async fn databases_of(
        &self,
        caller: &Principal,
        spec: &lakeport_api::app::AppFields,
    ) -> Result<Vec<DatabaseOfApp>> {
        let mut databases = Vec::new();
        for (at, database) in spec::databases(spec) {
            let name = &database.instance_name;
            let instance = self.authorize_instance(caller, name, Capability::CanManage).await?;
            self.require_available(&instance)?;
            if !self.has_database(&instance, &database.database_name).await? {
                return Err(Error::invalid(
                    &format!("resources[{at}].database.database_name"),
                    format!(
                        "instance \"{}\" has no database \"{}\"; create it, or name another",
                        instance.name, database.database_name
                    ),
                ));
            }
            let database = DatabaseOfApp {
                instance_uid: instance.uid,
                database_name: database.database_name.clone(),
            };
            if !databases.contains(&database) {
                databases.push(database);
            }
        }
        Ok(databases)
    }
}

/// A name is part of host names.
fn check_name(name: &str) -> Result<()> {
    let problem = if name.is_empty() {
        String::from("it is missing; give the app a name")
    } else if name.len() < 2 || name.len() > MAX_NAME_BYTES {
        format!("\"{name}\" must have 2 to 30 characters")
    } else if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        format!("\"{name}\" may hold lower-case letters, digits and hyphens only")
    } else if name.starts_with('-') || name.ends_with('-') {
        format!("\"{name}\" may not begin or end with a hyphen")
    } else {
        return Ok(());
    };
    Err(Error::invalid("name", problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_host_labels() {
        for good in ["ab", "my-app", "a1", "1a", &"x".repeat(30)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "A1", "a b", "a_b", "a.b", "-a", "a-", "é1", &"x".repeat(31)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
