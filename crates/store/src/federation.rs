//! Other issuers: whose tokens are exchanged for whom, and who of them has logged in as which user.

use jiff::Timestamp;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::principals::COLUMNS;
use crate::tokens::REMEMBERED;
use crate::{Principal, Result, Store};

const POLICY: &str = "f.uid, f.policy_id, f.principal_id, f.issuer, f.audiences, f.subject, \
                      f.subject_claim, f.description, f.created_at, f.updated_at, f.origin";

/// What can be chosen; none: nobody has set it.
#[derive(Debug, Clone)]
pub struct FederationSpec {
    pub issuer: String,
    pub audiences: Option<Vec<String>>,
    pub subject: Option<String>,
    pub subject_claim: Option<String>,
    pub description: Option<String>,
}

impl FederationSpec {
    /// The claim that names the subject.
    #[must_use]
    pub fn subject_claim(&self) -> &str {
        self.subject_claim.as_deref().unwrap_or("sub")
    }

    #[must_use]
    pub fn audiences(&self) -> &[String] {
        self.audiences.as_deref().unwrap_or_default()
    }
}

#[derive(Debug, Clone)]
pub struct FederationPolicy {
    pub uid: Uuid,
    pub policy_id: String,
    /// The service principal whose it is; none: it is for everybody whom a token names.
    pub principal_id: Option<i64>,
    pub spec: FederationSpec,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// What its tokens come of, and end with.
    pub origin: Uuid,
}

impl Store {
    pub async fn add_federation_policy(
        &self,
        principal: Option<i64>,
        policy_id: &str,
        spec: &FederationSpec,
    ) -> Result<FederationPolicy> {
        let insert = format!(
            "insert into federation_policies as f (uid, policy_id, principal_id, issuer, audiences,
                 subject, subject_claim, description)
             values ($1, $2, $3, $4, $5, $6, $7, $8) returning {POLICY}"
        );
        let uid = Uuid::new_v4();
        let row = self
            .connection()
            .await?
            .query_one(
                &insert,
                &[
                    &uid,
                    &policy_id,
                    &principal,
                    &spec.issuer,
                    &spec.audiences,
                    &spec.subject,
                    &spec.subject_claim,
                    &spec.description,
                ],
            )
            .await?;
        Ok(policy(&row))
    }

    pub async fn federation_policies(
        &self,
        principal: Option<i64>,
    ) -> Result<Vec<FederationPolicy>> {
        let select = format!(
            "select {POLICY} from federation_policies f
             where f.principal_id is not distinct from $1 order by f.policy_id"
        );
        let rows = self.connection().await?.query(&select, &[&principal]).await?;
        Ok(rows.iter().map(policy).collect())
    }

    pub async fn federation_policy(
        &self,
        principal: Option<i64>,
        policy_id: &str,
    ) -> Result<Option<FederationPolicy>> {
        let select = format!(
            "select {POLICY} from federation_policies f
             where f.principal_id is not distinct from $1 and f.policy_id = $2"
        );
        let row = self.connection().await?.query_opt(&select, &[&principal, &policy_id]).await?;
        Ok(row.as_ref().map(policy))
    }

    /// None if it is gone, or was changed since it was read. Its tokens end, unless only the description is
    /// another.
    pub async fn update_federation_policy(
        &self,
        read: &FederationPolicy,
        spec: &FederationSpec,
    ) -> Result<Option<FederationPolicy>> {
        let update = format!(
            "with f as (
                 update federation_policies p set issuer = $3, audiences = $4, subject = $5,
                     subject_claim = $6, description = $7, updated_at = clock_timestamp(),
                     origin = case when (p.issuer, coalesce(p.audiences, '{{}}'), p.subject,
                                         coalesce(p.subject_claim, 'sub'))
                                        is distinct from ($3, coalesce($4::text[], '{{}}'), $5,
                                                          coalesce($6::text, 'sub'))
                                   then gen_random_uuid() else p.origin end
                 where p.uid = $1 and p.updated_at = $2 returning p.*),
             ended as (
                 insert into revoked_tokens (id, expires_at)
                 select $8::uuid::text, now() + {REMEMBERED} from f where f.origin <> $8)
             select {POLICY} from f"
        );
        let row = self
            .connection()
            .await?
            .query_opt(
                &update,
                &[
                    &read.uid,
                    &read.updated_at,
                    &spec.issuer,
                    &spec.audiences,
                    &spec.subject,
                    &spec.subject_claim,
                    &spec.description,
                    &read.origin,
                ],
            )
            .await?;
        Ok(row.as_ref().map(policy))
    }

    /// Ends the tokens that came of it too.
    pub async fn delete_federation_policy(
        &self,
        principal: Option<i64>,
        policy_id: &str,
    ) -> Result<bool> {
        let deleted = self
            .connection()
            .await?
            .execute(
                &format!(
                    "with ended as (
                         delete from federation_policies
                         where principal_id is not distinct from $1 and policy_id = $2
                         returning origin)
                     insert into revoked_tokens (id, expires_at)
                     select origin::text, now() + {REMEMBERED} from ended"
                ),
                &[&principal, &policy_id],
            )
            .await?;
        Ok(deleted > 0)
    }

    /// The policies for tokens of an issuer: those of one service principal, or those of everybody.
    pub async fn federation_policies_for(
        &self,
        issuer: &str,
        application: Option<Uuid>,
    ) -> Result<Vec<FederationPolicy>> {
        let select = format!(
            "select {POLICY} from federation_policies f left join principals p on p.id = f.principal_id
             where f.issuer = $1 and p.application_id is not distinct from $2 order by f.uid"
        );
        let rows = self.connection().await?.query(&select, &[&issuer, &application]).await?;
        Ok(rows.iter().map(policy).collect())
    }

    /// The active user or service principal that an outside token speaks for: the policy's, or the one of
    /// this name.
    pub async fn federated_principal(
        &self,
        policy: &FederationPolicy,
        name: &str,
    ) -> Result<Option<Principal>> {
        let select = format!(
            "select {COLUMNS} from principals p
             where p.active and p.kind <> 'GROUP'
               and case when $1::bigint is null then p.user_name = $2 else p.id = $1 end"
        );
        let row =
            self.connection().await?.query_opt(&select, &[&policy.principal_id, &name]).await?;
        Ok(row.as_ref().map(Principal::from))
    }

    /// Who has logged in as which user, whether active or not.
    pub async fn outside_user(&self, issuer: &str, subject: &str) -> Result<Option<Principal>> {
        let select = format!(
            "select {COLUMNS} from outside_identities o join principals p on p.id = o.principal_id
             where o.issuer = $1 and o.subject = $2"
        );
        let row = self.connection().await?.query_opt(&select, &[&issuer, &subject]).await?;
        Ok(row.as_ref().map(Principal::from))
    }

    /// Ties a person of a provider to a user, who may have one of each provider.
    pub async fn add_outside_user(&self, issuer: &str, subject: &str, user: i64) -> Result<()> {
        self.connection()
            .await?
            .execute(
                "insert into outside_identities (issuer, subject, principal_id) values ($1, $2, $3)
                 on conflict on constraint outside_identities_pkey do nothing",
                &[&issuer, &subject, &user],
            )
            .await?;
        Ok(())
    }
}

fn policy(row: &Row) -> FederationPolicy {
    FederationPolicy {
        uid: row.get(0),
        policy_id: row.get(1),
        principal_id: row.get(2),
        spec: FederationSpec {
            issuer: row.get(3),
            audiences: row.get(4),
            subject: row.get(5),
            subject_claim: row.get(6),
            description: row.get(7),
        },
        created_at: row.get(8),
        updated_at: row.get(9),
        origin: row.get(10),
    }
}
