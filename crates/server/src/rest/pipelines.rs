//! `/api/2.0/pipelines`, for the pipelines of synced tables, and what they have beyond it below
//! `/api/2.0/lakeport/pipelines`.

use axum::extract::State;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use lakeport_api::pipeline::{
    GetUpdateResponse, ListEventsResponse, ListUpdatesResponse, Pipeline, StartUpdateRequest,
    StartUpdateResponse,
};
use lakeport_api::{SyncPipeline, SyncSchedule};
use lakeport_control::Capability;
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::auth::Caller;
use super::body::Body;
use super::error::ApiError;
use super::path::Path;
use super::query::{MaxResults, Query};

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/api/2.0/pipelines/{id}", get(read))
        .route("/api/2.0/pipelines/{id}/updates", get(list_updates).post(start_update))
        .route("/api/2.0/pipelines/{id}/updates/{update}", get(get_update))
        .route("/api/2.0/pipelines/{id}/events", get(list_events))
        .route("/api/2.0/pipelines/{id}/stop", post(stop))
        .route("/api/2.0/lakeport/pipelines/{id}", get(read_more))
        .route("/api/2.0/lakeport/pipelines/{id}/pause", post(pause))
        .route("/api/2.0/lakeport/pipelines/{id}/resume", post(resume))
        .route(
            "/api/2.0/lakeport/pipelines/{id}/schedule",
            put(set_schedule).delete(remove_schedule),
        )
}

async fn read(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Pipeline>, ApiError> {
    app.control.authorize_pipeline(&caller.0, &id, Capability::CanUse).await?;
    Ok(Json(app.control.get_pipeline(&id).await?))
}

async fn start_update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Body(request): Body<StartUpdateRequest>,
) -> Result<Json<StartUpdateResponse>, ApiError> {
    app.control.authorize_pipeline(&caller.0, &id, Capability::CanManage).await?;
    let update_id = app.control.start_update(&id, &request).await?;
    Ok(Json(StartUpdateResponse { update_id }))
}

async fn get_update(
    State(app): State<App>,
    caller: Caller,
    Path((id, update)): Path<(String, String)>,
) -> Result<Json<GetUpdateResponse>, ApiError> {
    app.control.authorize_pipeline(&caller.0, &id, Capability::CanUse).await?;
    Ok(Json(GetUpdateResponse { update: app.control.get_update(&id, &update).await? }))
}

async fn list_updates(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(paging): Query<MaxResults>,
) -> Result<Json<ListUpdatesResponse>, ApiError> {
    app.control.authorize_pipeline(&caller.0, &id, Capability::CanUse).await?;
    let token = paging.page_token.as_deref();
    Ok(Json(app.control.list_updates(&id, paging.max_results, token).await?))
}

#[derive(Deserialize)]
struct EventQuery {
    order_by: Option<String>,
    max_results: Option<i64>,
    page_token: Option<String>,
}

async fn list_events(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<EventQuery>,
) -> Result<Json<ListEventsResponse>, ApiError> {
    app.control.authorize_pipeline(&caller.0, &id, Capability::CanUse).await?;
    let page = app
        .control
        .list_events(&id, query.order_by.as_deref(), query.max_results, query.page_token.as_deref())
        .await?;
    Ok(Json(ListEventsResponse { events: page.items, next_page_token: page.next_page_token }))
}

async fn stop(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    app.control.authorize_pipeline(&caller.0, &id, Capability::CanManage).await?;
    app.control.stop_pipeline(&id).await?;
    Ok(Json(json!({})))
}

async fn read_more(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<SyncPipeline>, ApiError> {
    app.control.authorize_pipeline(&caller.0, &id, Capability::CanUse).await?;
    Ok(Json(app.control.get_sync_pipeline(&id).await?))
}

async fn pause(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<SyncPipeline>, ApiError> {
    app.control.authorize_pipeline(&caller.0, &id, Capability::CanManage).await?;
    Ok(Json(app.control.set_pipeline_paused(&id, true).await?))
}

async fn resume(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<SyncPipeline>, ApiError> {
    app.control.authorize_pipeline(&caller.0, &id, Capability::CanManage).await?;
    Ok(Json(app.control.set_pipeline_paused(&id, false).await?))
}

async fn set_schedule(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Body(schedule): Body<SyncSchedule>,
) -> Result<Json<SyncPipeline>, ApiError> {
    app.control.authorize_pipeline(&caller.0, &id, Capability::CanManage).await?;
    Ok(Json(app.control.set_pipeline_schedule(&id, Some(&schedule)).await?))
}

async fn remove_schedule(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<SyncPipeline>, ApiError> {
    app.control.authorize_pipeline(&caller.0, &id, Capability::CanManage).await?;
    Ok(Json(app.control.set_pipeline_schedule(&id, None).await?))
}
