//! The token endpoint's exchanges: a secret, a code or a refresh token becomes an access token.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use lakeport_store::{Grant, Once, Principal};

use super::{
    Allowed, Client, Code, Error, OAuth, REFRESH_GRACE, REFRESH_LIFETIME, Resource, failed,
    has_offline,
};
use crate::Credentials;
use crate::opaque::{OpaqueToken, digest_of};

/// By exactly this text the official Go SDK, and the CLI on it, knows to ask its user for a new login.
const INVALID_REFRESH_TOKEN: &str = "Refresh token is invalid";

/// What a client gets. Not `Debug`: it holds secrets.
pub struct Tokens {
    pub owner: Principal,
    pub access_token: String,
    pub refresh_token: Option<OpaqueToken>,
    pub expires_in: u64,
    pub scope: String,
}

impl OAuth {
    pub fn client_credentials(
        &self,
        client: &Client,
        scope: Option<&str>,
        resource: &Resource<'_>,
    ) -> Result<Tokens, Error> {
        let Client::Service { principal, secret } = client else {
            return Err(Error::refused(
                Code::UnauthorizedClient,
                "grant_type: client_credentials is for service principals, which have a secret",
            ));
        };
        let allowed = Allowed::check(scope, resource)?;
        let issued = self.access.issue(principal, client.id(), &allowed, *secret);
        let (access_token, expires_in) = failed(issued)?;
        let owner = principal.clone();
        Ok(Tokens { owner, access_token, refresh_token: None, expires_in, scope: allowed.scope })
    }

    pub async fn redeem_code(
        &self,
        client: &Client,
        code: &str,
        redirect_uri: &str,
        verifier: &str,
        resource: &Resource<'_>,
    ) -> Result<Tokens, Error> {
        let redeemed = match self.store.redeem_code(&digest_of(code)).await? {
            Once::Used(redeemed) => redeemed,
            Once::Reused(grant) => {
                tracing::warn!(%grant, "a code was used twice: its grant is revoked");
                return Err(invalid_grant("code: it was used before; sign in again"));
            }
            Once::Unknown => return Err(invalid_grant("code: it is not known; sign in again")),
        };
        if redeemed.expired {
            return Err(invalid_grant("code: it has expired; sign in again"));
        }
        if redeemed.grant.client_id != client.id() {
            return Err(invalid_grant("code: it was given to another client"));
        }
        if redeemed.redirect_uri != redirect_uri {
            return Err(invalid_grant("redirect_uri: it is not the one that the code was sent to"));
        }
        if !fits(verifier, &redeemed.code_challenge) {
            return Err(invalid_grant("code_verifier: it does not fit the code_challenge"));
        }
        let allowed = within(&redeemed.grant, resource)?;
        let refresh_token = if has_offline(&redeemed.grant.scope) {
            let token = OpaqueToken::draw("lkpr_")?;
            let expires = Timestamp::now() + REFRESH_LIFETIME;
            self.store.add_refresh_token(redeemed.grant.id, &token.digest(), expires).await?;
            Some(token)
        } else {
            None
        };
        self.tokens(&redeemed.grant, &allowed, refresh_token).await
    }

    pub async fn refresh(
        &self,
        client: &Client,
        refresh_token: &str,
        resource: &Resource<'_>,
    ) -> Result<Tokens, Error> {
        let successor = OpaqueToken::draw("lkpr_")?;
        let expires = Timestamp::now() + REFRESH_LIFETIME;
        let rotated = self
            .store
            .rotate_refresh_token(
                client.id(),
                &digest_of(refresh_token),
                &successor.digest(),
                expires,
                REFRESH_GRACE,
            )
            .await?;
        match rotated {
            Once::Used(grant) => {
                let allowed = within(&grant, resource)?;
                self.tokens(&grant, &allowed, Some(successor)).await
            }
            Once::Reused(grant) => {
                tracing::warn!(%grant, "a refresh token was used again after its grace: its grant is revoked");
                Err(invalid_grant(INVALID_REFRESH_TOKEN))
            }
            Once::Unknown => Err(invalid_grant(INVALID_REFRESH_TOKEN)),
        }
    }

    async fn tokens(
        &self,
        grant: &Grant,
        allowed: &Allowed,
        refresh_token: Option<OpaqueToken>,
    ) -> Result<Tokens, Error> {
        let owner = self.store.principal_by_id(grant.principal_id).await?;
        let owner = owner
            .filter(|owner| owner.active)
            .ok_or_else(|| invalid_grant("the user has been deactivated or deleted"))?;
        let issued = self.access.issue(&owner, &grant.client_id, allowed, grant.id);
        let (access_token, expires_in) = failed(issued)?;
        let scope = grant.scope.clone();
        Ok(Tokens { owner, access_token, refresh_token, expires_in, scope })
    }

    /// Ends a token of this client (RFC 7009), for the API, for `tools` or, whoever asks, a database
    /// credential: that is no client's, but its holder's. What is none of these needs no ending.
    /// Returns the name of the owner of what was ended.
    pub async fn revoke(
        &self,
        client: &Client,
        token: &str,
        tools: &str,
        credentials: &Credentials,
    ) -> Result<Option<String>, Error> {
        if let Ok(claims) = credentials.verify(token) {
            self.end_token(&claims.jti, claims.exp).await?;
            return Ok(Some(claims.sub));
        }
        let claims = self.access.verify(token).or_else(|_| self.access.verify_for(token, tools));
        match claims {
            Ok(claims) if claims.client_id == client.id() => {
                self.end_token(&claims.jti, claims.exp).await?;
                Ok(Some(claims.sub))
            }
            Ok(_) => Ok(None),
            Err(_) => {
                let digest = digest_of(token);
                Ok(self.store.revoke_grant_of_refresh_token(client.id(), &digest).await?)
            }
        }
    }

    async fn end_token(&self, id: &str, expires: u64) -> Result<(), Error> {
        let expires = i64::try_from(expires).ok().and_then(|s| Timestamp::from_second(s).ok());
        Ok(self.store.revoke_token(id, expires.unwrap_or(Timestamp::MAX)).await?)
    }
}

/// All that was granted, or the same for the tools only.
fn within(grant: &Grant, resource: &Resource<'_>) -> Result<Allowed, Error> {
    let resource = resource.within(grant.resource.as_deref())?;
    Ok(Allowed { scope: grant.scope.clone(), resource })
}

fn invalid_grant(description: &str) -> Error {
    Error::refused(Code::InvalidGrant, description)
}

/// RFC 7636, method S256.
pub(crate) fn challenge_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}

fn fits(verifier: &str, challenge: &str) -> bool {
    let digest = challenge_of(verifier);
    (43..=128).contains(&verifier.len())
        && verify_slices_are_equal(digest.as_bytes(), challenge.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verifier_of_the_rfc_fits_its_challenge() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert!(fits(verifier, challenge));
        assert!(!fits(&verifier.replace('d', "e"), challenge));
        assert!(!fits("", challenge));
    }
}
