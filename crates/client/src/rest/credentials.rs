//! Database credentials: PostgreSQL passwords that live one hour.

use lakeport_api::{DatabaseCredential, GenerateCredentialRequest};
use serde::Serialize;
use uuid::Uuid;

use crate::http::Call;
use crate::{Client, Document, Result, Token};

impl Client {
    /// `request` is a [`GenerateCredentialRequest`], or JSON with the same fields.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn generate_database_credential(
        &self,
        request: &impl Serialize,
    ) -> Result<Document<DatabaseCredential>> {
        let operation = String::from("generate a database credential");
        let path = ["api", "2.0", "database", "credentials"];
        self.fetch(Call::post(operation, path, request)?).await
    }

    /// A fresh password for one instance.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn mint(&self, instance: &str) -> Result<Token> {
        let request = GenerateCredentialRequest {
            instance_names: Some(vec![instance.to_owned()]),
            request_id: Some(Uuid::new_v4().to_string()),
            ..GenerateCredentialRequest::default()
        };
        let credential = self.generate_database_credential(&request).await?;
        Ok(Token::new(credential.into_inner().token))
    }
}
