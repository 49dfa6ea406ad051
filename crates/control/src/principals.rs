//! Users, service principals and groups: who may change them, and what they may be called.
//!
//! Their names are names of PostgreSQL roles, so all of them share one name space.

use lakeport_api::scim::Password;
use lakeport_store::{
    Error as StoreError, Membership, Principal, PrincipalKind, PrincipalQuery, PrincipalSpec,
};
use uuid::Uuid;

use crate::access::require_admin;
use crate::passwords::digest_password;
use crate::roles::is_reserved;
use crate::{Control, Error, Result};

/// PostgreSQL cuts longer role names.
const MAX_NAME_BYTES: usize = 63;
const MAX_TEXT_BYTES: usize = 256;
const UPDATE_ATTEMPTS: usize = 5;

/// What a client wants a principal to be.
#[derive(Debug, Clone, Default)]
pub struct PrincipalDraft {
    pub user_name: String,
    pub display_name: String,
    pub application_id: Option<Uuid>,
    pub external_id: Option<String>,
    pub entitlements: Vec<String>,
    pub active: bool,
    pub password: Option<Password>,
    /// A group's direct members, by id.
    pub members: Vec<i64>,
}

impl Control {
    pub async fn create_principal(
        &self,
        caller: &Principal,
        kind: PrincipalKind,
        mut draft: PrincipalDraft,
    ) -> Result<Principal> {
        require_admin(caller)?;
        complete(kind, &mut draft);
        let spec = checked(kind, draft).await?;
        let added = self.store.add_principal(kind, &spec).await;
        self.rights_changed().await;
        self.identities_changed().await;
        added.map_err(|error| refused(error, &spec))
    }

    pub async fn get_principal(
        &self,
        caller: &Principal,
        kind: PrincipalKind,
        id: &str,
    ) -> Result<Principal> {
        let not_found = || Error::not_found(noun(kind), id);
        let number: i64 = id.parse().map_err(|_| not_found())?;
        if !caller.is_admin && caller.id != number {
            return Err(not_found());
        }
        let found = self.store.principal_by_id(number).await?;
        found.filter(|principal| principal.kind == kind).ok_or_else(not_found)
    }

    /// One page and the number of all; who is no administrator sees itself alone.
    pub async fn list_principals(
        &self,
        caller: &Principal,
        mut query: PrincipalQuery,
    ) -> Result<(Vec<Principal>, i64)> {
        query.only = (!caller.is_admin).then_some(caller.id);
        Ok(self.store.principals(&query).await?)
    }

    /// Changes a principal by `change`, which is called again if another writer was faster.
    pub async fn update_principal<E: From<Error>>(
        &self,
        caller: &Principal,
        kind: PrincipalKind,
        id: &str,
        change: impl Fn(&mut PrincipalDraft) -> std::result::Result<(), E>,
    ) -> std::result::Result<Principal, E> {
        require_admin(caller)?;
        for _ in 0..UPDATE_ATTEMPTS {
            let current = self.get_principal(caller, kind, id).await?;
            let mut draft = self.draft_of(&current).await?;
            change(&mut draft)?;
            complete(kind, &mut draft);
            check(kind, &draft)?;
            check_fixed(&current, &draft)?;
            let mut spec = spec_of(draft).await?;
            if current.is_everybody() {
                self.check_everybody(&current, &mut spec).await?;
            }
            let updated = self.store.update_principal(current.id, current.generation, &spec).await;
            self.rights_changed().await;
            self.identities_changed().await;
            if let Some(updated) = updated.map_err(|error| refused(error, &spec))? {
                return Ok(updated);
            }
        }
        Err(Error::conflict(format!(
            "{} \"{id}\" is being changed by others at the same time; try again",
            noun(kind)
        ))
        .into())
    }

    pub async fn delete_principal(
        &self,
        caller: &Principal,
        kind: PrincipalKind,
        id: &str,
    ) -> Result<()> {
        require_admin(caller)?;
        let principal = self.get_principal(caller, kind, id).await?;
        if principal.built_in {
            return Err(Error::precondition(format!(
                "group \"{}\" is part of the installation and cannot be deleted",
                principal.display_name
            )));
        }
        let deleted = self.store.delete_principal(principal.id).await;
        self.rights_changed().await;
        self.identities_changed().await;
        deleted.map_err(|error| store_refusal(error, &principal.user_name))
    }

    /// Its members follow from who there is, so a list of them may only be sent back as it was read.
    async fn check_everybody(&self, current: &Principal, spec: &mut PrincipalSpec) -> Result<()> {
        let mut known = self.draft_of(current).await?.members;
        let mut asked = spec.members.take().unwrap_or_default();
        known.sort_unstable();
        asked.sort_unstable();
        asked.dedup();
        if asked == known {
            return Ok(());
        }
        Err(Error::invalid(
            "members",
            format!(
                "every user and service principal is in the group \"{}\", and nobody else; use a \
                 group of your own",
                current.display_name
            ),
        ))
    }

    async fn draft_of(&self, principal: &Principal) -> Result<PrincipalDraft> {
        let mut members = self.store.members_of(&[principal.id]).await?;
        let members: Vec<Membership> = members.remove(&principal.id).unwrap_or_default();
        Ok(PrincipalDraft {
            user_name: principal.user_name.clone(),
            display_name: principal.display_name.clone(),
            application_id: principal.application_id,
            external_id: principal.external_id.clone(),
            entitlements: principal.entitlements.clone(),
            active: principal.active,
            password: None,
            members: members.iter().map(|member| member.id).collect(),
        })
    }
}

fn noun(kind: PrincipalKind) -> &'static str {
    match kind {
        PrincipalKind::User => "user",
        PrincipalKind::ServicePrincipal => "service principal",
        PrincipalKind::Group => "group",
    }
}

/// Names that follow from others; what says nothing goes.
fn complete(kind: PrincipalKind, draft: &mut PrincipalDraft) {
    draft.entitlements.retain(|entitlement| !entitlement.is_empty());
    match kind {
        PrincipalKind::User => {}
        PrincipalKind::ServicePrincipal => {
            let id = *draft.application_id.get_or_insert_with(Uuid::new_v4);
            draft.user_name = id.to_string();
        }
        PrincipalKind::Group => draft.user_name.clone_from(&draft.display_name),
    }
    if draft.display_name.is_empty() {
        draft.display_name.clone_from(&draft.user_name);
    }
}

/// A draft that may become a principal.
pub(crate) async fn checked(kind: PrincipalKind, draft: PrincipalDraft) -> Result<PrincipalSpec> {
    check(kind, &draft)?;
    spec_of(draft).await
}

fn check(kind: PrincipalKind, draft: &PrincipalDraft) -> Result<()> {
    match kind {
        PrincipalKind::User => check_user_name(&draft.user_name)?,
        PrincipalKind::Group => check_group_name(&draft.user_name)?,
        PrincipalKind::ServicePrincipal => {}
    }
    check_text("displayName", &draft.display_name)?;
    check_text("externalId", draft.external_id.as_deref().unwrap_or_default())?;
    for entitlement in &draft.entitlements {
        check_text("entitlements", entitlement)?;
    }
    if draft.password.is_some() && kind != PrincipalKind::User {
        return Err(Error::invalid("password", "only users have one"));
    }
    if !draft.members.is_empty() && kind != PrincipalKind::Group {
        return Err(Error::invalid("members", "only groups have members"));
    }
    Ok(())
}

/// Clients write it into connection strings without quotes.
fn check_user_name(name: &str) -> Result<()> {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"@.-_+".contains(&b));
    if name.is_empty() {
        return Err(Error::invalid("userName", "it is missing; give the user a name"));
    }
    if !plain || name.len() > MAX_NAME_BYTES {
        return Err(Error::invalid(
            "userName",
            format!("\"{name}\" must have 1 to 63 letters, digits or any of @ . - _ +"),
        ));
    }
    check_not_reserved("userName", name)
}

fn check_group_name(name: &str) -> Result<()> {
    let plain = |c: char| c.is_alphanumeric() || "@.-_+ ".contains(c);
    if name.is_empty() {
        return Err(Error::invalid("displayName", "it is missing; give the group a name"));
    }
    if name.len() > MAX_NAME_BYTES || name.trim() != name || !name.chars().all(plain) {
        return Err(Error::invalid(
            "displayName",
            format!(
                "\"{name}\" must have at most 63 bytes of letters, digits, inner spaces or any of \
                 @ . - _ +"
            ),
        ));
    }
    check_not_reserved("displayName", name)
}

fn check_not_reserved(field: &str, name: &str) -> Result<()> {
    if !is_reserved(name) && !["public", "none"].contains(&name) {
        return Ok(());
    }
    Err(Error::invalid(
        field,
        format!("\"{name}\" is, or begins like, a role of the system; choose another name"),
    ))
}

fn check_text(field: &str, text: &str) -> Result<()> {
    if text.len() > MAX_TEXT_BYTES || text.chars().any(char::is_control) {
        return Err(Error::invalid(
            field,
            "it must have at most 256 bytes and no control characters",
        ));
    }
    Ok(())
}

/// A role's name is what a principal owns things by: it does not change.
fn check_fixed(current: &Principal, draft: &PrincipalDraft) -> Result<()> {
    if current.kind == PrincipalKind::User && current.user_name != draft.user_name {
        return Err(Error::invalid("userName", "it cannot be changed; create another user"));
    }
    if current.application_id != draft.application_id {
        return Err(Error::invalid("applicationId", "it cannot be changed"));
    }
    if current.built_in && current.user_name != draft.user_name {
        return Err(Error::invalid("displayName", "this group cannot be renamed"));
    }
    Ok(())
}

async fn spec_of(draft: PrincipalDraft) -> Result<PrincipalSpec> {
    let password_hash = match draft.password {
        Some(password) => Some(digest_password(password).await?),
        None => None,
    };
    Ok(PrincipalSpec {
        user_name: draft.user_name,
        display_name: draft.display_name,
        application_id: draft.application_id,
        external_id: draft.external_id,
        entitlements: draft.entitlements,
        active: draft.active,
        password_hash,
        members: Some(draft.members),
    })
}

fn refused(error: StoreError, spec: &PrincipalSpec) -> Error {
    store_refusal(error, &spec.user_name)
}

fn store_refusal(error: StoreError, name: &str) -> Error {
    match error {
        StoreError::LastAdmin => Error::precondition(
            "nobody would be left to administer the installation: add another active member to \
             the group \"admins\" first",
        ),
        StoreError::GroupRing => {
            Error::invalid("members", format!("group \"{name}\" would be a member of itself"))
        }
        error if error.is_constraint("principals_user_name_key") => Error::already_exists(format!(
            "a user, service principal or group named \"{name}\" already exists"
        )),
        error if error.is_constraint("principals_application_id") => Error::already_exists(
            format!("a service principal with applicationId \"{name}\" already exists"),
        ),
        error if error.is_constraint("apps_principal_id_fkey") => Error::precondition(format!(
            "service principal \"{name}\" is the identity of an app; delete the app instead"
        )),
        error if error.is_constraint("group_members_member_id_fkey") => {
            Error::invalid("members", "a value is not the id of a user, service principal or group")
        }
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cannot_be_roles_are_refused() {
        for bad in ["", "a b", "o'brien", "a/b", "pg_x", "databricks_superuser", "public", "é"] {
            assert!(check_user_name(bad).is_err(), "{bad}");
        }
        assert!(check_user_name("a.b+c_d-e@f.g").is_ok());
        assert!(check_user_name(&"x".repeat(64)).is_err());
        for bad in ["", " a", "a\"b", "lakeport_x", "a/b", "a\0"] {
            assert!(check_group_name(bad).is_err(), "{bad}");
        }
        assert!(check_group_name("Data Engineers").is_ok());
    }
}
