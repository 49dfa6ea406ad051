//! Database instances: the service behind `/api/2.0/database/instances`.

use lakeport_api::{DatabaseInstance, InstanceState};
use lakeport_store::{Create, Instance, NewInstance, Principal};
use uuid::Uuid;

use crate::instance_spec::InstanceSpec;
use crate::page::PageRequest;
use crate::{Control, Created, Error, HostName, Page, Result, Sender};

const MAX_NAME_BYTES: usize = 63;
/// How often another address is chosen when another create was faster: as often as a block has them.
const ADDRESS_ATTEMPTS: usize = 256;
/// How often an update is tried again when another writer was faster.
const UPDATE_ATTEMPTS: usize = 5;

impl Control {
    /// Makes the instance, with the name or address by which it will be reached.
    pub async fn create_instance(
        &self,
        caller: &str,
        sender: &Sender,
        request: &DatabaseInstance,
    ) -> Result<Created<DatabaseInstance>> {
        check_name(&request.name)?;
        let spec = InstanceSpec::from_request(request)?;
        let major = self.requested_major(request.pg_version.as_deref())?;
        let digest = sender.digest("database instance", request)?;
        let create = self.create(&digest);
        let spec_json = serde_json::to_value(&spec)
            .map_err(|error| Error::internal("writing an instance's spec", error))?;
        let mut new = NewInstance {
            uid: Uuid::new_v4(),
            name: request.name.clone(),
            node_id: self.node,
            creator: caller.to_owned(),
            pg_version: i32::try_from(major).unwrap_or_default(),
            spec: spec_json,
            state: wire_name(InstanceState::Starting),
            address: None,
            created_stopped: spec.stopped(),
        };
        let unanswered = self.unanswered(new.uid);
        let Some(instance) = self.insert_instance(&mut new, &create).await? else {
            return self.repeated_instance(&new.name, &create).await;
        };
        self.open_entrance(&instance).await;
        // Its creator may log in.
        self.subjects.forget();
        self.wake.notify_one();
        Ok(Created { answer: self.to_wire(&instance)?, unanswered })
    }

    /// None if the name is taken.
    async fn insert_instance(
        &self,
        new: &mut NewInstance,
        create: &Create<'_>,
    ) -> Result<Option<Instance>> {
        for _ in 0..ADDRESS_ATTEMPTS {
            new.address = self.naming.free_address().await.map_err(Error::precondition)?;
            match self.store.add_instance(new, create).await {
                Ok(instance) => return Ok(Some(instance)),
                Err(error) if error.is_constraint("instances_name_key") => return Ok(None),
                Err(error) if error.is_constraint("instances_address_key") => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::conflict("others create instances at the same time; try again"))
    }

    /// From the answer on, clients connect: they wait for the instance, not for the reconciler's turn.
    async fn open_entrance(&self, instance: &Instance) {
        if let Err(error) = self.naming.announce(instance).await {
            tracing::debug!(instance.name, error, "the reconciler announces the instance later");
        }
        // Whoever has deleted it meanwhile may have found nothing to close.
        let now = self.store.instance(instance.uid).await;
        if now.is_ok_and(|now| now.is_none_or(|now| now.deleted_at.is_some())) {
            self.naming.withdraw(instance).await;
        }
    }

    async fn repeated_instance(
        &self,
        name: &str,
        create: &Create<'_>,
    ) -> Result<Created<DatabaseInstance>> {
        let taken = || {
            Error::already_exists(format!(
                "Instance name is not unique: an instance named \"{name}\" already exists"
            ))
        };
        let existing = self.store.instance_by_name(name).await?;
        let existing = existing.filter(|found| found.deleted_at.is_none()).ok_or_else(taken)?;
        let unanswered = self.repeated(existing.uid, create).await?.ok_or_else(taken)?;
        Ok(Created { answer: self.to_wire(&existing)?, unanswered })
    }

    fn requested_major(&self, requested: Option<&str>) -> Result<u32> {
        let Some(text) = requested.filter(|text| !text.is_empty()) else {
            return Ok(self.default_major);
        };
        let versions: Vec<u32> = self.engine.versions().iter().map(|v| v.major).collect();
        let major = text.strip_prefix("PG_VERSION_").unwrap_or(text).parse().ok();
        major.filter(|major| versions.contains(major)).ok_or_else(|| {
            let known: Vec<_> = versions.iter().map(|v| format!("PG_VERSION_{v}")).collect();
            Error::invalid(
                "pg_version",
                format!("\"{text}\" is not available here; use one of: {}", known.join(", ")),
            )
        })
    }

    pub async fn get_instance(&self, name: &str) -> Result<DatabaseInstance> {
        self.to_wire(&self.find_instance(name).await?)
    }

    pub async fn find_instance_by_uid(&self, uid: &str) -> Result<DatabaseInstance> {
        let not_found = || Error::not_found("database instance with uid", uid);
        let id = Uuid::parse_str(uid).map_err(|_| not_found())?;
        self.to_wire(&self.store.instance(id).await?.ok_or_else(not_found)?)
    }

    /// The instances that the caller may see.
    pub async fn list_instances(
        &self,
        caller: &Principal,
        page_size: Option<i64>,
        page_token: Option<&str>,
    ) -> Result<Page<DatabaseInstance>> {
        let request =
            PageRequest::new(&self.vault, String::from("instances"), page_size, page_token)?;
        let (after, limit) = (&request.after, request.limit());
        let rows = if caller.is_admin {
            self.store.instances(after, limit).await?
        } else {
            let subjects = self.subject_ids(caller).await?;
            self.store.instances_visible_to(&subjects, after, limit).await?
        };
        let page = request.page(rows, |instance| instance.name.clone());
        let items = page.items.iter().map(|row| self.to_wire(row)).collect::<Result<_>>()?;
        Ok(Page { items, next_page_token: page.next_page_token })
    }

    pub async fn update_instance(
        &self,
        name: &str,
        request: &DatabaseInstance,
        mask: Option<&str>,
    ) -> Result<DatabaseInstance> {
        for _ in 0..UPDATE_ATTEMPTS {
            let current = self.find_instance(name).await?;
            if let Some(updated) = self.try_update(&current, request, mask).await? {
                if spec_of(&current)?.native_login() && !spec_of(&updated)?.native_login() {
                    self.rights_changed().await;
                }
                return self.to_wire(&updated);
            }
        }
        Err(Error::conflict(format!(
            "database instance \"{name}\" is being changed by others at the same time; try again"
        )))
    }

    /// None if another writer was faster.
    async fn try_update(
        &self,
        current: &Instance,
        request: &DatabaseInstance,
        mask: Option<&str>,
    ) -> Result<Option<Instance>> {
        if current.deleted_at.is_some() {
            return Err(Error::precondition(format!(
                "database instance \"{}\" is being deleted",
                current.name
            )));
        }
        let before = spec_of(current)?;
        let after = before.updated(request, mask)?;
        if after == before {
            return Ok(Some(current.clone()));
        }
        // What changes nothing about the server leaves it open for logins.
        let state = match (before.stopped(), after.stopped()) {
            (true, false) => wire_name(InstanceState::Starting),
            (false, true) => wire_name(InstanceState::Updating),
            (false, false) if before.units() != after.units() => wire_name(InstanceState::Updating),
            _ => current.state.clone(),
        };
        let json = serde_json::to_value(&after)
            .map_err(|error| Error::internal("writing an instance's spec", error))?;
        let updated = self
            .store
            .update_instance_spec(current.uid, current.generation, &json, &state, after.stopped())
            .await?;
        self.ready.changed();
        self.wake.notify_one();
        Ok(updated)
    }

    /// `purge` absent or true: deletion is always for good.
    pub async fn delete_instance(&self, name: &str, purge: Option<bool>) -> Result<()> {
        if purge == Some(false) {
            return Err(Error::invalid(
                "purge",
                "a database instance can only be deleted for good: leave it out or set it to true",
            ));
        }
        let instance = self.find_instance(name).await?;
        self.store.mark_instance_deleted(instance.uid, &wire_name(InstanceState::Deleting)).await?;
        self.ready.changed();
        self.wake.notify_one();
        Ok(())
    }

    /// By name, or by a DNS name that this installation has given out.
    pub async fn find_instance(&self, name: &str) -> Result<Instance> {
        let found = match self.store.instance_by_name(name).await? {
            Some(instance) => Some(instance),
            None => match self.naming.parse(name) {
                Some(HostName::Uid(uid)) => self.store.instance(uid).await?,
                Some(HostName::Address(address)) => {
                    self.store.instance_by_address(&address).await?
                }
                None => None,
            },
        };
        found.ok_or_else(|| Error::not_found("database instance", name))
    }

    pub(crate) fn to_wire(&self, instance: &Instance) -> Result<DatabaseInstance> {
        let spec = spec_of(instance)?;
        let state = serde_json::from_value(instance.state.clone().into())
            .unwrap_or(InstanceState::Updating);
        Ok(DatabaseInstance {
            name: instance.name.clone(),
            uid: Some(instance.uid.to_string()),
            creator: Some(instance.creator.clone()),
            creation_time: Some(instance.created_at.to_string()),
            effective_capacity: Some(spec.capacity().to_owned()),
            effective_custom_tags: Some(spec.custom_tags.clone().unwrap_or_default()),
            effective_enable_pg_native_login: Some(spec.native_login()),
            effective_enable_readable_secondaries: Some(false),
            effective_node_count: Some(1),
            effective_retention_window_in_days: Some(spec.retention_days()),
            effective_stopped: Some(state == InstanceState::Stopped),
            effective_usage_policy_id: spec.usage_policy_id.clone(),
            pg_version: Some(format!("PG_VERSION_{}", instance.pg_version)),
            read_write_dns: self.naming.read_write_dns(instance),
            state: Some(state),
            status_message: instance.message.clone(),
            capacity: spec.capacity,
            custom_tags: spec.custom_tags,
            enable_pg_native_login: spec.enable_pg_native_login,
            enable_readable_secondaries: spec.enable_readable_secondaries,
            node_count: spec.node_count,
            retention_window_in_days: spec.retention_window_in_days,
            stopped: spec.stopped,
            usage_policy_id: spec.usage_policy_id,
            child_instance_refs: None,
            parent_instance_ref: None,
            read_only_dns: None,
        })
    }
}

pub(crate) fn spec_of(instance: &Instance) -> Result<InstanceSpec> {
    serde_json::from_value(instance.spec.clone())
        .map_err(|error| Error::internal("reading an instance's spec", error))
}

pub(crate) fn wire_name(state: InstanceState) -> String {
    match serde_json::to_value(state) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::from("STATE_UNSPECIFIED"),
    }
}

/// A name is also a host label and a path segment.
fn check_name(name: &str) -> Result<()> {
    let problem = if name.is_empty() {
        String::from("it is missing; give the instance a name")
    } else if name.len() > MAX_NAME_BYTES {
        format!("\"{name}\" is longer than 63 characters")
    } else if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        format!("\"{name}\" may hold lower-case letters, digits and hyphens only")
    } else if name.starts_with('-') || name.ends_with('-') {
        format!("\"{name}\" may not begin or end with a hyphen")
    } else {
        return Ok(());
    };
    Err(Error::invalid("name", problem))
}

#[cfg(test)]
pub(crate) mod tests {
    use jiff::Timestamp;

    use super::*;

    /// An instance in this state, of which nothing was asked.
    pub(crate) fn sample(state: InstanceState) -> Instance {
        Instance {
            uid: Uuid::nil(),
            name: String::from("i"),
            node_id: Uuid::nil(),
            creator: String::from("c"),
            created_at: Timestamp::now(),
            pg_version: 16,
            spec: serde_json::json!({}),
            generation: 1,
            deleted_at: None,
            state: wire_name(state),
            message: None,
            observed_generation: 1,
            address: None,
            attempts: 0,
            created_stopped: false,
            available_at: None,
        }
    }

    #[test]
    fn names_are_host_labels() {
        for good in ["a", "my-lakebase-instance", "x1", "1x", &"x".repeat(63)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "A", "a b", "a/b", "a_b", "a.b", "-a", "a-", "é", "a\0", &"x".repeat(64)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
