//! `/api/2.0/database/instances`.

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use lakeport_api::{DatabaseInstance, DatabaseInstanceList};
use lakeport_control::Capability;
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::auth::Caller;
use super::body::Body;
use super::error::ApiError;
use super::path::Path;
use super::query::{Paging, Query};
use crate::delivery::{self, SentBy};

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/api/2.0/database/instances", get(list).post(create))
        .route("/api/2.0/database/instances:findByUid", get(find_by_uid))
        .route("/api/2.0/database/instances/{name}", get(read).patch(update).delete(delete))
        .route("/api/2.0/lakeport/postgres-versions", get(versions))
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    SentBy(sender): SentBy,
    Body(request): Body<DatabaseInstance>,
) -> Result<Response, ApiError> {
    app.control.authorize_create_instance(&caller.0).await?;
    delivery::create(
        async move { app.control.create_instance(caller.name(), &sender, &request).await },
    )
    .await
}

async fn read(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<DatabaseInstance>, ApiError> {
    app.control.authorize_instance(&caller.0, &name, Capability::CanUse).await?;
    Ok(Json(app.control.get_instance(&name).await?))
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<Json<DatabaseInstanceList>, ApiError> {
    let token = paging.page_token.as_deref();
    let page = app.control.list_instances(&caller.0, paging.page_size, token).await?;
    Ok(Json(DatabaseInstanceList {
        database_instances: page.items,
        next_page_token: page.next_page_token,
    }))
}

#[derive(Deserialize)]
struct ByUid {
    uid: String,
}

async fn find_by_uid(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ByUid>,
) -> Result<Json<DatabaseInstance>, ApiError> {
    app.control.authorize_instance_uid(&caller.0, &query.uid).await?;
    Ok(Json(app.control.find_instance_by_uid(&query.uid).await?))
}

#[derive(Deserialize)]
struct UpdateMask {
    update_mask: Option<String>,
}

async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<UpdateMask>,
    Body(request): Body<DatabaseInstance>,
) -> Result<Json<DatabaseInstance>, ApiError> {
    app.control.authorize_instance(&caller.0, &name, Capability::CanManage).await?;
    let mask = query.update_mask.as_deref();
    Ok(Json(app.control.update_instance(&name, &request, mask).await?))
}

/// `force` is for instances with children, which there are none of.
#[derive(Deserialize)]
struct Deletion {
    #[serde(rename = "force")]
    _force: Option<bool>,
    purge: Option<bool>,
}

async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<Deletion>,
) -> Result<Json<Value>, ApiError> {
    app.control.authorize_instance(&caller.0, &name, Capability::CanManage).await?;
    app.control.delete_instance(&name, query.purge).await?;
    Ok(Json(json!({})))
}

/// PostgreSQL versions of this server with their abilities.
async fn versions(State(app): State<App>) -> Json<Value> {
    Json(json!({
        "default_major": app.control.default_major,
        "versions": app.control.engine.versions(),
    }))
}
