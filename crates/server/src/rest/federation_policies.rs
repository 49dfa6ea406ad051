//! `/api/2.0/accounts/{account}/…/federationPolicies`: policies of service principals and of the whole
//! installation, which is one account.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use lakeport_api::ErrorCode;
use lakeport_api::federation::{FederationPolicy, FederationPolicyList, OidcFederationPolicy};
use lakeport_store::FederationPolicy as Stored;
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::auth::Caller;
use super::body::Body;
use super::error::ApiError;
use super::path::Path;
use super::query::Query;

const OF_ALL: &str = "/api/2.0/accounts/{account}/federationPolicies";
const OF_ONE: &str = "/api/2.0/accounts/{account}/servicePrincipals/{owner}/federationPolicies";

pub(crate) fn routes() -> Router<App> {
    let mut router = Router::new();
    for path in [OF_ALL, OF_ONE] {
        router = router
            .route(path, get(list).post(create))
            .route(&format!("{path}/{{policy}}"), get(get_one).patch(update).delete(delete));
    }
    router
}

/// What a path names; a missing owner means the installation.
#[derive(Deserialize)]
struct Of {
    account: String,
    owner: Option<String>,
    policy: Option<String>,
}

impl Of {
    fn owner(&self, app: &App) -> Result<Option<&str>, ApiError> {
        if self.account == app.account_id {
            return Ok(self.owner.as_deref());
        }
        let message = format!("account \"{}\" was not found", self.account);
        Err(ApiError::new(ErrorCode::ResourceDoesNotExist, message))
    }

    fn policy(&self) -> &str {
        self.policy.as_deref().unwrap_or_default()
    }
}

#[derive(Deserialize)]
struct CreateQuery {
    policy_id: Option<String>,
}

#[derive(Deserialize)]
struct UpdateQuery {
    update_mask: Option<String>,
}

async fn create(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(of): Path<Of>,
    Query(query): Query<CreateQuery>,
    Body(request): Body<FederationPolicy>,
) -> Result<Json<FederationPolicy>, ApiError> {
    let owner = of.owner(&app)?;
    let id = query.policy_id.or_else(|| request.policy_id.clone());
    let made = app.control.create_federation_policy(&caller, owner, id, &request).await?;
    Ok(Json(wire(&app, made)))
}

async fn list(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(of): Path<Of>,
) -> Result<Json<FederationPolicyList>, ApiError> {
    let found = app.control.federation_policies(&caller, of.owner(&app)?).await?;
    let policies = found.into_iter().map(|policy| wire(&app, policy)).collect();
    Ok(Json(FederationPolicyList { policies }))
}

async fn get_one(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(of): Path<Of>,
) -> Result<Json<FederationPolicy>, ApiError> {
    let found = app.control.federation_policy(&caller, of.owner(&app)?, of.policy()).await?;
    Ok(Json(wire(&app, found)))
}

async fn update(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(of): Path<Of>,
    Query(query): Query<UpdateQuery>,
    Body(request): Body<FederationPolicy>,
) -> Result<Json<FederationPolicy>, ApiError> {
    let (owner, mask) = (of.owner(&app)?, query.update_mask.as_deref());
    let control = &app.control;
    let after =
        control.update_federation_policy(&caller, owner, of.policy(), &request, mask).await?;
    Ok(Json(wire(&app, after)))
}

async fn delete(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(of): Path<Of>,
) -> Result<Json<Value>, ApiError> {
    app.control.delete_federation_policy(&caller, of.owner(&app)?, of.policy()).await?;
    Ok(Json(json!({})))
}

fn wire(app: &App, policy: Stored) -> FederationPolicy {
    let of = match policy.principal_id {
        Some(id) => format!("accounts/{}/servicePrincipals/{id}", app.account_id),
        None => format!("accounts/{}", app.account_id),
    };
    let spec = policy.spec;
    FederationPolicy {
        name: Some(format!("{of}/federationPolicies/{}", policy.policy_id)),
        uid: Some(policy.uid.to_string()),
        policy_id: Some(policy.policy_id),
        service_principal_id: policy.principal_id,
        description: spec.description,
        create_time: Some(policy.created_at.to_string()),
        update_time: Some(policy.updated_at.to_string()),
        oidc_policy: Some(OidcFederationPolicy {
            issuer: Some(spec.issuer),
            audiences: spec.audiences,
            subject: spec.subject,
            subject_claim: spec.subject_claim,
            jwks_uri: None,
            jwks_json: None,
        }),
    }
}
