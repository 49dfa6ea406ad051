//! `/api/2.1/unity-catalog`: catalogs, schemas and tables.

use axum::extract::State;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use lakeport_api::unity::{
    CatalogInfo, CatalogList, NewConstraint, SchemaInfo, SchemaList, TableConstraint, TableExists,
    TableInfo, TableList, TableSummaryList, UpdateObject,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::auth::Caller;
use super::body::Body;
use super::error::ApiError;
use super::path::Path;
use super::query::{MaxResults, Query};

pub(crate) fn routes() -> Router<App> {
    let base = "/api/2.1/unity-catalog";
    let at = |path: &str| format!("{base}/{path}");
    Router::new()
        .route(&at("catalogs"), get(list_catalogs).post(create_catalog))
        .route(
            &at("catalogs/{name}"),
            get(read_catalog).patch(update_catalog).delete(delete_catalog),
        )
        .route(&at("schemas"), get(list_schemas).post(create_schema))
        .route(&at("schemas/{name}"), get(read_schema).patch(update_schema).delete(delete_schema))
        .route(&at("tables"), get(list_tables).post(create_table))
        .route(&at("tables/{name}"), get(read_table).patch(update_table).delete(delete_table))
        .route(&at("tables/{name}/exists"), get(table_exists))
        .route(&at("table-summaries"), get(list_summaries))
        .route(&at("constraints"), post(create_constraint))
        .route(&at("constraints/{name}"), delete(delete_constraint))
}

async fn create_catalog(
    State(app): State<App>,
    caller: Caller,
    Body(request): Body<CatalogInfo>,
) -> Result<Json<CatalogInfo>, ApiError> {
    Ok(Json(app.control.create_unity_catalog(&caller.0, &request).await?))
}

async fn read_catalog(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<CatalogInfo>, ApiError> {
    Ok(Json(app.control.get_unity_catalog(&caller.0, &name).await?))
}

async fn list_catalogs(
    State(app): State<App>,
    caller: Caller,
    Query(paging): Query<MaxResults>,
) -> Result<Json<CatalogList>, ApiError> {
    let token = paging.page_token.as_deref();
    let page = app.control.list_unity_catalogs(&caller.0, paging.max_results, token).await?;
    Ok(Json(CatalogList { catalogs: page.items, next_page_token: page.next_page_token }))
}

#[derive(Deserialize)]
struct Force {
    force: Option<bool>,
}

async fn update_catalog(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Body(request): Body<UpdateObject>,
) -> Result<Json<CatalogInfo>, ApiError> {
    Ok(Json(app.control.update_unity_catalog(&caller.0, &name, &request).await?))
}

async fn delete_catalog(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<Force>,
) -> Result<Json<Value>, ApiError> {
    app.control.delete_unity_catalog(&caller.0, &name, query.force.unwrap_or_default()).await?;
    Ok(Json(json!({})))
}

async fn create_schema(
    State(app): State<App>,
    caller: Caller,
    Body(request): Body<SchemaInfo>,
) -> Result<Json<SchemaInfo>, ApiError> {
    Ok(Json(app.control.create_unity_schema(&caller.0, &request).await?))
}

async fn read_schema(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<SchemaInfo>, ApiError> {
    Ok(Json(app.control.get_unity_schema(&caller.0, &name).await?))
}

#[derive(Deserialize)]
struct SchemaQuery {
    catalog_name: String,
    max_results: Option<i64>,
    page_token: Option<String>,
}

async fn list_schemas(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<SchemaQuery>,
) -> Result<Json<SchemaList>, ApiError> {
    let token = query.page_token.as_deref();
    let page = app
        .control
        .list_unity_schemas(&caller.0, &query.catalog_name, query.max_results, token)
        .await?;
    Ok(Json(SchemaList { schemas: page.items, next_page_token: page.next_page_token }))
}

async fn update_schema(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Body(request): Body<UpdateObject>,
) -> Result<Json<SchemaInfo>, ApiError> {
    Ok(Json(app.control.update_unity_schema(&caller.0, &name, &request).await?))
}

async fn delete_schema(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<Force>,
) -> Result<Json<Value>, ApiError> {
    app.control.delete_unity_schema(&caller.0, &name, query.force.unwrap_or_default()).await?;
    Ok(Json(json!({})))
}

async fn create_table(
    State(app): State<App>,
    caller: Caller,
    Body(request): Body<TableInfo>,
) -> Result<Json<TableInfo>, ApiError> {
    Ok(Json(app.control.create_unity_table(&caller.0, &request).await?))
}

async fn read_table(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<TableInfo>, ApiError> {
    Ok(Json(app.control.get_unity_table(&caller.0, &name).await?))
}

async fn table_exists(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<TableExists>, ApiError> {
    Ok(Json(TableExists { table_exists: app.control.unity_table_exists(&caller.0, &name).await? }))
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
    caller: Caller,
    Query(query): Query<TableQuery>,
) -> Result<Json<TableList>, ApiError> {
    let token = query.page_token.as_deref();
    let page = app
        .control
        .list_unity_tables(
            &caller.0,
            &query.catalog_name,
            &query.schema_name,
            query.max_results,
            token,
        )
        .await?;
    Ok(Json(TableList { tables: page.items, next_page_token: page.next_page_token }))
}

async fn update_table(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Body(request): Body<UpdateObject>,
) -> Result<Json<TableInfo>, ApiError> {
    Ok(Json(app.control.update_unity_table(&caller.0, &name, &request).await?))
}

async fn delete_table(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    app.control.delete_unity_table(&caller.0, &name).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
struct SummaryQuery {
    catalog_name: String,
    schema_name_pattern: Option<String>,
    table_name_pattern: Option<String>,
    max_results: Option<i64>,
    page_token: Option<String>,
}

async fn list_summaries(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<SummaryQuery>,
) -> Result<Json<TableSummaryList>, ApiError> {
    let patterns = (query.schema_name_pattern.as_deref(), query.table_name_pattern.as_deref());
    let (size, token) = (query.max_results, query.page_token.as_deref());
    let page = app
        .control
        .list_table_summaries(&caller.0, &query.catalog_name, patterns, size, token)
        .await?;
    Ok(Json(TableSummaryList { tables: page.items, next_page_token: page.next_page_token }))
}

async fn create_constraint(
    State(app): State<App>,
    caller: Caller,
    Body(request): Body<NewConstraint>,
) -> Result<Json<TableConstraint>, ApiError> {
    Ok(Json(app.control.create_table_constraint(&caller.0, &request).await?))
}

#[derive(Deserialize)]
struct ConstraintQuery {
    constraint_name: String,
}

async fn delete_constraint(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<ConstraintQuery>,
) -> Result<Json<Value>, ApiError> {
    app.control.delete_table_constraint(&caller.0, &name, &query.constraint_name).await?;
    Ok(Json(json!({})))
}
