//! `/api/2.1/unity-catalog`: catalogs, schemas and external Delta tables. Everybody reads them;
//! registering and removing is for administrators.

use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use lakeport_api::unity::{
    CatalogInfo, CatalogList, SchemaInfo, SchemaList, TableExists, TableInfo, TableList,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::auth::Caller;
use super::body::Body;
use super::error::ApiError;
use super::query::{MaxResults, Query};

pub(crate) fn routes() -> Router<App> {
    let base = "/api/2.1/unity-catalog";
    let at = |path: &str| format!("{base}/{path}");
    Router::new()
        .route(&at("catalogs"), get(list_catalogs).post(create_catalog))
        .route(&at("catalogs/{name}"), get(read_catalog).delete(delete_catalog))
        .route(&at("schemas"), get(list_schemas).post(create_schema))
        .route(&at("schemas/{name}"), get(read_schema).delete(delete_schema))
        .route(&at("tables"), get(list_tables).post(create_table))
        .route(&at("tables/{name}"), get(read_table).delete(delete_table))
        .route(&at("tables/{name}/exists"), get(table_exists))
}

async fn create_catalog(
    State(app): State<App>,
    caller: Caller,
    Body(request): Body<CatalogInfo>,
) -> Result<Json<CatalogInfo>, ApiError> {
    app.control.authorize_admin(&caller.0)?;
    Ok(Json(app.control.create_unity_catalog(caller.name(), &request).await?))
}

async fn read_catalog(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<CatalogInfo>, ApiError> {
    Ok(Json(app.control.get_unity_catalog(&name).await?))
}

async fn list_catalogs(
    State(app): State<App>,
    Query(paging): Query<MaxResults>,
) -> Result<Json<CatalogList>, ApiError> {
    let token = paging.page_token.as_deref();
    let page = app.control.list_unity_catalogs(paging.max_results, token).await?;
    Ok(Json(CatalogList { catalogs: page.items, next_page_token: page.next_page_token }))
}

#[derive(Deserialize)]
struct Force {
    force: Option<bool>,
}

async fn delete_catalog(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<Force>,
) -> Result<Json<Value>, ApiError> {
    app.control.authorize_admin(&caller.0)?;
    app.control.delete_unity_catalog(&name, query.force.unwrap_or_default()).await?;
    Ok(Json(json!({})))
}

async fn create_schema(
    State(app): State<App>,
    caller: Caller,
    Body(request): Body<SchemaInfo>,
) -> Result<Json<SchemaInfo>, ApiError> {
    app.control.authorize_admin(&caller.0)?;
    Ok(Json(app.control.create_unity_schema(caller.name(), &request).await?))
}

async fn read_schema(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<SchemaInfo>, ApiError> {
    Ok(Json(app.control.get_unity_schema(&name).await?))
}

#[derive(Deserialize)]
struct SchemaQuery {
    catalog_name: String,
    max_results: Option<i64>,
    page_token: Option<String>,
}

async fn list_schemas(
    State(app): State<App>,
    Query(query): Query<SchemaQuery>,
) -> Result<Json<SchemaList>, ApiError> {
    let token = query.page_token.as_deref();
    let page =
        app.control.list_unity_schemas(&query.catalog_name, query.max_results, token).await?;
    Ok(Json(SchemaList { schemas: page.items, next_page_token: page.next_page_token }))
}

async fn delete_schema(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    app.control.authorize_admin(&caller.0)?;
    app.control.delete_unity_schema(&name).await?;
    Ok(Json(json!({})))
}

async fn create_table(
    State(app): State<App>,
    caller: Caller,
    Body(request): Body<TableInfo>,
) -> Result<Json<TableInfo>, ApiError> {
    app.control.authorize_admin(&caller.0)?;
    Ok(Json(app.control.create_unity_table(caller.name(), &request).await?))
}

async fn read_table(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<TableInfo>, ApiError> {
    Ok(Json(app.control.get_unity_table(&name).await?))
}

async fn table_exists(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<TableExists>, ApiError> {
    Ok(Json(TableExists { table_exists: app.control.unity_table_exists(&name).await? }))
}

#[derive(Deserialize)]
struct TableQuery {
    catalog_name: String,
    schema_name: String,
    max_results: Option<i64>,
    page_token: Option<String>,
}

async fn list_tables(
    State(app): State<App>,
    Query(query): Query<TableQuery>,
) -> Result<Json<TableList>, ApiError> {
    let token = query.page_token.as_deref();
    let page = app
        .control
        .list_unity_tables(&query.catalog_name, &query.schema_name, query.max_results, token)
        .await?;
    Ok(Json(TableList { tables: page.items, next_page_token: page.next_page_token }))
}

async fn delete_table(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    app.control.authorize_admin(&caller.0)?;
    app.control.delete_unity_table(&name).await?;
    Ok(Json(json!({})))
}
