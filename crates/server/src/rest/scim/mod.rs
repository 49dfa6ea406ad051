//! SCIM (RFC 7644) over principals: users, service principals, groups, and the caller itself.

mod error;
mod filter;
mod patch;
mod resource;

use axum::extract::{FromRequest, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use lakeport_api::scim::{ListResponse, PatchRequest, Resource};
use lakeport_store::{Principal, PrincipalField, PrincipalKind, PrincipalQuery};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::App;
use super::auth::Caller;
use super::path::Path;
use super::query::Query;
use error::ScimError;

const BASE: &str = "/api/2.0/preview/scim/v2";
/// A page is at most this long; clients go on from where it ends.
const MAX_PAGE: i64 = 1000;
const MAX_BODY: usize = 4 << 20;
/// By these clients know what they have, so each answer holds them, whatever it was asked for.
const ALWAYS: [&str; 3] = ["id", "schemas", "applicationId"];

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route(&format!("{BASE}/Me"), get(me))
        .merge(routes_of(PrincipalKind::User, "Users"))
        .merge(routes_of(PrincipalKind::ServicePrincipal, "ServicePrincipals"))
        .merge(routes_of(PrincipalKind::Group, "Groups"))
}

fn routes_of(kind: PrincipalKind, plural: &str) -> Router<App> {
    Router::new()
        .route(&format!("{BASE}/{plural}"), get(list).post(create))
        .route(
            &format!("{BASE}/{plural}/{{id}}"),
            get(read).put(replace).patch(patch).delete(delete),
        )
        .layer(Extension(kind))
}

async fn me(
    State(app): State<App>,
    Caller(principal): Caller,
    Query(shape): Query<Shape>,
) -> Result<Response, ScimError> {
    let body = one(&app, &principal, &shape).await?;
    // Older SDKs read the workspace's id from this header.
    Ok(([("x-databricks-org-id", app.workspace_id.clone())], body).into_response())
}

/// Which attributes an answer shall have.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Shape {
    attributes: Option<String>,
    excluded_attributes: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ListParameters {
    filter: Option<String>,
    sort_by: Option<String>,
    sort_order: Option<String>,
    start_index: Option<i64>,
    count: Option<i64>,
    attributes: Option<String>,
    excluded_attributes: Option<String>,
}

async fn list(
    State(app): State<App>,
    Extension(kind): Extension<PrincipalKind>,
    Caller(caller): Caller,
    Query(parameters): Query<ListParameters>,
) -> Result<Response, ScimError> {
    let start = parameters.start_index.unwrap_or(1).max(1);
    let query = PrincipalQuery {
        kind,
        only: None,
        filters: filter::parse(parameters.filter.as_deref().unwrap_or_default())?,
        sort: sort_field(parameters.sort_by.as_deref())?,
        descending: descending(parameters.sort_order.as_deref())?,
        offset: start - 1,
        limit: parameters.count.unwrap_or(MAX_PAGE).clamp(0, MAX_PAGE),
    };
    let (principals, total_results) = app.control.list_principals(&caller, query).await?;
    let shape = Shape {
        attributes: parameters.attributes,
        excluded_attributes: parameters.excluded_attributes,
    };
    let resources = resource::many(&app.control.store, &principals).await?;
    let resources: Vec<_> =
        resources.iter().map(|resource| shaped(resource, &shape)).collect::<Result<_, _>>()?;
    Ok(scim(
        StatusCode::OK,
        &ListResponse {
            items_per_page: resources.len(),
            resources,
            schemas: vec![String::from("urn:ietf:params:scim:api:messages:2.0:ListResponse")],
            start_index: start,
            total_results,
        },
    ))
}

fn sort_field(name: Option<&str>) -> Result<PrincipalField, ScimError> {
    match name.filter(|name| !name.is_empty()) {
        None => Ok(PrincipalField::Id),
        Some(name) => filter::field(name).ok_or_else(|| {
            ScimError::bad("invalidValue", format!("sortBy: there is no attribute \"{name}\""))
        }),
    }
}

fn descending(order: Option<&str>) -> Result<bool, ScimError> {
    match order.unwrap_or("ascending") {
        "ascending" => Ok(false),
        "descending" => Ok(true),
        _ => Err(ScimError::bad(
            "invalidValue",
            "sortOrder: it must be \"ascending\" or \"descending\"",
        )),
    }
}

async fn create(
    State(app): State<App>,
    Extension(kind): Extension<PrincipalKind>,
    Caller(caller): Caller,
    Json(body): Json<Resource>,
) -> Result<Response, ScimError> {
    let draft = resource::draft(&body)?;
    let principal = app.control.create_principal(&caller, kind, draft).await?;
    answer(&app, StatusCode::CREATED, &principal).await
}

async fn read(
    State(app): State<App>,
    Extension(kind): Extension<PrincipalKind>,
    Caller(caller): Caller,
    Path(id): Path<String>,
    Query(shape): Query<Shape>,
) -> Result<Response, ScimError> {
    let principal = app.control.get_principal(&caller, kind, &id).await?;
    one(&app, &principal, &shape).await
}

async fn replace(
    State(app): State<App>,
    Extension(kind): Extension<PrincipalKind>,
    Caller(caller): Caller,
    Path(id): Path<String>,
    Json(body): Json<Resource>,
) -> Result<Response, ScimError> {
    let new = resource::draft(&body)?;
    let change = |draft: &mut _| -> Result<(), ScimError> {
        resource::replace(draft, &new, &body);
        Ok(())
    };
    let principal = app.control.update_principal(&caller, kind, &id, change).await?;
    answer(&app, StatusCode::OK, &principal).await
}

async fn patch(
    State(app): State<App>,
    Extension(kind): Extension<PrincipalKind>,
    Caller(caller): Caller,
    Path(id): Path<String>,
    Json(body): Json<PatchRequest>,
) -> Result<Response, ScimError> {
    let change = |draft: &mut _| patch::apply(draft, &body.operations);
    let principal = app.control.update_principal(&caller, kind, &id, change).await?;
    answer(&app, StatusCode::OK, &principal).await
}

async fn delete(
    State(app): State<App>,
    Extension(kind): Extension<PrincipalKind>,
    Caller(caller): Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ScimError> {
    app.control.delete_principal(&caller, kind, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn one(app: &App, principal: &Principal, shape: &Shape) -> Result<Response, ScimError> {
    let resources = resource::many(&app.control.store, std::slice::from_ref(principal)).await?;
    let body = resources.first().map(|resource| shaped(resource, shape)).transpose()?;
    Ok(scim(StatusCode::OK, &body))
}

async fn answer(
    app: &App,
    status: StatusCode,
    principal: &Principal,
) -> Result<Response, ScimError> {
    let resources = resource::many(&app.control.store, std::slice::from_ref(principal)).await?;
    Ok(scim(status, &resources.first()))
}

/// The attributes that were asked for. Sub-attributes come with their attribute.
fn shaped(resource: &Resource, shape: &Shape) -> Result<Value, ScimError> {
    let mut value = serde_json::to_value(resource).map_err(ScimError::internal)?;
    let names = |list: &Option<String>| -> Option<Vec<String>> {
        let list = list.as_deref().filter(|list| !list.is_empty())?;
        let top = |name: &str| name.trim().split('.').next().unwrap_or_default().to_lowercase();
        Some(list.split(',').map(top).collect())
    };
    if let Value::Object(fields) = &mut value {
        if let Some(wanted) = names(&shape.attributes) {
            fields.retain(|name, _| {
                ALWAYS.contains(&name.as_str()) || wanted.contains(&name.to_lowercase())
            });
        } else if let Some(unwanted) = names(&shape.excluded_attributes) {
            fields.retain(|name, _| {
                ALWAYS.contains(&name.as_str()) || !unwanted.contains(&name.to_lowercase())
            });
        }
    }
    Ok(value)
}

/// Clients look for a JSON content type, whichever it is.
fn scim(status: StatusCode, body: &impl serde::Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => (status, [(CONTENT_TYPE, "application/scim+json")], bytes).into_response(),
        Err(error) => ScimError::internal(error).into_response(),
    }
}

/// A body of which the attributes that are not ours are ignored, as SCIM asks.
struct Json<T>(T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = ScimError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ScimError> {
        let bytes = axum::body::to_bytes(request.into_body(), MAX_BODY).await.map_err(|_| {
            ScimError::bad("tooMany", "The request body is larger than 4 MiB, or was cut off.")
        })?;
        let mut reader = serde_json::Deserializer::from_slice(&bytes);
        let parsed: Result<T, _> = serde_path_to_error::deserialize(&mut reader);
        // The parser's own words may quote a value, such as a password.
        parsed.map(Self).map_err(|error| {
            ScimError::bad(
                "invalidSyntax",
                format!("{}: the body is not valid JSON, or has another type there", error.path()),
            )
        })
    }
}
