//! Who the caller is, and how others sign in.

use lakeport_api::login::{LoginLink, SigningKey};
use lakeport_api::scim::User;
use serde_json::json;

use crate::http::Call;
use crate::{Client, Document, Result};

impl Client {
    /// Its `user_name` is the PostgreSQL user.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn current_user(&self) -> Result<Document<User>> {
        let path = ["api", "2.0", "preview", "scim", "v2", "Me"];
        self.fetch(Call::get(String::from("ask who the caller is"), path)).await
    }

    /// A link that signs the user in once.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn create_login_link(&self, user_name: &str) -> Result<Document<LoginLink>> {
        let operation = format!("make a login link for `{user_name}`");
        let path = ["api", "2.0", "lakeport", "login-links"];
        self.fetch(Call::post(operation, path, &json!({ "user_name": user_name }))?).await
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn rotate_signing_key(&self) -> Result<Document<SigningKey>> {
        let operation = String::from("rotate the token-signing key");
        let path = ["api", "2.0", "lakeport", "signing-keys", "rotate"];
        self.fetch(Call::post(operation, path, &json!({}))?).await
    }
}
