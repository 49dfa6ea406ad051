//! `manage_lakebase_database`: instances, with the arguments and results of the reference tool.
//!
//! Owns: its four actions. Differs from the reference where that harms: only fields that were sent are
//! changed, an absent instance is an error, and a deletion is confirmed.

use lakeport_api::{DatabaseInstance, InstanceState};
use lakeport_client::{Client, Error, Paging};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::credential::autoscale;
use super::{Hints, Poll, Tool, WaitSeconds, must_manage, required};
use crate::Access;
use crate::call::{Call, Result};
use crate::confirm::{Confirmation, Plan, Verdict, confirm};
use crate::failure::{Failure, code};

pub(super) struct ManageDatabase;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// What to do
    action: Action,
    /// Name of the instance; needed for all but list
    name: Option<String>,
    /// Kind of Lakebase; autoscale is not served here. For list: only this kind
    #[serde(rename = "type")]
    kind: Option<Kind>,
    /// Size; CU_1 for a new instance. An existing one is resized only if this is given
    capacity: Option<Capacity>,
    /// Whether it shall be stopped; left as it is if not given
    stopped: Option<bool>,
    /// For autoscale; has no effect here
    #[serde(rename = "display_name")]
    _display_name: Option<String>,
    /// Version of PostgreSQL of a new instance, such as 16; a Lakeport server takes it
    pg_version: Option<String>,
    /// For delete: also the instances that were made from this one
    force: Option<bool>,
    /// For how long to wait until it is done; without it the call returns at once
    wait_seconds: Option<WaitSeconds>,
    /// From the answer to the same call without it
    confirm_token: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Action {
    CreateOrUpdate,
    Get,
    List,
    Delete,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Provisioned,
    Autoscale,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Capacity {
    #[serde(rename = "CU_1")]
    Cu1,
    #[serde(rename = "CU_2")]
    Cu2,
    #[serde(rename = "CU_4")]
    Cu4,
    #[serde(rename = "CU_8")]
    Cu8,
}

/// Which of them are there depends on the action.
#[derive(Default, Serialize, JsonSchema)]
pub(super) struct Output {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    /// STARTING, AVAILABLE, UPDATING, STOPPED, FAILING_OVER or DELETING
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capacity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<bool>,
    /// Host name for connections
    #[serde(skip_serializing_if = "Option::is_none")]
    read_write_dns: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    read_only_dns: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    creator: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    creation_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pg_version: Option<String>,
    /// Whether a person must confirm what would end or interrupt it
    #[serde(skip_serializing_if = "Option::is_none")]
    protected: Option<bool>,
    /// What this call did: CREATING, UPDATED, NO_CHANGES, CONFIRMATION_REQUIRED or deleted
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    poll: Option<Poll>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    confirmation: Option<Confirmation>,
    /// For list
    #[serde(skip_serializing_if = "Option::is_none")]
    databases: Option<Vec<Listed>>,
}

#[derive(Serialize, JsonSchema)]
struct Listed {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capacity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    read_write_dns: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<bool>,
    #[serde(rename = "type")]
    kind: &'static str,
}

const PROVISIONED: &str = "provisioned";

impl Tool for ManageDatabase {
    const NAME: &str = "manage_lakebase_database";
    const TITLE: &str = "Manage Lakebase databases";
    const DESCRIPTION: &str = "Lakebase instances (PostgreSQL servers). create_or_update makes an instance, \
        or changes exactly the given fields of an existing one; get and list look; delete ends an instance \
        with its data, after a confirmation. Creating returns at once: ask again with get, or pass \
        wait_seconds.";
    const NEEDS: Access = Access::Observe;
    const HINTS: Hints = Hints { read_only: false, destructive: true, idempotent: true };
    type Arguments = Arguments;
    type Output = Output;

    fn needs(action: &str) -> Access {
        match action {
            "create_or_update" | "delete" => Access::Manage,
            _ => Access::Observe,
        }
    }

    async fn run(call: &Call, arguments: Arguments) -> Result<Output> {
        if arguments.kind == Some(Kind::Autoscale) {
            return Err(autoscale("type").into());
        }
        match arguments.action {
            Action::List => list(call).await,
            Action::Get => {
                let name = required("get", "name", arguments.name)?;
                Ok(describe(call, &find(call.client(), &name).await?))
            }
            Action::CreateOrUpdate => {
                must_manage(call, "create_or_update")?;
                create_or_update(call, arguments).await
            }
            Action::Delete => {
                must_manage(call, "delete")?;
                delete(call, arguments).await
            }
        }
    }
}

async fn list(call: &Call) -> Result<Output> {
    let instances = call.client().list_database_instances(&Paging::default()).await?;
    let databases = instances.iter().map(|instance| Listed {
        name: instance.name.clone(),
        state: state(instance),
        capacity: capacity(instance),
        read_write_dns: instance.read_write_dns.clone(),
        stopped: stopped(instance),
        kind: PROVISIONED,
    });
    Ok(Output { databases: Some(databases.collect()), ..Output::default() })
}

async fn create_or_update(call: &Call, arguments: Arguments) -> Result<Output> {
    let name = required("create_or_update", "name", arguments.name.clone())?;
    match call.client().get_database_instance(&name).await {
        // Its name is free already.
        Ok(instance) if instance.state == Some(InstanceState::Deleting) => {
            create(call, &name, &arguments).await
        }
        Ok(instance) => update(call, &instance, &arguments).await,
        Err(error) if error.is_not_found() => create(call, &name, &arguments).await,
        Err(error) => Err(error.into()),
    }
}

async fn create(call: &Call, name: &str, arguments: &Arguments) -> Result<Output> {
    let mut body = json!({ "name": name, "capacity": arguments.capacity.unwrap_or(Capacity::Cu1) });
    let optional = [
        ("stopped", arguments.stopped.map(Value::from)),
        ("pg_version", arguments.pg_version.clone().map(Value::from)),
    ];
    for (field, value) in optional {
        if let Some(value) = value {
            body[field] = value;
        }
    }
    let made = call.client().create_database_instance(&body).await?.into_inner();
    let wanted = wanted_state(arguments.stopped == Some(true));
    let seen = settle(call, name, wanted, arguments.wait_seconds).await?.unwrap_or(made);
    Ok(Output {
        status: Some("CREATING"),
        created: Some(true),
        message: Some(match seen.state == Some(wanted) {
            true => format!("Instance `{name}` is ready."),
            false => format!(
                "Instance `{name}` is being created; it is ready when its state is AVAILABLE."
            ),
        }),
        poll: poll(&seen, wanted),
        ..describe(call, &seen)
    })
}

/// Changes the fields that were sent, and only if they say something new.
async fn update(call: &Call, now: &DatabaseInstance, arguments: &Arguments) -> Result<Output> {
    let changes = changes(now, arguments);
    if changes.is_empty() {
        return Ok(Output {
            status: Some("NO_CHANGES"),
            created: Some(false),
            ..describe(call, now)
        });
    }
    let interrupts = changes.get("stopped") != Some(&Value::Bool(false));
    if interrupts && call.settings().protects(now) {
        let plan = Plan {
            tool: ManageDatabase::NAME,
            instance: now.name.clone(),
            protected: true,
            effects: vec![format!(
                "Change instance `{}`, which ends its sessions: {}",
                now.name,
                Value::Object(changes.clone())
            )],
            fingerprint: fingerprint(now),
        };
        if let Verdict::Pending(asked) =
            confirm(call, plan, arguments.confirm_token.as_deref()).await?
        {
            return Ok(pending(call, now, asked));
        }
    }
    let mask = changes.keys().map(String::as_str).collect::<Vec<_>>().join(",");
    let changed =
        call.client().update_database_instance(&now.name, &changes, &mask).await?.into_inner();
    let stopping = arguments.stopped.or(stopped(&changed)).unwrap_or_default();
    let wanted = wanted_state(stopping);
    let seen = settle(call, &now.name, wanted, arguments.wait_seconds).await?.unwrap_or(changed);
    Ok(Output {
        status: Some("UPDATED"),
        created: Some(false),
        poll: poll(&seen, wanted),
        ..describe(call, &seen)
    })
}

fn changes(now: &DatabaseInstance, arguments: &Arguments) -> Map<String, Value> {
    let capacity_wish = arguments.capacity.map(|wish| json!(wish));
    let capacity_wish = capacity_wish.filter(|wish| wish.as_str() != capacity(now).as_deref());
    let stop_wish = arguments.stopped.filter(|wish| Some(*wish) != stopped(now)).map(Value::from);
    [("capacity", capacity_wish), ("stopped", stop_wish)]
        .into_iter()
        .filter_map(|(field, wish)| Some((field.to_owned(), wish?)))
        .collect()
}

async fn delete(call: &Call, arguments: Arguments) -> Result<Output> {
    let name = required("delete", "name", arguments.name)?;
    let client = call.client();
    let instance = find(client, &name).await?;
    let force = arguments.force.unwrap_or_default();
    let plan = deletion(call, &instance, force).await?;
    if let Verdict::Pending(asked) = confirm(call, plan, arguments.confirm_token.as_deref()).await?
    {
        return Ok(pending(call, &instance, asked));
    }
    client.delete_database_instance(&name, force, Some(true)).await?;
    let gone = wait_until_gone(call, &name, arguments.wait_seconds).await?;
    Ok(Output {
        name: Some(name.clone()),
        kind: Some(PROVISIONED),
        status: Some("deleted"),
        message: (!gone).then(|| format!("Instance `{name}` is being deleted.")),
        ..Output::default()
    })
}

/// Everything that goes with an instance. What cannot be listed is named as unknown rather than left out.
async fn deletion(call: &Call, instance: &DatabaseInstance, force: bool) -> Result<Plan> {
    let name = &instance.name;
    let client = call.client();
    let children =
        names(instance.child_instance_refs.iter().flatten().map(|child| child.name.as_ref()));
    let catalogs = client.list_database_catalogs(name, &Paging::default()).await;
    let catalogs = listed(catalogs.as_ref().map(|list| list.iter().map(|one| one.name.clone())));
    let tables = client.list_synced_database_tables(name, &Paging::default()).await;
    let tables = listed(tables.as_ref().map(|list| list.iter().map(|one| one.name.clone())));
    let mut effects = vec![format!(
        "Delete instance `{name}` (state {}) with all its databases, for good",
        state(instance).unwrap_or_default()
    )];
    if force && !children.is_empty() {
        effects.push(format!("Delete the instances made from it: {children}"));
    }
    if !catalogs.is_empty() {
        effects.push(format!("Catalogs that show its databases: {catalogs}"));
    }
    if !tables.is_empty() {
        effects.push(format!("Synced tables in it: {tables}; their Delta tables stay"));
    }
    Ok(Plan {
        tool: ManageDatabase::NAME,
        instance: name.clone(),
        protected: call.settings().protects(instance),
        fingerprint: format!("{} {children} {catalogs} {tables}", fingerprint(instance)),
        effects,
    })
}

fn names<'a>(names: impl Iterator<Item = Option<&'a String>>) -> String {
    names.flatten().map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn listed(names: Result<impl Iterator<Item = String>, &Error>) -> String {
    match names {
        Ok(names) => names.collect::<Vec<_>>().join(", "),
        Err(_) => String::from("unknown, because they cannot be listed"),
    }
}

/// A stop, a resize or a new instance of the same name is another one.
fn fingerprint(instance: &DatabaseInstance) -> String {
    let DatabaseInstance { uid, .. } = instance;
    format!("{uid:?} {:?} {:?} {:?}", instance.state, capacity(instance), stopped(instance))
}

fn pending(call: &Call, instance: &DatabaseInstance, asked: Confirmation) -> Output {
    Output {
        status: Some("CONFIRMATION_REQUIRED"),
        confirmation: Some(asked),
        ..describe(call, instance)
    }
}

/// The reference answers for an absent instance with these fields; here it is an error besides.
pub(crate) async fn find(client: &Client, name: &str) -> Result<DatabaseInstance> {
    match client.get_database_instance(name).await {
        Ok(instance) => Ok(instance.into_inner()),
        Err(error) if error.is_not_found() => {
            Err(Failure::new(code::NOT_FOUND, format!("Database '{name}' not found."))
                .hint("list shows the instances that there are")
                .field("name", name)
                .field("state", "NOT_FOUND")
                .field("status", "NOT_FOUND")
                .into())
        }
        Err(error) => Err(error.into()),
    }
}

fn wanted_state(stopped: bool) -> InstanceState {
    if stopped { InstanceState::Stopped } else { InstanceState::Available }
}

/// What the instance is like after the wait, if one was asked for.
async fn settle(
    call: &Call,
    name: &str,
    wanted: InstanceState,
    wait: Option<WaitSeconds>,
) -> Result<Option<DatabaseInstance>> {
    let Some(wait) = wait else { return Ok(None) };
    let seen = call
        .watch(
            wait.duration(),
            || find(call.client(), name),
            |seen| seen.state == Some(wanted),
            |seen| format!("{name} is {}", state(seen).unwrap_or_default()),
        )
        .await?;
    Ok(Some(seen))
}

async fn wait_until_gone(call: &Call, name: &str, wait: Option<WaitSeconds>) -> Result<bool> {
    let look = || async {
        match call.client().get_database_instance(name).await {
            Ok(_) => Ok(false),
            Err(error) if error.is_not_found() => Ok(true),
            Err(error) => Err(error.into()),
        }
    };
    let patience = wait.unwrap_or_default().duration();
    call.watch(patience, look, |gone| *gone, |_| format!("{name} is being deleted")).await
}

fn poll(seen: &DatabaseInstance, wanted: InstanceState) -> Option<Poll> {
    let arguments = [("action", "get"), ("name", seen.name.as_str())];
    (seen.state != Some(wanted)).then(|| Poll::new(ManageDatabase::NAME, &arguments, 2))
}

fn describe(call: &Call, instance: &DatabaseInstance) -> Output {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    Output {
        name: Some(instance.name.clone()),
        kind: Some(PROVISIONED),
        state: state(instance),
        capacity: capacity(instance),
        stopped: stopped(instance),
        read_write_dns: given(&instance.read_write_dns),
        read_only_dns: given(&instance.read_only_dns),
        creator: given(&instance.creator),
        creation_time: given(&instance.creation_time),
        uid: given(&instance.uid),
        pg_version: given(&instance.pg_version),
        protected: Some(call.settings().protects(instance)),
        message: given(&instance.status_message),
        ..Output::default()
    }
}

fn state(instance: &DatabaseInstance) -> Option<String> {
    let state = serde_json::to_value(instance.state?).ok()?;
    state.as_str().map(str::to_owned)
}

/// What counts, and what the client set where the server does not tell what counts.
fn capacity(instance: &DatabaseInstance) -> Option<String> {
    instance.effective_capacity.clone().or_else(|| instance.capacity.clone())
}

fn stopped(instance: &DatabaseInstance) -> Option<bool> {
    instance.effective_stopped.or(instance.stopped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(value: Value) -> Arguments {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn only_what_was_sent_and_differs_is_changed() {
        let now = DatabaseInstance {
            effective_capacity: Some(String::from("CU_2")),
            effective_stopped: Some(true),
            ..DatabaseInstance::default()
        };
        let changes = |sent: Value| Value::Object(changes(&now, &arguments(sent)));
        assert_eq!(changes(json!({"action": "create_or_update"})), json!({}));
        let same = json!({"action": "create_or_update", "capacity": "CU_2", "stopped": true});
        assert_eq!(changes(same), json!({}));
        let other = json!({"action": "create_or_update", "capacity": "CU_4", "stopped": false});
        assert_eq!(changes(other), json!({"capacity": "CU_4", "stopped": false}));
    }

    #[test]
    fn states_and_sizes_are_plain_words() {
        let instance = DatabaseInstance {
            state: Some(InstanceState::FailingOver),
            capacity: Some(String::from("CU_8")),
            ..DatabaseInstance::default()
        };
        assert_eq!(state(&instance).as_deref(), Some("FAILING_OVER"));
        assert_eq!(capacity(&instance).as_deref(), Some("CU_8"));
    }
}
