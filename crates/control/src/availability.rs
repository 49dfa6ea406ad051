//! Whether an instance takes logins, and waiting until it does.

use std::time::Duration;

use lakeport_api::InstanceState;
use lakeport_store::Instance;
use tokio::time::timeout;
use uuid::Uuid;

use crate::instances::{spec_of, wire_name};
use crate::{Control, Result};

/// Another server may stop or delete an instance; it is looked for that so often.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Availability {
    Available,
    /// It will be available without anybody doing anything.
    Starting,
    Stopped,
    /// Gone, or on its way.
    Deleted,
    Failed(String),
}

impl Availability {
    pub fn of(instance: &Instance) -> Result<Self> {
        let is = |state| instance.state == wire_name(state);
        if instance.deleted_at.is_some() || is(InstanceState::Deleting) {
            return Ok(Self::Deleted);
        }
        // It is on its way down, unless it was created stopped and shall be seen available first.
        let stops = !instance.created_stopped && spec_of(instance)?.stopped();
        Ok(match &instance.message {
            _ if is(InstanceState::Available) => Self::Available,
            _ if stops || is(InstanceState::Stopped) => Self::Stopped,
            Some(reason) => Self::Failed(reason.clone()),
            None => Self::Starting,
        })
    }
}

impl Control {
    /// What becomes of an instance that starts. Waits for as long as that takes.
    pub async fn availability_once_started(&self, uid: Uuid) -> Result<Availability> {
        let mut changes = self.ready.changes();
        loop {
            if self.ready.contains(uid) {
                return Ok(Availability::Available);
            }
            let Some(instance) = self.store.instance(uid).await? else {
                return Ok(Availability::Deleted);
            };
            match Availability::of(&instance)? {
                Availability::Starting => {}
                other => return Ok(other),
            }
            // Whether woken or not: it is looked again.
            let _ = timeout(LOOK, changes.changed()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::instances::tests::sample;

    #[test]
    fn only_what_comes_up_by_itself_is_waited_for() {
        let of = |instance: Instance| Availability::of(&instance).unwrap();
        let starting = || sample(InstanceState::Starting);
        let stopped = || serde_json::json!({"stopped": true});
        assert_eq!(of(starting()), Availability::Starting);
        // Resized or started again; on its way down; created stopped, and to be seen available.
        assert_eq!(of(sample(InstanceState::Updating)), Availability::Starting);
        let down = Instance { spec: stopped(), ..sample(InstanceState::Updating) };
        assert_eq!(of(down), Availability::Stopped);
        let new = Instance { spec: stopped(), created_stopped: true, ..starting() };
        assert_eq!(of(new), Availability::Starting);
        assert_eq!(of(sample(InstanceState::Stopped)), Availability::Stopped);
        assert_eq!(of(sample(InstanceState::Available)), Availability::Available);
        let failed = Instance { message: Some(String::from("no disk")), ..starting() };
        assert_eq!(of(failed), Availability::Failed(String::from("no disk")));
        let deleted = Instance { deleted_at: Some(Timestamp::now()), ..starting() };
        assert_eq!(of(deleted), Availability::Deleted);
    }
}
