//! Instances: create, show, change, start, stop, delete.

use std::cell::RefCell;
use std::time::Instant;

use lakeport_api::{DatabaseInstance, InstanceState};
use lakeport_client::{Client, Document};
use serde_json::{Value, json};

use super::{paging, wire_text};
use crate::args::{
    CreateInstanceArgs, DeleteInstanceArgs, InstanceCommand, InstanceFields, PageArgs,
    StateChangeArgs, UpdateInstanceArgs, WaitArgs,
};
use crate::body::{self, Body};
use crate::context::Context;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::output;
use crate::positional::{assign, required};
use crate::status_line::StatusLine;

pub(crate) async fn run(context: &Context, command: InstanceCommand) -> Result<(), Failure> {
    match command {
        InstanceCommand::CreateDatabaseInstance(args) => create(context, *args).await,
        InstanceCommand::GetDatabaseInstance(name) => get(context, name.get()).await,
        InstanceCommand::ListDatabaseInstances(page) => list(context, &page).await,
        InstanceCommand::FindDatabaseInstanceByUid(args) => find(context, &args.uid).await,
        InstanceCommand::UpdateDatabaseInstance(args) => update(context, *args).await,
        InstanceCommand::DeleteDatabaseInstance(args) => delete(context, &args).await,
        InstanceCommand::StartDatabaseInstance(args) => start(context, &args).await,
        InstanceCommand::StopDatabaseInstance(args) => stop(context, &args).await,
    }
}

pub(crate) async fn create(context: &Context, args: CreateInstanceArgs) -> Result<(), Failure> {
    let body = create_body(&args)?;
    let name = body::required(&body, "name")?;
    let client = context.client()?;
    let instance = client.create_database_instance(&body).await?;
    let wanted = match body.get("stopped") {
        Some(Value::Bool(true)) => InstanceState::Stopped,
        _ => InstanceState::Available,
    };
    settle(context, &client, name, instance, wanted, &args.wait).await
}

pub(crate) async fn get(context: &Context, name: &str) -> Result<(), Failure> {
    show(context, &context.client()?.get_database_instance(name).await?)
}

pub(crate) async fn list(context: &Context, page: &PageArgs) -> Result<(), Failure> {
    let instances = context.client()?.list_database_instances(&paging(page)).await?;
    context.output.show(&instances, |instances| {
        output::columns(
            ["NAME", "STATE", "CAPACITY", "POSTGRES", "HOST"],
            instances.iter().map(|instance| row(instance)),
        )
    })
}

async fn find(context: &Context, uid: &str) -> Result<(), Failure> {
    show(context, &context.client()?.find_database_instance_by_uid(uid).await?)
}

async fn update(context: &Context, args: UpdateInstanceArgs) -> Result<(), Failure> {
    let wait = args.wait.clone();
    let (name, mask, body) = update_request(args)?;
    let client = context.client()?;
    let instance = client.update_database_instance(&name, &body, &mask).await?;
    let stopped = asked_to_stop(&mask, &body).or(instance.effective_stopped).unwrap_or_default();
    let wanted = if stopped { InstanceState::Stopped } else { InstanceState::Available };
    settle(context, &client, &name, instance, wanted, &wait).await
}

pub(crate) async fn delete(context: &Context, args: &DeleteInstanceArgs) -> Result<(), Failure> {
    let name = args.name.get();
    let client = context.client()?;
    client.delete_database_instance(name, args.force, args.purge).await?;
    if !args.wait.no_wait {
        let interrupt = Interrupt::watch()?;
        let progress = Progress::new(context, name, "DELETING");
        let waited = async {
            let watch = |instance: &DatabaseInstance| progress.show(instance);
            Ok(client.wait_deleted(name, args.wait.timeout, watch).await?)
        };
        interrupt.or(waited, || progress.goes_on()).await?;
    }
    context.output.note(&format!("instance `{name}` is deleted"));
    Ok(())
}

pub(crate) async fn start(context: &Context, args: &StateChangeArgs) -> Result<(), Failure> {
    set_stopped(context, args, false, InstanceState::Available).await
}

pub(crate) async fn stop(context: &Context, args: &StateChangeArgs) -> Result<(), Failure> {
    set_stopped(context, args, true, InstanceState::Stopped).await
}

/// The API has no call for starting and stopping: both are an update of one field.
async fn set_stopped(
    context: &Context,
    args: &StateChangeArgs,
    stopped: bool,
    wanted: InstanceState,
) -> Result<(), Failure> {
    let name = args.name.get();
    let client = context.client()?;
    let body = json!({ "name": name, "stopped": stopped });
    let instance = client.update_database_instance(name, &body, "stopped").await?;
    settle(context, &client, name, instance, wanted, &args.wait).await
}

/// Waits for the wanted state, unless told not to, and shows the instance.
async fn settle(
    context: &Context,
    client: &Client,
    name: &str,
    mut instance: Document<DatabaseInstance>,
    wanted: InstanceState,
    wait: &WaitArgs,
) -> Result<(), Failure> {
    if !wait.no_wait {
        let interrupt = Interrupt::watch()?;
        let state = wire_text(instance.state).unwrap_or_default();
        let progress = Progress::new(context, name, &state);
        let waited = async {
            let watch = |instance: &DatabaseInstance| progress.show(instance);
            Ok(client.wait_for_state(name, wanted, wait.timeout, watch).await?)
        };
        instance = interrupt.or(waited, || progress.goes_on()).await?;
    }
    show(context, &instance)
}

/// What is seen of an instance while it is waited for.
struct Progress<'a> {
    name: &'a str,
    started: Instant,
    line: StatusLine,
    state: RefCell<String>,
}

impl<'a> Progress<'a> {
    fn new(context: &Context, name: &'a str, state: &str) -> Self {
        let line = context.output.status_line();
        Self { name, started: Instant::now(), line, state: RefCell::new(state.to_owned()) }
    }

    fn show(&self, instance: &DatabaseInstance) {
        let state = wire_text(instance.state).unwrap_or_default();
        let waited = self.started.elapsed().as_secs_f32();
        self.line.update(&format!("instance `{}` is {state} ({waited:.1} s)", self.name));
        self.state.replace(state);
    }

    /// What Ctrl-C does not end.
    fn goes_on(&self) -> Failure {
        let (name, state) = (self.name, self.state.borrow());
        Failure::interrupted(format!(
            "interrupted: instance `{name}` is {state}, and the server goes on by itself"
        ))
        .hint(format!("lakeport instance get {name} shows how far it is"))
    }
}

fn create_body(args: &CreateInstanceArgs) -> Result<Body, Failure> {
    let flags = DatabaseInstance {
        name: args.positional.clone().or(args.name.clone()).unwrap_or_default(),
        pg_version: args.pg_version.clone(),
        ..from_flags(&args.fields)
    };
    body::merge(&flags, args.json.as_deref())
}

/// Name, mask and body of an update. Without a mask, the fields given are those to set.
fn update_request(args: UpdateInstanceArgs) -> Result<(String, String, Body), Failure> {
    let [name, mask] = assign(args.positionals, [args.name, args.update_mask])?;
    let name = required(name, "NAME")?;
    let mut body = body::merge(&from_flags(&args.fields), args.json.as_deref())?;
    let given = body.keys().filter(|key| *key != "name").cloned().collect::<Vec<_>>().join(",");
    let mask = mask.or(Some(given).filter(|given| !given.is_empty()));
    let mask = required(mask, "UPDATE_MASK")?;
    body.entry("name").or_insert_with(|| Value::from(name.as_str()));
    Ok((name, mask, body))
}

/// A field that the mask names and the body lacks has its zero value.
fn asked_to_stop(mask: &str, body: &Body) -> Option<bool> {
    let given = body.get("stopped").and_then(Value::as_bool);
    match mask.split(',').any(|field| field.trim() == "stopped") {
        true => Some(given.unwrap_or_default()),
        false => given.filter(|_| mask == "*"),
    }
}

fn from_flags(fields: &InstanceFields) -> DatabaseInstance {
    DatabaseInstance {
        capacity: fields.capacity.clone(),
        enable_pg_native_login: fields.enable_pg_native_login,
        enable_readable_secondaries: fields.enable_readable_secondaries,
        node_count: fields.node_count,
        retention_window_in_days: fields.retention_window_in_days,
        stopped: fields.stopped,
        usage_policy_id: fields.usage_policy_id.clone(),
        ..DatabaseInstance::default()
    }
}

fn show(context: &Context, instance: &Document<DatabaseInstance>) -> Result<(), Failure> {
    context.output.show(instance, |instance| view(instance))
}

fn view(instance: &DatabaseInstance) -> String {
    let [name, state, capacity, version, host] = row(instance);
    output::fields([
        ("name", Some(name)),
        ("state", Some(state)),
        ("message", instance.status_message.clone()),
        ("host", Some(host)),
        ("read-only host", instance.read_only_dns.clone()),
        ("capacity", Some(capacity)),
        ("postgres", Some(version)),
        ("uid", instance.uid.clone()),
        ("creator", instance.creator.clone()),
        ("created", instance.creation_time.clone()),
    ])
}

fn row(instance: &DatabaseInstance) -> [String; 5] {
    let capacity = instance.effective_capacity.clone().or(instance.capacity.clone());
    let version = instance.pg_version.as_deref().map(|v| v.trim_start_matches("PG_VERSION_"));
    [
        instance.name.clone(),
        wire_text(instance.state).unwrap_or_default(),
        capacity.unwrap_or_default(),
        version.unwrap_or_default().to_owned(),
        instance.read_write_dns.clone().unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;
    use crate::args::{Cli, ClientCommand, Command, DatabaseCommand};

    fn parse(arguments: &[&str]) -> Result<InstanceCommand, clap::Error> {
        let cli = Cli::try_parse_from([&["lakeport", "database"], arguments].concat())?;
        let Command::Client(ClientCommand::Database(command)) = cli.command else {
            panic!("not a database command")
        };
        match *command {
            DatabaseCommand::Instance(command) => Ok(command),
            other => panic!("{other:?}"),
        }
    }

    fn created(arguments: &[&str]) -> Value {
        match parse(arguments).unwrap() {
            InstanceCommand::CreateDatabaseInstance(args) => create_body(&args).unwrap().into(),
            other => panic!("{other:?}"),
        }
    }

    fn updated(arguments: &[&str]) -> Result<(String, String, Value), Failure> {
        match parse(arguments).unwrap() {
            InstanceCommand::UpdateDatabaseInstance(args) => {
                update_request(*args).map(|(name, mask, body)| (name, mask, body.into()))
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn create_takes_the_name_in_every_form() {
        let wanted = json!({"name": "x", "capacity": "CU_1"});
        for form in [
            &["create-database-instance", "x", "--capacity", "CU_1"][..],
            &["create-database-instance", "--name", "x", "--capacity=CU_1"],
            &["create-database-instance", "--json", r#"{"name": "x", "capacity": "CU_1"}"#],
            &["create", "x", "--json", r#"{"capacity": "CU_1"}"#],
        ] {
            assert_eq!(created(form), wanted, "{form:?}");
        }
        assert!(parse(&["create-database-instance", "x", "--name", "y"]).is_err());
        assert_eq!(created(&["create", "x", "--stopped"])["stopped"], true);
        assert_eq!(created(&["create", "x", "--stopped=false"])["stopped"], false);
    }

    #[test]
    fn one_name_is_required_and_one_is_enough() {
        for form in [&["get-database-instance", "x"][..], &["get", "--name", "x"]] {
            match parse(form).unwrap() {
                InstanceCommand::GetDatabaseInstance(name) => assert_eq!(name.get(), "x"),
                other => panic!("{other:?}"),
            }
        }
        assert!(parse(&["get-database-instance"]).is_err());
        assert!(parse(&["get-database-instance", "x", "--name", "x"]).is_err());
    }

    #[test]
    fn update_takes_name_and_mask_in_every_form() {
        let wanted = ("x".into(), "stopped".into(), json!({"name": "x", "stopped": true}));
        for form in [
            &["update-database-instance", "x", "stopped", "--stopped"][..],
            &["update-database-instance", "x", "stopped", "--json", r#"{"stopped": true}"#],
            &["update-database-instance", "--name", "x", "stopped", "--stopped=true"],
            &["update", "x", "--update-mask", "stopped", "--stopped"],
            &["update", "x", "--stopped"],
        ] {
            assert_eq!(updated(form).unwrap(), wanted, "{form:?}");
        }
        assert!(updated(&["update", "x"]).is_err());
        assert!(updated(&["update", "--stopped"]).is_err());
    }

    #[test]
    fn the_wait_is_for_what_was_asked() {
        let body = |json: Value| json.as_object().cloned().unwrap();
        let stop = body(json!({"stopped": true}));
        assert_eq!(asked_to_stop("stopped", &stop), Some(true));
        assert_eq!(asked_to_stop("capacity, stopped", &body(json!({}))), Some(false));
        assert_eq!(asked_to_stop("*", &stop), Some(true));
        assert_eq!(asked_to_stop("capacity", &stop), None);
    }

    #[test]
    fn the_wait_is_written_as_the_official_cli_does() {
        match parse(&["start", "x", "--timeout", "1m30s"]).unwrap() {
            InstanceCommand::StartDatabaseInstance(args) => {
                assert_eq!(args.wait.timeout.as_secs(), 90);
            }
            other => panic!("{other:?}"),
        }
        assert!(parse(&["start", "x", "--timeout", "soon"]).is_err());
        assert!(parse(&["start", "x", "--timeout=-5m"]).is_err());
    }
}
