//! Schemas: rows of the embedded catalog, or those of a database.

use lakeport_api::unity::{SchemaInfo, UpdateObject};
use lakeport_catalog::{Paging, check_part, join_name, split_name};
use lakeport_store::{GrantPlace, NewObject, Principal, UnitySchema};

use super::info::{convert, json, schema_info};
use super::rights::{CREATE_SCHEMA, Held, USE_CATALOG, Who, lacking, require_manager};
use super::{Behind, read_only, settings};
use crate::page::PageRequest;
use crate::{Control, Error, Page, Result};

impl Control {
    pub async fn create_unity_schema(
        &self,
        caller: &Principal,
        request: &SchemaInfo,
    ) -> Result<SchemaInfo> {
        check_part("schema", &request.name).map_err(|error| Error::invalid("name", error))?;
        let settings = settings::of_new_schema(request)?;
        let who = self.who(caller).await?;
        let catalog = request.catalog_name.as_str();
        self.refuse_outside(&who, catalog, "create the schema").await?;
        if let Behind::Database(row) = self.catalog_behind(&who, catalog).await? {
            return Err(read_only(&row, "create the schema"));
        }
        let place = GrantPlace { catalog: catalog.to_owned(), schema: None, table: None };
        let held = self.held(&who, &place).await?;
        for privilege in [USE_CATALOG, CREATE_SCHEMA] {
            if !held.has(privilege) {
                return Err(lacking(privilege, catalog));
            }
        }
        let new = NewObject {
            name: &request.name,
            owner: &who.name,
            comment: request.comment.as_deref(),
            properties: &json(request.properties.as_ref())?,
            settings: &settings,
        };
        match self.store.add_unity_schema(catalog, &new).await {
            Ok(schema) => Ok(schema_info(schema)),
            Err(error) if error.is_constraint("unity_schemas_pkey") => {
                Err(taken(catalog, &request.name))
            }
            Err(lakeport_store::Error::Constraint(_)) => Err(Error::not_found("catalog", catalog)),
            Err(error) => Err(error.into()),
        }
    }

    pub async fn get_unity_schema(
        &self,
        caller: &Principal,
        full_name: &str,
    ) -> Result<SchemaInfo> {
        let not_found = || Error::not_found("schema", full_name);
        let who = self.who(caller).await?;
        let [catalog, name] = split_name(full_name).ok_or_else(not_found)?;
        let outside = self.is_outside(&who, &catalog).await;
        if outside.map_err(|error| hide(error, not_found))? {
            return self.outside_schema(&catalog, &name).await;
        }
        if let Behind::Database(row) =
            self.catalog_behind(&who, &catalog).await.map_err(|error| hide(error, not_found))?
        {
            let mirror = self.mirror(&row).await?;
            return mirror.schema(&who, &name).await?.ok_or_else(not_found);
        }
        let (row, _) = self.known_schema(&who, &catalog, &name).await?;
        Ok(schema_info(row))
    }

    pub async fn list_unity_schemas(
        &self,
        caller: &Principal,
        catalog: &str,
        max_results: Option<i64>,
        page_token: Option<&str>,
    ) -> Result<Page<SchemaInfo>> {
        let who = self.who(caller).await?;
        if self.is_outside(&who, catalog).await? {
            return self.outside_schemas(catalog, Paging { max_results, page_token }).await;
        }
        let behind = self.catalog_behind(&who, catalog).await?;
        let list = format!("schemas of {catalog}");
        let request = PageRequest::new(&self.vault, list, max_results, page_token)?;
        if let Behind::Database(row) = behind {
            let mirror = self.mirror(&row).await?;
            let schemas = mirror.schemas(&who, &request.after, request.limit()).await?;
            return Ok(request.page(schemas, |schema| schema.name.clone()));
        }
        let place = GrantPlace { catalog: catalog.to_owned(), schema: None, table: None };
        let held = self.held(&who, &place).await?;
        let all = held.has(super::rights::USE_SCHEMA) || held.sees_all_tables();
        let names = who.filter().filter(|_| !all);
        let rows =
            self.store.unity_schemas(catalog, names, &request.after, request.limit()).await?;
        Ok(convert(request.page(rows, |row| row.name.clone()), schema_info))
    }

    pub async fn update_unity_schema(
        &self,
        caller: &Principal,
        full_name: &str,
        request: &UpdateObject,
    ) -> Result<SchemaInfo> {
        let not_found = || Error::not_found("schema", full_name);
        let who = self.who(caller).await?;
        let mut patch = self.checked_patch(request).await?;
        let [catalog, name] = split_name(full_name).ok_or_else(not_found)?;
        self.refuse_outside(&who, &catalog, "change the schema").await?;
        if let Behind::Database(row) = self.catalog_behind(&who, &catalog).await? {
            return Err(read_only(&row, "change the schema"));
        }
        let (_, held) = self.known_schema(&who, &catalog, &name).await?;
        require_manager(&held, full_name)?;
        patch.new_name = patch.new_name.filter(|new| *new != name);
        if let Some(new_name) = &patch.new_name {
            check_part("schema", new_name).map_err(|error| Error::invalid("new_name", error))?;
            self.refuse_rename_under_synced_tables(&catalog, Some(&name)).await?;
        }
        match self.store.update_unity_schema(&catalog, &name, &who.name, &patch).await {
            Ok(row) => row.map(schema_info).ok_or_else(not_found),
            Err(error) if error.is_constraint("unity_schemas_pkey") => {
                Err(taken(&catalog, patch.new_name.as_deref().unwrap_or(&name)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// `force` also forgets the tables that are registered in it. Data is never touched.
    pub async fn delete_unity_schema(
        &self,
        caller: &Principal,
        full_name: &str,
        force: bool,
    ) -> Result<()> {
        let not_found = || Error::not_found("schema", full_name);
        let who = self.who(caller).await?;
        let [catalog, name] = split_name(full_name).ok_or_else(not_found)?;
        self.refuse_outside(&who, &catalog, "drop the schema").await?;
        if let Behind::Database(row) = self.catalog_behind(&who, &catalog).await? {
            return Err(read_only(&row, "drop the schema"));
        }
        let (_, held) = self.known_schema(&who, &catalog, &name).await?;
        require_manager(&held, full_name)?;
        match self.store.delete_unity_schema(&catalog, &name, force).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(not_found()),
            Err(lakeport_store::Error::Constraint(_)) => Err(Error::precondition(format!(
                "schema \"{full_name}\" is not empty: delete its tables first, or use force"
            ))),
            Err(error) => Err(error.into()),
        }
    }

    /// A schema of the embedded catalog that the caller may know of, with what is held on it.
    pub(super) async fn known_schema(
        &self,
        who: &Who,
        catalog: &str,
        name: &str,
    ) -> Result<(UnitySchema, Held)> {
        let not_found = || Error::not_found("schema", &join_name(&[catalog, name]));
        let row = self.store.unity_schema(catalog, name).await?.ok_or_else(not_found)?;
        if !who.owns(&row.owner) && !self.is_named_in(who, catalog, Some(name)).await? {
            return Err(not_found());
        }
        let place =
            GrantPlace { catalog: catalog.to_owned(), schema: Some(name.to_owned()), table: None };
        Ok((row, self.held(who, &place).await?))
    }
}

fn taken(catalog: &str, name: &str) -> Error {
    Error::already_exists(format!("schema \"{}\" already exists", join_name(&[catalog, name])))
}

/// What lies in a catalog that somebody may not know of is not there either.
fn hide(error: Error, not_found: impl FnOnce() -> Error) -> Error {
    if error.kind() == crate::Kind::NotFound { not_found() } else { error }
}
