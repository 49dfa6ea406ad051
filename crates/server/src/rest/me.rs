//! The caller's own identity, and the workspace's id in the header that older SDKs read.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use lakeport_api::scim::{Email, User};

use super::App;
use super::auth::Caller;

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/api/2.0/preview/scim/v2/Me", get(me))
}

async fn me(
    State(app): State<App>,
    Caller(principal): Caller,
) -> ([(&'static str, String); 1], Json<User>) {
    let user = User {
        active: principal.active,
        display_name: principal.display_name,
        emails: vec![Email {
            primary: true,
            kind: String::from("work"),
            value: principal.user_name.clone(),
        }],
        groups: Vec::new(),
        id: principal.id.to_string(),
        schemas: vec![String::from("urn:ietf:params:scim:schemas:core:2.0:User")],
        user_name: principal.user_name,
    };
    ([("x-databricks-org-id", app.workspace_id)], Json(user))
}
