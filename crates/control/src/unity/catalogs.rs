//! Catalogs: embedded ones, and those that show a database.

use lakeport_api::InstanceState;
use lakeport_api::unity::{CatalogInfo, UpdateObject};
use lakeport_catalog::check_part;
use lakeport_store::{DatabaseCatalogRow, GrantPlace, NewObject, ObjectPatch, Principal};

use super::info::{catalog_info, database_catalog_info, json};
use super::rights::{Who, lacking, require_manager};
use super::{Behind, refuse_settings, settings};
use crate::instances::wire_name;
use crate::page::PageRequest;
use crate::{Control, Error, Page, Result};

impl Control {
    pub async fn create_unity_catalog(
        &self,
        caller: &Principal,
        request: &CatalogInfo,
    ) -> Result<CatalogInfo> {
        if !caller.is_admin {
            return Err(Error::denied("only members of the group \"admins\" create catalogs"));
        }
        check_part("catalog", &request.name).map_err(|error| Error::invalid("name", error))?;
        let taken =
            || Error::already_exists(format!("catalog \"{}\" already exists", request.name));
        let settings = settings::of_new_catalog(request)?;
        if !self.is_free_catalog(&request.name).await? {
            return Err(taken());
        }
        let new = NewObject {
            name: &request.name,
            owner: &caller.user_name,
            comment: request.comment.as_deref(),
            properties: &json(request.properties.as_ref())?,
            settings: &settings,
        };
        match self.store.add_unity_catalog(&new).await {
            Ok(catalog) => Ok(catalog_info(catalog)),
            Err(error) if error.is_constraint("unity_catalogs_pkey") => Err(taken()),
            Err(error) => Err(error.into()),
        }
    }

    pub async fn get_unity_catalog(&self, caller: &Principal, name: &str) -> Result<CatalogInfo> {
        let who = self.who(caller).await?;
        if self.is_outside(&who, name).await? {
            return self.outside_catalog(name).await;
        }
        match self.catalog_behind(&who, name).await? {
            Behind::Embedded(row) => Ok(catalog_info(row)),
            Behind::Database(row) => {
                let state = self.provisioning_state(&row).await?;
                Ok(database_catalog_info(row, Some(state)))
            }
        }
    }

    /// Whether the database that the catalog shows is there and answers.
    async fn provisioning_state(&self, catalog: &DatabaseCatalogRow) -> Result<&'static str> {
        let instance = self.store.instance(catalog.instance_uid).await?;
        let available = wire_name(InstanceState::Available);
        let Some(instance) = instance.filter(|instance| instance.state == available) else {
            return Ok("DEGRADED");
        };
        match self.has_database(&instance, &catalog.database_name).await {
            Ok(true) => Ok("ACTIVE"),
            Ok(false) => Ok("FAILED"),
            Err(_) => Ok("DEGRADED"),
        }
    }

    /// All kinds in one list, by name.
    pub async fn list_unity_catalogs(
        &self,
        caller: &Principal,
        max_results: Option<i64>,
        page_token: Option<&str>,
    ) -> Result<Page<CatalogInfo>> {
        let who = self.who(caller).await?;
        let list = String::from("catalogs");
        let request = PageRequest::new(&self.vault, list, max_results, page_token)?;
        let (after, limit) = (&request.after, request.limit());
        let embedded = self.store.unity_catalogs(who.filter(), after, limit).await?;
        let instances = (!who.admin).then(|| who.instances());
        let databases = self.store.all_database_catalogs(instances, after, limit).await?;
        let mut rows: Vec<CatalogInfo> = embedded.into_iter().map(catalog_info).collect();
        rows.extend(databases.into_iter().map(|row| database_catalog_info(row, None)));
        let mounted = self.mounted_catalogs(&who).await?;
        rows.extend(mounted.into_iter().filter(|catalog| catalog.name > *after));
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(request.page(rows, |row| row.name.clone()))
    }

    pub async fn update_unity_catalog(
        &self,
        caller: &Principal,
        name: &str,
        request: &UpdateObject,
    ) -> Result<CatalogInfo> {
        let who = self.who(caller).await?;
        let patch = self.checked_patch(request).await?;
        self.refuse_outside(&who, name, "change it").await?;
        match self.catalog_behind(&who, name).await? {
            Behind::Embedded(_) => {
                require_manager(&self.held(&who, &catalog_place(name)).await?, name)?;
                self.change_unity_catalog(&who, name, patch).await
            }
            Behind::Database(row) => {
                if !who.owns(&row.owner) {
                    return Err(lacking("ownership", name));
                }
                refuse_settings(&patch, "a catalog that shows a database")?;
                self.store.update_database_catalog(name, &who.name, &patch).await?;
                self.get_unity_catalog(caller, name).await
            }
        }
    }

    async fn change_unity_catalog(
        &self,
        who: &Who,
        name: &str,
        mut patch: ObjectPatch,
    ) -> Result<CatalogInfo> {
        patch.new_name = patch.new_name.filter(|new| new != name);
        let new_name = patch.new_name.as_deref().unwrap_or(name);
        let taken = || Error::already_exists(format!("catalog \"{new_name}\" already exists"));
        if patch.new_name.is_some() {
            check_part("catalog", new_name).map_err(|error| Error::invalid("new_name", error))?;
            if !self.is_free_catalog(new_name).await? {
                return Err(taken());
            }
            self.refuse_rename_under_synced_tables(name, None).await?;
        }
        match self.store.update_unity_catalog(name, &who.name, &patch).await {
            Ok(row) => row.map(catalog_info).ok_or_else(|| Error::not_found("catalog", name)),
            Err(error) if error.is_constraint("unity_catalogs_pkey") => Err(taken()),
            Err(error) => Err(error.into()),
        }
    }

    /// `force` also forgets the catalog's schemas and tables. Data is never touched.
    pub async fn delete_unity_catalog(
        &self,
        caller: &Principal,
        name: &str,
        force: bool,
    ) -> Result<()> {
        let who = self.who(caller).await?;
        self.refuse_outside(&who, name, "drop it").await?;
        if let Behind::Database(row) = self.catalog_behind(&who, name).await? {
            if !who.owns(&row.owner) {
                return Err(lacking("ownership", name));
            }
            return self.delete_database_catalog(name).await.map(drop);
        }
        require_manager(&self.held(&who, &catalog_place(name)).await?, name)?;
        let deleted = if force {
            self.store.delete_unity_catalog_whole(name).await
        } else {
            self.store.delete_unity_catalog(name).await
        };
        match deleted {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::not_found("catalog", name)),
            Err(lakeport_store::Error::Constraint(_)) => Err(Error::precondition(format!(
                "catalog \"{name}\" is not empty: delete its schemas first, or use force"
            ))),
            Err(error) => Err(error.into()),
        }
    }
}

fn catalog_place(name: &str) -> GrantPlace {
    GrantPlace { catalog: name.to_owned(), schema: None, table: None }
}
