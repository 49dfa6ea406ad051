//! Database instances, and waiting for their state.

use std::time::Duration;

use lakeport_api::{DatabaseInstance, InstanceState};
use reqwest::Method;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::{Paging, list};
use crate::http::{Call, body};
use crate::{Client, Document, Error, Result};

/// Fast at first, because a local server needs a fraction of a second; a cloud needs minutes.
const FIRST_POLL: Duration = Duration::from_millis(50);
const SLOWEST_POLL: Duration = Duration::from_secs(2);

const INSTANCES: [&str; 4] = ["api", "2.0", "database", "instances"];

fn path(name: &str) -> impl Iterator<Item = &str> {
    INSTANCES.into_iter().chain([name])
}

impl Client {
    /// `instance` is a [`DatabaseInstance`], or JSON with the same fields.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create_database_instance(
        &self,
        instance: &impl Serialize,
    ) -> Result<Document<DatabaseInstance>> {
        let operation = String::from("create database instance");
        self.fetch(Call::post(operation, INSTANCES, instance)?).await
    }

    /// # Errors
    /// See [`Error`].
    pub async fn get_database_instance(&self, name: &str) -> Result<Document<DatabaseInstance>> {
        self.fetch(Call::get(format!("get database instance `{name}`"), path(name))).await
    }

    /// # Errors
    /// See [`Error`].
    pub async fn list_database_instances(
        &self,
        paging: &Paging,
    ) -> Result<Vec<Document<DatabaseInstance>>> {
        let call = || Call::get(String::from("list database instances"), INSTANCES);
        list(self, "database_instances", "page_size", paging, call).await
    }

    /// # Errors
    /// See [`Error`].
    pub async fn find_database_instance_by_uid(
        &self,
        uid: &str,
    ) -> Result<Document<DatabaseInstance>> {
        let path = ["api", "2.0", "database", "instances:findByUid"];
        let operation = format!("find the database instance with uid `{uid}`");
        self.fetch(Call::get(operation, path).query("uid", Some(uid))).await
    }

    /// Fields named in `update_mask` and absent from `instance` get their zero value.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn update_database_instance(
        &self,
        name: &str,
        instance: &impl Serialize,
        update_mask: &str,
    ) -> Result<Document<DatabaseInstance>> {
        let operation = format!("update database instance `{name}`");
        let body = body(&operation, instance)?;
        let call = Call::new(Method::PATCH, operation, path(name));
        self.fetch(Call { body, ..call.query("update_mask", Some(update_mask)) }).await
    }

    /// `force` deletes the instances cloned from it too.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn delete_database_instance(
        &self,
        name: &str,
        force: bool,
        purge: Option<bool>,
    ) -> Result<()> {
        let call = Call::delete(format!("delete database instance `{name}`"), path(name))
            .query("force", force.then_some(true))
            .query("purge", purge);
        self.send(&call).await.map(drop)
    }

    /// Polls until the instance is AVAILABLE.
    ///
    /// # Errors
    /// See [`Self::wait_for_state`].
    pub async fn wait_available(
        &self,
        name: &str,
        timeout: Duration,
        on_progress: impl FnMut(&DatabaseInstance),
    ) -> Result<Document<DatabaseInstance>> {
        self.wait_for_state(name, InstanceState::Available, timeout, on_progress).await
    }

    /// Polls until the instance is in the wanted state; `on_progress` sees each answer.
    ///
    /// # Errors
    /// If the time is over, the instance is being deleted, or it cannot be read.
    pub async fn wait_for_state(
        &self,
        name: &str,
        wanted: InstanceState,
        timeout: Duration,
        mut on_progress: impl FnMut(&DatabaseInstance),
    ) -> Result<Document<DatabaseInstance>> {
        let mut polls = Polls::new(timeout);
        loop {
            let instance = self.get_database_instance(name).await?;
            on_progress(&instance);
            let state = instance.state.unwrap_or(InstanceState::StateUnspecified);
            if state == wanted {
                return Ok(instance);
            }
            if state == InstanceState::Deleting {
                return Err(Error::Deleting { name: name.to_owned(), wanted });
            }
            if !polls.next().await {
                return Err(Error::WaitTimeout {
                    name: name.to_owned(),
                    wanted,
                    state,
                    message: instance.into_inner().status_message,
                    waited: polls.waited(),
                });
            }
        }
    }

    /// Polls until there is no instance of the name any more, so that the name is free.
    ///
    /// # Errors
    /// If the time is over, or it cannot be read.
    pub async fn wait_deleted(
        &self,
        name: &str,
        timeout: Duration,
        mut on_progress: impl FnMut(&DatabaseInstance),
    ) -> Result<()> {
        let mut polls = Polls::new(timeout);
        let mut deleted = None;
        loop {
            match self.get_database_instance(name).await {
                Ok(instance) => {
                    // The name is free already: it may be another's.
                    if *deleted.get_or_insert_with(|| instance.uid.clone()) != instance.uid {
                        return Ok(());
                    }
                    on_progress(&instance);
                }
                Err(error) if error.is_not_found() => return Ok(()),
                Err(error) => return Err(error),
            }
            if !polls.next().await {
                return Err(Error::StillThere { name: name.to_owned(), waited: polls.waited() });
            }
        }
    }
}

/// The pauses between polls, within a time.
struct Polls {
    started: Instant,
    timeout: Duration,
    pause: Duration,
}

impl Polls {
    fn new(timeout: Duration) -> Self {
        Self { started: Instant::now(), timeout, pause: FIRST_POLL }
    }

    fn waited(&self) -> Duration {
        self.started.elapsed()
    }

    /// False, if the time would be over before the next.
    async fn next(&mut self) -> bool {
        if self.waited() + self.pause > self.timeout {
            return false;
        }
        sleep(self.pause).await;
        self.pause = self.pause.mul_f32(1.5).min(SLOWEST_POLL);
        true
    }
}
