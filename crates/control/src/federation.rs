//! Federation policies: what administrators may write into them.

use lakeport_api::federation::{FederationPolicy as Wire, OidcFederationPolicy};
use lakeport_store::{FederationPolicy, FederationSpec, Principal, PrincipalKind};
use uuid::Uuid;

use crate::access::require_admin;
use crate::{Control, Error, Result};

/// As the service has it.
const MAX_POLICIES: usize = 20;
const MAX_ID_CHARS: usize = 63;
const MAX_TEXT_BYTES: usize = 1024;
const MAX_AUDIENCES: usize = 20;
const UPDATE_ATTEMPTS: usize = 5;

/// What an update may name.
const MASKS: &[&str] = &[
    "*",
    "description",
    "oidc_policy",
    "oidc_policy.issuer",
    "oidc_policy.audiences",
    "oidc_policy.subject",
    "oidc_policy.subject_claim",
];

/// A service principal's id, or none for the policies of the whole installation.
type PolicyOwner<'a> = Option<&'a str>;

impl Control {
    pub async fn create_federation_policy(
        &self,
        caller: &Principal,
        owner: PolicyOwner<'_>,
        policy_id: Option<String>,
        request: &Wire,
    ) -> Result<FederationPolicy> {
        let owner = self.policy_owner(caller, owner).await?;
        let spec = self.checked_spec(owner.is_some(), spec_of(request))?;
        check_keys(request.oidc_policy.as_ref())?;
        let policy_id = checked_id(policy_id)?;
        if self.store.federation_policies(owner).await?.len() >= MAX_POLICIES {
            return Err(Error::precondition(format!(
                "there are {MAX_POLICIES} federation policies already; delete one first"
            )));
        }
        let added = self.store.add_federation_policy(owner, &policy_id, &spec).await;
        added.map_err(|error| {
            if error.is_constraint("federation_policies_id") {
                return Error::already_exists(format!(
                    "federation policy \"{policy_id}\" already exists"
                ));
            }
            error.into()
        })
    }

    pub async fn federation_policies(
        &self,
        caller: &Principal,
        owner: PolicyOwner<'_>,
    ) -> Result<Vec<FederationPolicy>> {
        let owner = self.policy_owner(caller, owner).await?;
        Ok(self.store.federation_policies(owner).await?)
    }

    pub async fn federation_policy(
        &self,
        caller: &Principal,
        owner: PolicyOwner<'_>,
        policy_id: &str,
    ) -> Result<FederationPolicy> {
        let owner = self.policy_owner(caller, owner).await?;
        let found = self.store.federation_policy(owner, policy_id).await?;
        found.ok_or_else(|| not_found(policy_id))
    }

    pub async fn update_federation_policy(
        &self,
        caller: &Principal,
        owner: PolicyOwner<'_>,
        policy_id: &str,
        request: &Wire,
        mask: Option<&str>,
    ) -> Result<FederationPolicy> {
        check_keys(request.oidc_policy.as_ref())?;
        for _ in 0..UPDATE_ATTEMPTS {
            let before = self.federation_policy(caller, owner, policy_id).await?;
            let spec = changed(before.spec.clone(), request, mask)?;
            let spec = self.checked_spec(owner.is_some(), spec)?;
            if let Some(after) = self.store.update_federation_policy(&before, &spec).await? {
                self.rights_changed().await;
                return Ok(after);
            }
        }
        Err(Error::conflict(format!(
            "federation policy \"{policy_id}\" is being changed by others; try again"
        )))
    }

    pub async fn delete_federation_policy(
        &self,
        caller: &Principal,
        owner: PolicyOwner<'_>,
        policy_id: &str,
    ) -> Result<()> {
        let owner = self.policy_owner(caller, owner).await?;
        if !self.store.delete_federation_policy(owner, policy_id).await? {
            return Err(not_found(policy_id));
        }
        self.rights_changed().await;
        Ok(())
    }

    async fn policy_owner(
        &self,
        caller: &Principal,
        owner: PolicyOwner<'_>,
    ) -> Result<Option<i64>> {
        require_admin(caller)?;
        let Some(id) = owner else { return Ok(None) };
        let found = self.get_principal(caller, PrincipalKind::ServicePrincipal, id).await?;
        Ok(Some(found.id))
    }

    fn checked_spec(&self, of_one: bool, spec: FederationSpec) -> Result<FederationSpec> {
        let field = |name: &str| format!("oidc_policy.{name}");
        if !self.oauth.trusts(&spec.issuer) {
            return Err(Error::invalid(
                &field("issuer"),
                format!(
                    "\"{}\" is not an issuer that this server trusts; its operator names them in \
                     the configuration, as trusted_issuers",
                    spec.issuer
                ),
            ));
        }
        match (of_one, &spec.subject) {
            (true, None) => {
                return Err(Error::invalid(
                    &field("subject"),
                    "it is missing; name the workload whose tokens are accepted",
                ));
            }
            (false, Some(_)) => {
                return Err(Error::invalid(
                    &field("subject"),
                    "only policies of a service principal have one; leave it out",
                ));
            }
            _ => {}
        }
        if spec.audiences().len() > MAX_AUDIENCES {
            return Err(Error::invalid(&field("audiences"), format!("more than {MAX_AUDIENCES}")));
        }
        for audience in spec.audiences() {
            check_text(&field("audiences"), audience)?;
        }
        if let Some(subject) = &spec.subject {
            check_text(&field("subject"), subject)?;
        }
        check_text(&field("subject_claim"), spec.subject_claim())?;
        if spec.description.as_ref().is_some_and(|text| text.len() > MAX_TEXT_BYTES) {
            return Err(Error::invalid(
                "description",
                format!("longer than {MAX_TEXT_BYTES} bytes"),
            ));
        }
        Ok(spec)
    }
}

fn spec_of(request: &Wire) -> FederationSpec {
    let oidc = request.oidc_policy.clone().unwrap_or_default();
    FederationSpec {
        issuer: oidc.issuer.unwrap_or_default(),
        audiences: oidc.audiences,
        subject: oidc.subject,
        subject_claim: oidc.subject_claim,
        description: request.description.clone(),
    }
}

/// Without a mask, or with `*`, everything that the request carries.
fn changed(before: FederationSpec, request: &Wire, mask: Option<&str>) -> Result<FederationSpec> {
    let mask: Vec<_> = mask.unwrap_or("*").split(',').map(str::trim).collect();
    if let Some(unknown) = mask.iter().find(|name| !MASKS.contains(name)) {
        let known = MASKS.join(", ");
        return Err(Error::invalid("update_mask", format!("\"{unknown}\" is not one of: {known}")));
    }
    let all = mask.contains(&"*");
    let named = |field: &str| {
        let path = format!("oidc_policy.{field}");
        mask.iter().any(|name| *name == "oidc_policy" || *name == path)
    };
    let asked = spec_of(request);
    let oidc = request.oidc_policy.as_ref();
    let carried = |present: Option<bool>| all && present == Some(true);
    let mut after = before;
    if mask.contains(&"description") || (all && request.description.is_some()) {
        after.description = asked.description;
    }
    if named("issuer") || carried(oidc.map(|o| o.issuer.is_some())) {
        after.issuer = asked.issuer;
    }
    if named("audiences") || carried(oidc.map(|o| o.audiences.is_some())) {
        after.audiences = asked.audiences;
    }
    if named("subject") || carried(oidc.map(|o| o.subject.is_some())) {
        after.subject = asked.subject;
    }
    if named("subject_claim") || carried(oidc.map(|o| o.subject_claim.is_some())) {
        after.subject_claim = asked.subject_claim;
    }
    Ok(after)
}

/// Keys come from where the operator has said, and from nowhere else.
fn check_keys(oidc: Option<&OidcFederationPolicy>) -> Result<()> {
    let given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    for (field, is_given) in [
        ("jwks_uri", oidc.is_some_and(|oidc| given(&oidc.jwks_uri))),
        ("jwks_json", oidc.is_some_and(|oidc| given(&oidc.jwks_json))),
    ] {
        if is_given {
            return Err(Error::invalid(
                &format!("oidc_policy.{field}"),
                "keys are found through the issuer, or where trusted_issuers in the configuration \
                 says; leave it out",
            ));
        }
    }
    Ok(())
}

fn checked_id(id: Option<String>) -> Result<String> {
    let id = id.filter(|id| !id.is_empty()).unwrap_or_else(|| Uuid::new_v4().to_string());
    let plain = id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if plain && id.len() <= MAX_ID_CHARS {
        return Ok(id);
    }
    Err(Error::invalid(
        "policy_id",
        format!("\"{id}\" must have 1 to {MAX_ID_CHARS} lower-case letters, digits or hyphens"),
    ))
}

fn check_text(field: &str, text: &str) -> Result<()> {
    if text.is_empty() || text.len() > MAX_TEXT_BYTES {
        return Err(Error::invalid(field, format!("it must have 1 to {MAX_TEXT_BYTES} bytes")));
    }
    Ok(())
}

fn not_found(policy_id: &str) -> Error {
    Error::not_found("federation policy", policy_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn before() -> FederationSpec {
        FederationSpec {
            issuer: String::from("https://i"),
            audiences: Some(vec![String::from("a")]),
            subject: Some(String::from("s")),
            subject_claim: None,
            description: Some(String::from("d")),
        }
    }

    #[test]
    fn an_update_changes_what_it_names_or_carries() {
        let subject = OidcFederationPolicy { subject: Some("t".into()), ..Default::default() };
        let request = Wire { oidc_policy: Some(subject), ..Default::default() };
        for mask in [None, Some("*"), Some("oidc_policy.subject")] {
            let after = changed(before(), &request, mask).unwrap();
            assert_eq!((after.subject.as_deref(), after.audiences().len()), (Some("t"), 1));
            assert_eq!(
                (after.issuer.as_str(), after.description.as_deref()),
                ("https://i", Some("d"))
            );
        }
        let after = changed(before(), &request, Some("description")).unwrap();
        assert_eq!((after.subject.as_deref(), after.description), (Some("s"), None));
        let after = changed(before(), &request, Some("oidc_policy")).unwrap();
        assert_eq!((after.issuer.as_str(), after.audiences, after.subject_claim), ("", None, None));
        assert!(changed(before(), &request, Some("uid")).is_err());
    }

    #[test]
    fn ids_are_plain() {
        assert!(checked_id(None).is_ok() && checked_id(Some("ci-1".into())).is_ok());
        for bad in ["A", "a b", "a/b", &"x".repeat(64)] {
            assert!(checked_id(Some(bad.to_owned())).is_err(), "{bad}");
        }
    }
}
