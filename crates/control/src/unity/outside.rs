//! Catalogs of outside servers, shown under the names that they have here.
//!
//! Everything is asked for when somebody looks, and nothing is kept. Who may look are administrators and those
//! whom the configuration names. What is to be changed is changed on that server.

use lakeport_api::unity::{
    CatalogInfo, SchemaInfo, SchemaList, TableInfo, TableList, TableSummary, TableSummaryList,
};
use lakeport_catalog::{Paging, Question, join_name, split_name};
use serde::de::DeserializeOwned;

use super::rights::Who;
use crate::{Control, Error, Page, Result};

/// The API's word for a catalog that another system holds.
const FOREIGN: &str = "FOREIGN_CATALOG";

impl Control {
    /// Whether the catalog is an outside one; to those who may not read it, it is not there.
    pub(super) async fn is_outside(&self, who: &Who, catalog: &str) -> Result<bool> {
        match self.catalog.readers(catalog).await? {
            None => Ok(false),
            Some(readers) if who.is_among(&readers) => Ok(true),
            Some(_) => Err(Error::not_found("catalog", catalog)),
        }
    }

    pub(super) async fn refuse_outside(&self, who: &Who, catalog: &str, what: &str) -> Result<()> {
        if self.is_outside(who, catalog).await? {
            return Err(Error::precondition(format!(
                "catalog \"{catalog}\" belongs to another Unity Catalog server: {what} there"
            )));
        }
        Ok(())
    }

    /// Mounted catalogs that the caller may read. They are told by their names alone, so that a server that
    /// is down spoils no list.
    pub(super) async fn mounted_catalogs(&self, who: &Who) -> Result<Vec<CatalogInfo>> {
        let mut found = Vec::new();
        for name in self.catalog.mounts() {
            let readers = self.catalog.readers(name).await?;
            if readers.is_some_and(|readers| who.is_among(&readers)) {
                found.push(called(CatalogInfo::default(), name));
            }
        }
        Ok(found)
    }

    pub(super) async fn outside_catalog(&self, name: &str) -> Result<CatalogInfo> {
        let found: Option<CatalogInfo> = self.ask(name, &Question::Catalog).await?;
        let found = found.ok_or_else(|| Error::not_found("catalog", name))?;
        Ok(called(found, name))
    }

    pub(super) async fn outside_schemas(
        &self,
        catalog: &str,
        paging: Paging<'_>,
    ) -> Result<Page<SchemaInfo>> {
        let found: Option<SchemaList> = self.ask(catalog, &Question::Schemas(paging)).await?;
        let found = found.ok_or_else(|| Error::not_found("catalog", catalog))?;
        let items = found.schemas.into_iter().map(|schema| schema_of(schema, catalog));
        Ok(Page { items: items.collect(), next_page_token: found.next_page_token })
    }

    pub(super) async fn outside_schema(&self, catalog: &str, name: &str) -> Result<SchemaInfo> {
        let found: Option<SchemaInfo> = self.ask(catalog, &Question::Schema(name)).await?;
        let found =
            found.ok_or_else(|| Error::not_found("schema", &join_name(&[catalog, name])))?;
        Ok(schema_of(found, catalog))
    }

    pub(super) async fn outside_tables(
        &self,
        catalog: &str,
        schema: &str,
        paging: Paging<'_>,
    ) -> Result<Page<TableInfo>> {
        let question = Question::Tables(schema, paging);
        let found: Option<TableList> = self.ask(catalog, &question).await?;
        let found =
            found.ok_or_else(|| Error::not_found("schema", &join_name(&[catalog, schema])))?;
        let items = found.tables.into_iter().map(|table| table_of(table, catalog));
        Ok(Page { items: items.collect(), next_page_token: found.next_page_token })
    }

    pub(super) async fn outside_table(
        &self,
        catalog: &str,
        schema: &str,
        table: &str,
    ) -> Result<TableInfo> {
        let found: Option<TableInfo> = self.ask(catalog, &Question::Table(schema, table)).await?;
        let not_found = || Error::not_found("table", &join_name(&[catalog, schema, table]));
        Ok(table_of(found.ok_or_else(not_found)?, catalog))
    }

    pub(super) async fn outside_summaries(
        &self,
        catalog: &str,
        patterns: (Option<&str>, Option<&str>),
        paging: Paging<'_>,
    ) -> Result<Page<TableSummary>> {
        let question = Question::Summaries(patterns.0, patterns.1, paging);
        let found: Option<TableSummaryList> = self.ask(catalog, &question).await?;
        let found = found.ok_or_else(|| Error::not_found("catalog", catalog))?;
        let named = found.tables.into_iter().filter_map(|summary| {
            let [_, schema, table] = split_name(&summary.full_name)?;
            Some(TableSummary { full_name: join_name(&[catalog, &schema, &table]), ..summary })
        });
        Ok(Page { items: named.collect(), next_page_token: found.next_page_token })
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        catalog: &str,
        question: &Question<'_>,
    ) -> Result<Option<T>> {
        let answer = self.catalog.ask(catalog, question).await?;
        let read = answer.map(serde_json::from_value).transpose();
        read.map_err(|error| {
            let problem =
                format!("the server of catalog \"{catalog}\" answers with something else: {error}");
            lakeport_catalog::Error::OutsideRefused(problem).into()
        })
    }
}

fn called(catalog: CatalogInfo, name: &str) -> CatalogInfo {
    CatalogInfo {
        name: name.to_owned(),
        full_name: Some(name.to_owned()),
        catalog_type: Some(FOREIGN.to_owned()),
        securable_type: Some(String::from("CATALOG")),
        ..catalog
    }
}

fn schema_of(schema: SchemaInfo, catalog: &str) -> SchemaInfo {
    SchemaInfo {
        full_name: Some(join_name(&[catalog, &schema.name])),
        catalog_name: catalog.to_owned(),
        catalog_type: Some(FOREIGN.to_owned()),
        ..schema
    }
}

/// Its identifier stays that server's, whom one asks for credentials with it.
fn table_of(table: TableInfo, catalog: &str) -> TableInfo {
    TableInfo {
        full_name: Some(join_name(&[catalog, &table.schema_name, &table.name])),
        catalog_name: catalog.to_owned(),
        ..table
    }
}
