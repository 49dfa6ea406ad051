//! The tools, one file each, and what they have in common.
//!
//! Owns: the list, and the way from JSON to a tool and back. Never: what a tool does.

mod connect;
mod credential;
mod database;
mod execute;
mod explain;
mod health;
mod query;
mod structure;
mod sync;
mod sync_status;
mod synced_table;

use std::future::Future;
use std::pin::Pin;
use std::sync::LazyLock;

use rmcp::model::{JsonObject, ToolAnnotations};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::call::{Call, Result};
use crate::failure::{Failure, code};
use crate::{Access, schema};

pub(crate) use connect::Doors;
pub(crate) use database::find as find_instance;

/// In the order in which a client shows them.
pub(crate) static TOOLS: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    vec![
        Entry::of::<database::ManageDatabase>(),
        Entry::of::<sync::ManageSync>(),
        Entry::of::<credential::GenerateCredential>(),
        Entry::of::<structure::Schema>(),
        Entry::of::<query::Query>(),
        Entry::of::<explain::Explain>(),
        Entry::of::<execute::Execute>(),
        Entry::of::<connect::Connect>(),
        Entry::of::<health::Health>(),
        Entry::of::<sync_status::List>(),
        Entry::of::<sync_status::Status>(),
        Entry::of::<sync_status::Trigger>(),
    ]
});

/// What one file of this module provides.
trait Tool {
    const NAME: &str;
    const TITLE: &str;
    const DESCRIPTION: &str;
    /// The level from which on it is there.
    const NEEDS: Access;
    const HINTS: Hints;
    /// What a call of this action needs, at least.
    fn needs(_action: &str) -> Access {
        Self::NEEDS
    }

    /// Whether it is of use on the machine of the tools only.
    const LOCAL: bool = false;
    type Arguments: DeserializeOwned + JsonSchema + Send;
    type Output: Serialize + JsonSchema;

    fn run(
        call: &Call,
        arguments: Self::Arguments,
    ) -> impl Future<Output = Result<Self::Output>> + Send;
}

/// What a client may believe of a tool at its worst.
struct Hints {
    read_only: bool,
    destructive: bool,
    idempotent: bool,
}

impl Hints {
    const READS: Self = Self { read_only: true, destructive: false, idempotent: true };
}

type Running<'a> = Pin<Box<dyn Future<Output = Result<Value>> + Send + 'a>>;

/// A tool without its types.
pub(crate) struct Entry {
    description: rmcp::model::Tool,
    needs: Access,
    needs_for: fn(&str) -> Access,
    is_local: bool,
    run: for<'a> fn(&'a Call, JsonObject) -> Running<'a>,
}

impl Entry {
    fn of<T: Tool>() -> Self {
        let hints = T::HINTS;
        let annotations = ToolAnnotations::with_title(T::TITLE)
            .read_only(hints.read_only)
            .destructive(hints.destructive)
            .idempotent(hints.idempotent)
            .open_world(false);
        let description =
            rmcp::model::Tool::new(T::NAME, T::DESCRIPTION, schema::of::<T::Arguments>())
                .with_title(T::TITLE)
                .with_raw_output_schema(schema::of::<T::Output>())
                .with_annotations(annotations);
        Self {
            description,
            needs: T::NEEDS,
            needs_for: T::needs,
            is_local: T::LOCAL,
            run: run::<T>,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.description.name
    }

    pub(crate) fn needs(&self) -> Access {
        self.needs
    }

    pub(crate) fn is_local(&self) -> bool {
        self.is_local
    }

    pub(crate) fn describe(&self) -> rmcp::model::Tool {
        self.description.clone()
    }

    pub(crate) async fn call(&self, call: &Call) -> Result<Value> {
        (self.run)(call, call.arguments.clone()).await
    }
}

fn run<T: Tool>(call: &Call, arguments: JsonObject) -> Running<'_> {
    Box::pin(async move {
        let output = T::run(call, parse(arguments)?).await?;
        serde_json::to_value(output)
            .map_err(|error| Failure::new(code::INTERNAL, format!("the result: {error}")).into())
    })
}

/// What a call of this tool needs, at least: its own level, or that of its action.
#[must_use]
pub fn needed_access(tool: &str, arguments: &Value) -> Option<Access> {
    let entry = TOOLS.iter().find(|entry| entry.name() == tool)?;
    let action = arguments.get("action").and_then(Value::as_str).unwrap_or_default();
    Some((entry.needs_for)(&action.to_ascii_lowercase()))
}

/// Values that the reference tools take in any case.
const CASELESS: [&str; 2] = ["action", "type"];

/// A field that is `null` is one that was left out, as some clients send all of them.
fn parse<T: DeserializeOwned>(mut arguments: JsonObject) -> Result<T, Failure> {
    arguments.retain(|_, value| !value.is_null());
    for name in CASELESS {
        if let Some(Value::String(text)) = arguments.get_mut(name) {
            text.make_ascii_lowercase();
        }
    }
    serde_path_to_error::deserialize(Value::Object(arguments)).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.inner();
        Failure::invalid(match path.as_str() {
            "." => inner.to_string(),
            _ => format!("{path}: {inner}"),
        })
    })
}

/// The value of an argument that this action cannot do without, in the reference's words.
fn required<T>(action: &str, name: &str, value: Option<T>) -> Result<T, Failure> {
    value.ok_or_else(|| Failure::invalid(format!("{action} requires: {name}")))
}

/// The one value that a statement of ours gives, which is JSON of a known form.
fn only_value<T: DeserializeOwned>(rows: Vec<Vec<Value>>) -> Result<T, Failure> {
    let value = rows.into_iter().flatten().next().unwrap_or_default();
    serde_json::from_value(value)
        .map_err(|error| Failure::new(code::INTERNAL, format!("PostgreSQL's answer: {error}")))
}

/// The database that every instance has, and that the reference means where it names none.
fn database_or_default(name: Option<String>) -> String {
    name.unwrap_or_else(|| String::from("databricks_postgres"))
}

/// Refuses what changes something where the operator allows only to look.
fn must_manage(call: &Call, action: &str) -> Result<(), Failure> {
    if call.caller.access() >= Access::Manage {
        return Ok(());
    }
    Err(Failure::new(code::DENIED, format!("{action} is not allowed: these tools only observe"))
        .hint("whoever runs the server can allow it with the access level `manage`"))
}

/// How to see what became of work that goes on by itself.
#[derive(Debug, Serialize, JsonSchema)]
struct Poll {
    tool: &'static str,
    arguments: JsonObject,
    after_seconds: u64,
}

impl Poll {
    fn new(tool: &'static str, arguments: &[(&str, &str)], after_seconds: u64) -> Self {
        let arguments =
            arguments.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect();
        Self { tool, arguments, after_seconds }
    }
}

/// For how long a call waits for work to be done: shorter than clients wait for an answer.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(try_from = "u64")]
struct WaitSeconds(u64);

impl WaitSeconds {
    const MOST: u64 = 110;

    fn duration(self) -> std::time::Duration {
        std::time::Duration::from_secs(self.0)
    }
}

impl TryFrom<u64> for WaitSeconds {
    type Error = String;

    fn try_from(seconds: u64) -> Result<Self, String> {
        if seconds <= Self::MOST {
            return Ok(Self(seconds));
        }
        Err(format!("{seconds} is more than {}; ask again instead of waiting longer", Self::MOST))
    }
}

impl JsonSchema for WaitSeconds {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "WaitSeconds".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "integer", "minimum": 0, "maximum": Self::MOST })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Arguments {
        action: String,
        wait_seconds: Option<WaitSeconds>,
    }

    fn arguments(value: Value) -> Result<Arguments, Failure> {
        let Value::Object(object) = value else { panic!("{value}") };
        parse(object)
    }

    #[test]
    fn null_is_absent_and_actions_have_no_case() {
        let parsed = arguments(json!({"action": "GET", "wait_seconds": null})).unwrap();
        assert_eq!(parsed.action, "get");
        assert!(parsed.wait_seconds.is_none());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (value, part) in [
            (json!({}), "action"),
            (json!({"action": "get", "nmae": "x"}), "nmae"),
            (json!({"action": "get", "wait_seconds": 111}), "wait_seconds"),
            (json!({"action": "get", "wait_seconds": -1}), "wait_seconds"),
        ] {
            let failure = arguments(value).unwrap_err();
            assert!(failure.message().contains(part), "{}", failure.message());
        }
    }

    #[test]
    fn a_call_needs_what_its_action_needs() {
        let needs = |tool, action: &str| needed_access(tool, &json!({ "action": action }));
        let database = "manage_lakebase_database";
        assert_eq!(needs(database, "List"), Some(Access::Observe));
        assert_eq!(needs(database, "DELETE"), Some(Access::Manage));
        assert_eq!(needs(database, "create_or_update"), Some(Access::Manage));
        assert_eq!(needed_access("lakebase_execute", &Value::Null), Some(Access::Write));
        assert_eq!(needed_access("lakebase_query", &json!([])), Some(Access::Observe));
        assert_eq!(needed_access("absent", &Value::Null), None);
    }

    #[test]
    fn every_tool_describes_itself_without_references() {
        for entry in TOOLS.iter() {
            let tool = entry.describe();
            let text = serde_json::to_string(&tool).unwrap();
            assert!(!text.contains("$ref") && !text.contains("\"null\""), "{text}");
            let schema = tool.input_schema;
            assert_eq!(schema["additionalProperties"], false, "{}", entry.name());
            for (name, property) in schema["properties"].as_object().unwrap() {
                assert!(property["description"].is_string(), "{}.{name}", entry.name());
            }
            assert!(tool.output_schema.is_some() && tool.annotations.is_some());
        }
    }
}
