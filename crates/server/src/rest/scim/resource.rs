//! Between principals and SCIM resources.

use lakeport_api::scim::{Email, Meta, Name, Reference, Resource};
use lakeport_control::PrincipalDraft;
use lakeport_store::{Membership, Principal, PrincipalKind, Store};
use uuid::Uuid;

use super::error::ScimError;

/// The resources of a page, with memberships read once for all of them.
pub(super) async fn many(
    store: &Store,
    principals: &[Principal],
) -> Result<Vec<Resource>, ScimError> {
    let ids: Vec<i64> = principals.iter().map(|principal| principal.id).collect();
    let mut groups = store.groups_of(&ids).await?;
    let mut members = store.members_of(&ids).await?;
    let resource = |principal: &Principal| {
        let groups = groups.remove(&principal.id).unwrap_or_default();
        let members = members.remove(&principal.id).unwrap_or_default();
        one(principal, &groups, &members)
    };
    Ok(principals.iter().map(resource).collect())
}

fn one(principal: &Principal, groups: &[Membership], members: &[Membership]) -> Resource {
    let (schema, resource_type) = match principal.kind {
        PrincipalKind::User => ("User", "User"),
        PrincipalKind::ServicePrincipal => ("ServicePrincipal", "ServicePrincipal"),
        PrincipalKind::Group => ("Group", "Group"),
    };
    let is_group = principal.kind == PrincipalKind::Group;
    let is_user = principal.kind == PrincipalKind::User;
    Resource {
        schemas: Some(vec![format!("urn:ietf:params:scim:schemas:core:2.0:{schema}")]),
        id: Some(principal.id.to_string()),
        // A service principal has one too: clients use it as the PostgreSQL user.
        user_name: (!is_group).then(|| principal.user_name.clone()),
        application_id: principal.application_id.map(|id| id.to_string()),
        display_name: Some(principal.display_name.clone()),
        external_id: principal.external_id.clone(),
        active: (!is_group).then_some(principal.active),
        name: is_user
            .then(|| Name { given_name: Some(principal.display_name.clone()), ..Name::default() }),
        emails: is_user.then(|| {
            vec![Email {
                primary: true,
                kind: Some(String::from("work")),
                value: principal.user_name.clone(),
            }]
        }),
        groups: Some(groups.iter().map(group).collect()),
        members: is_group.then(|| members.iter().map(member).collect()),
        entitlements: (!principal.entitlements.is_empty()).then(|| {
            let entitlement =
                |value: &String| Reference { value: value.clone(), ..Reference::default() };
            principal.entitlements.iter().map(entitlement).collect()
        }),
        meta: Some(Meta { resource_type: resource_type.to_owned() }),
        password: None,
    }
}

fn group(membership: &Membership) -> Reference {
    let kind = if membership.direct { "direct" } else { "indirect" };
    Reference {
        value: membership.id.to_string(),
        display: Some(membership.display_name.clone()),
        kind: Some(kind.to_owned()),
        reference: Some(format!("Groups/{}", membership.id)),
    }
}

fn member(membership: &Membership) -> Reference {
    let plural = match membership.kind {
        PrincipalKind::User => "Users",
        PrincipalKind::ServicePrincipal => "ServicePrincipals",
        PrincipalKind::Group => "Groups",
    };
    Reference {
        value: membership.id.to_string(),
        display: Some(membership.display_name.clone()),
        kind: None,
        reference: Some(format!("{plural}/{}", membership.id)),
    }
}

/// What a body asks for. What the server gives (id, groups, emails) is not read.
pub(super) fn draft(body: &Resource) -> Result<PrincipalDraft, ScimError> {
    let application_id = match body.application_id.as_deref().filter(|id| !id.is_empty()) {
        Some(text) => Some(Uuid::parse_str(text).map_err(|_| {
            ScimError::bad("invalidValue", format!("applicationId: \"{text}\" is not a UUID"))
        })?),
        None => None,
    };
    let members = values(&body.members).map(|member| member_id(&member.value));
    let entitlements = values(&body.entitlements).map(|entitlement| entitlement.value.clone());
    Ok(PrincipalDraft {
        user_name: body.user_name.clone().unwrap_or_default(),
        display_name: display_name(body),
        application_id,
        external_id: body.external_id.clone(),
        entitlements: entitlements.collect(),
        active: body.active.unwrap_or(true),
        password: body.password.clone(),
        members: members.collect::<Result<_, _>>()?,
    })
}

/// Terraform sends `[{}]` for none: an entry that says nothing is none.
fn values(list: &Option<Vec<Reference>>) -> impl Iterator<Item = &Reference> {
    list.iter().flatten().filter(|entry| **entry != Reference::default())
}

fn display_name(body: &Resource) -> String {
    if let Some(name) = body.display_name.as_ref().filter(|name| !name.is_empty()) {
        return name.clone();
    }
    let Some(name) = &body.name else { return String::new() };
    let parts = [&name.given_name, &name.family_name];
    let joined: Vec<_> = parts.into_iter().flatten().map(String::as_str).collect();
    name.formatted.clone().unwrap_or_else(|| joined.join(" "))
}

/// PUT: the new value. Names that the body leaves out stay, and so does whether it is active: nobody is
/// let in again by a change of something else.
pub(super) fn replace(draft: &mut PrincipalDraft, new: &PrincipalDraft, body: &Resource) {
    let old = std::mem::replace(draft, new.clone());
    draft.active = body.active.unwrap_or(old.active);
    if draft.user_name.is_empty() {
        draft.user_name = old.user_name;
    }
    if draft.display_name.is_empty() {
        draft.display_name = old.display_name;
    }
    draft.application_id = draft.application_id.or(old.application_id);
}

pub(super) fn member_id(text: &str) -> Result<i64, ScimError> {
    text.parse().map_err(|_| {
        ScimError::bad(
            "invalidValue",
            format!("members: \"{text}\" is not the id of a user, service principal or group"),
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn drafted(body: Value) -> Result<PrincipalDraft, ScimError> {
        draft(&serde_json::from_value(body).unwrap())
    }

    #[test]
    fn an_entry_that_says_nothing_is_none() {
        for nothing in [json!([{}]), json!([]), json!([{"value": ""}, {}]), Value::Null] {
            let lists = ["entitlements", "members", "emails", "roles", "groups"];
            let body: serde_json::Map<_, _> =
                lists.iter().map(|list| ((*list).to_owned(), nothing.clone())).collect();
            let draft = drafted(body.into()).unwrap();
            assert!(draft.entitlements.is_empty() && draft.members.is_empty(), "{nothing}");
        }
        let draft =
            drafted(json!({"entitlements": [{}, {"value": "a"}], "members": [{"value": "7"}, {}]}));
        let draft = draft.unwrap();
        assert_eq!((draft.entitlements, draft.members), (vec![String::from("a")], vec![7]));
    }

    #[test]
    fn an_entry_without_a_value_is_refused() {
        assert!(drafted(json!({"members": [{"display": "x"}]})).is_err());
    }
}
