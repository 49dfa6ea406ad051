//! Which user somebody is who has logged in at the outside provider.

use lakeport_identity::outside::Person;
use lakeport_store::{Error as StoreError, Principal, PrincipalKind};

use crate::principals::PrincipalDraft;
use crate::{Control, Error, Result};

impl Control {
    /// The user that the person was before; else the one of the name that the provider vouches for, which is
    /// the person's from then on; else, where the operator wants it, a new one.
    pub async fn user_of_person(&self, person: &Person, create: bool) -> Result<Principal> {
        if let Some(user) = self.store.outside_user(&person.issuer, &person.subject).await? {
            return active(user);
        }
        let name = person.user_name.as_deref().ok_or_else(|| {
            Error::denied(
                "The provider does not vouch for a name of yours: verify your address there, or ask \
                 an administrator.",
            )
        })?;
        let user = match self.user_named(name).await? {
            Some(user) => active(user)?,
            None if create => self.new_user(name).await?,
            None => {
                return Err(Error::denied(format!(
                    "There is no user \"{name}\" here. Ask an administrator to add one."
                )));
            }
        };
        match self.store.add_outside_user(&person.issuer, &person.subject, user.id).await {
            Ok(()) => Ok(user),
            // The provider has given the name to somebody else, who does not inherit the user.
            Err(error) if error.is_constraint("outside_identities_user") => {
                Err(Error::denied(format!(
                    "The user \"{name}\" here belongs to another person of the provider. Ask an \
                     administrator."
                )))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn user_named(&self, name: &str) -> Result<Option<Principal>> {
        let found = self.store.principal(name).await?;
        Ok(found.filter(|principal| principal.kind == PrincipalKind::User))
    }

    async fn new_user(&self, name: &str) -> Result<Principal> {
        let draft = PrincipalDraft {
            user_name: name.to_owned(),
            display_name: name.to_owned(),
            active: true,
            ..PrincipalDraft::default()
        };
        let spec = crate::principals::checked(PrincipalKind::User, draft).await?;
        match self.store.add_principal(PrincipalKind::User, &spec).await {
            Ok(user) => {
                self.rights_changed().await;
                self.identities_changed().await;
                Ok(user)
            }
            Err(StoreError::Constraint(_)) => {
                let other = self.user_named(name).await?.map(active).transpose()?;
                other.ok_or_else(|| Error::denied(format!("The name \"{name}\" is taken here.")))
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn active(user: Principal) -> Result<Principal> {
    if user.active {
        return Ok(user);
    }
    Err(Error::denied(format!("The user \"{}\" has been deactivated.", user.user_name)))
}
