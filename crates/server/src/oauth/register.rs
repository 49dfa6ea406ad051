//! The registration endpoint (RFC 7591), for clients of the tools that come without a client id.
//!
//! Nothing is kept. Whoever runs on its user's machine and holds no secret is the same public client as the
//! official tools: what it gets, a person has agreed to, and answers never leave that machine.

use axum::Json;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use lakeport_identity::oauth::{CLI_CLIENT, is_redirect};
use serde::Deserialize;
use serde_json::json;

const GRANTS: &[&str] = &["authorization_code", "refresh_token"];

/// What a client says of itself; the rest of it makes no difference.
#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    redirect_uris: Vec<String>,
    grant_types: Option<Vec<String>>,
    response_types: Option<Vec<String>>,
    client_name: Option<String>,
}

struct Refused {
    error: &'static str,
    description: String,
}

pub(super) async fn register(body: Bytes) -> Response {
    match registered(&body) {
        Ok(answer) => (StatusCode::CREATED, Json(answer)).into_response(),
        Err(Refused { error, description }) => {
            let body = json!({"error": error, "error_description": description});
            (StatusCode::BAD_REQUEST, Json(body)).into_response()
        }
    }
}

/// A server may answer with less than was asked for (RFC 7591, 3.2.1): of addresses, those of the user's own
/// machine are left.
fn registered(body: &[u8]) -> Result<serde_json::Value, Refused> {
    let invalid = |description: String| Refused { error: "invalid_client_metadata", description };
    let asked: Metadata = serde_json::from_slice(body)
        .map_err(|error| invalid(format!("the body is no client metadata in JSON: {error}")))?;
    let grants =
        supported("grant_types", asked.grant_types, &GRANTS[..1], GRANTS).map_err(invalid)?;
    let responses =
        supported("response_types", asked.response_types, &["code"], &["code"]).map_err(invalid)?;
    let redirects: Vec<String> =
        asked.redirect_uris.into_iter().filter(|uri| is_redirect(uri)).collect();
    if redirects.is_empty() {
        return Err(Refused {
            error: "invalid_redirect_uri",
            description: String::from(
                "redirect_uris: one of them must be http://localhost:PORT or http://127.0.0.1:PORT",
            ),
        });
    }
    let mut answer = json!({
        "client_id": CLI_CLIENT,
        "redirect_uris": redirects,
        "grant_types": grants,
        "response_types": responses,
        "token_endpoint_auth_method": "none",
    });
    if let Some(name) = asked.client_name {
        answer["client_name"] = name.into();
    }
    Ok(answer)
}

/// Those of the asked values that there are.
fn supported(
    field: &str,
    asked: Option<Vec<String>>,
    default: &[&str],
    all: &[&str],
) -> Result<Vec<String>, String> {
    let Some(asked) = asked else {
        return Ok(default.iter().map(|value| (*value).to_owned()).collect());
    };
    let found: Vec<String> = asked.into_iter().filter(|value| all.contains(&&**value)).collect();
    if found.is_empty() {
        return Err(format!("{field}: only {} can be registered", all.join(" and ")));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn answer(metadata: &Value) -> Result<Value, &'static str> {
        registered(metadata.to_string().as_bytes()).map_err(|refused| refused.error)
    }

    #[test]
    fn addresses_elsewhere_are_left_out() {
        let asked = json!({
            "client_name": "editor",
            "redirect_uris": ["https://editor.example/redirect", "http://127.0.0.1:33418/"],
            "grant_types": ["authorization_code", "refresh_token", "urn:x"],
            "token_endpoint_auth_method": "client_secret_basic",
        });
        let given = answer(&asked).unwrap();
        assert_eq!(given["redirect_uris"], json!(["http://127.0.0.1:33418/"]));
        assert_eq!(given["grant_types"], json!(["authorization_code", "refresh_token"]));
        assert_eq!(given["token_endpoint_auth_method"], "none");
        assert_eq!(
            (&given["client_id"], &given["client_name"]),
            (&json!(CLI_CLIENT), &json!("editor"))
        );
        assert!(given.get("client_secret").is_none());
    }

    #[test]
    fn what_cannot_be_registered_is_refused() {
        let local = "http://localhost:1";
        for (asked, error) in [
            (json!({}), "invalid_redirect_uri"),
            (json!({"redirect_uris": ["https://a.example"]}), "invalid_redirect_uri"),
            (json!({"redirect_uris": ["http://localhost.evil.example"]}), "invalid_redirect_uri"),
            (json!({"redirect_uris": local}), "invalid_client_metadata"),
            (json!([]), "invalid_client_metadata"),
            (
                json!({"redirect_uris": [local], "grant_types": ["client_credentials"]}),
                "invalid_client_metadata",
            ),
            (
                json!({"redirect_uris": [local], "response_types": ["token"]}),
                "invalid_client_metadata",
            ),
        ] {
            assert_eq!(answer(&asked), Err(error), "{asked}");
        }
    }
}
