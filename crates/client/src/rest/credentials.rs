//! Database credentials: PostgreSQL passwords that live one hour.

use std::time::Duration;

use jiff::Timestamp;
use lakeport_api::{DatabaseCredential, GenerateCredentialRequest};
use serde::Serialize;
use uuid::Uuid;

use crate::http::Call;
use crate::live_token::{LiveToken, Minted};
use crate::{Client, Document, Result, Token};

/// What a credential is good for at least, and at most, whatever the clocks of the two sides make of it.
const LIVES: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3600));

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
        Ok(Token::new(self.generate_for(instance).await?.token))
    }

    /// The password of one instance, always a live one.
    #[must_use]
    pub fn passwords(&self, instance: &str) -> LiveToken {
        let (client, instance) = (self.clone(), instance.to_owned());
        LiveToken::new(move || {
            let (client, instance) = (client.clone(), instance.clone());
            async move { client.mint_lasting(&instance).await }
        })
    }

    async fn mint_lasting(&self, instance: &str) -> Result<Minted> {
        let credential = self.generate_for(instance).await?;
        Ok(Minted { lives: lives(&credential), token: Token::new(credential.token) })
    }

    async fn generate_for(&self, instance: &str) -> Result<DatabaseCredential> {
        let request = GenerateCredentialRequest {
            instance_names: Some(vec![instance.to_owned()]),
            request_id: Some(Uuid::new_v4().to_string()),
            ..GenerateCredentialRequest::default()
        };
        Ok(self.generate_database_credential(&request).await?.into_inner())
    }
}

fn lives(credential: &DatabaseCredential) -> Duration {
    let (least, most) = LIVES;
    let left = credential.expiration_time.parse::<Timestamp>().ok();
    left.and_then(|end| Duration::try_from(end.duration_since(Timestamp::now())).ok())
        .map_or(least, |left| left.clamp(least, most))
}
