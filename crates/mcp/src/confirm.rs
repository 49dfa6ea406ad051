//! Confirmations: a call that destroys something first answers with its plan and a token, and acts only
//! when it is repeated with the token, once, with the same arguments, on an unchanged object.
//!
//! Owns: that rule, and that a person confirms what is protected. Never: what a plan is about. Plans are
//! kept in memory: a restart forgets them, and a forgotten plan is refused like any other stale one.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rmcp::model::{ElicitRequestParams, ElicitationAction, ElicitationSchema, JsonObject};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;
use uuid::Uuid;

use crate::call::{Call, Result};
use crate::failure::{Failure, code};

const LIFETIME: Duration = Duration::from_secs(600);
/// Open plans of one caller; the oldest makes room, so that nobody fills the memory.
const PLANS_OF_A_CALLER: usize = 64;
/// Arguments that do not change what is done.
const UNBOUND: [&str; 2] = ["confirm_token", "wait_seconds"];

/// What is about to happen.
pub(crate) struct Plan {
    pub(crate) tool: &'static str,
    /// The instance, by the name that a person types to confirm.
    pub(crate) instance: String,
    pub(crate) protected: bool,
    /// One line each, for people.
    pub(crate) effects: Vec<String>,
    /// What was seen of the object; a difference makes the plan stale.
    pub(crate) fingerprint: String,
}

pub(crate) enum Verdict {
    Go,
    Pending(Confirmation),
}

/// The first answer to a call that destroys something. Nothing has been done.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Confirmation {
    /// Repeat the call with the same arguments and this as `confirm_token`
    confirm_token: String,
    expires_in_seconds: u64,
    /// What will be done then; show it to the user
    plan: Vec<String>,
    /// Whether the user will have to confirm it personally, too
    needs_person: bool,
}

/// Lets a call pass, or answers with the plan.
pub(crate) async fn confirm(call: &Call, plan: Plan, token: Option<&str>) -> Result<Verdict> {
    if !plan.protected && !call.settings().confirm {
        return Ok(Verdict::Go);
    }
    let bound = Bound::new(call, &plan);
    let plans = &call.shared.plans;
    let Some(token) = token else {
        return Ok(Verdict::Pending(Confirmation {
            confirm_token: plans.keep(bound),
            expires_in_seconds: LIFETIME.as_secs(),
            plan: plan.effects,
            needs_person: plan.protected,
        }));
    };
    plans.check(token, &bound)?;
    if plan.protected {
        person_confirms(call, &plan, token).await?;
    }
    plans.take(token, &bound)?;
    Ok(Verdict::Go)
}

/// The person types the name; nothing else counts as a yes.
async fn person_confirms(call: &Call, plan: &Plan, token: &str) -> Result<()> {
    let instance = &plan.instance;
    let Some(answer) = call.ask(question(plan)?, token).await? else {
        return Err(Failure::new(
            code::DENIED,
            format!("instance `{instance}` is protected: a person has to confirm this, and this client cannot ask one"),
        )
        .hint("use a client that supports elicitation, or do it by hand: see `lakeport database --help`")
        .into());
    };
    let typed = answer.content.as_ref().and_then(|content| content.get("name")?.as_str());
    if answer.action == ElicitationAction::Accept && typed.map(str::trim) == Some(instance) {
        return Ok(());
    }
    call.shared.plans.forget(token);
    let message = format!("not confirmed: nothing was done to the protected instance `{instance}`");
    Err(Failure::new(code::CONFIRMATION, message).into())
}

fn question(plan: &Plan) -> Result<ElicitRequestParams, Failure> {
    let instance = &plan.instance;
    let message = format!(
        "{}\n\nInstance `{instance}` is protected. Type its name to confirm.",
        plan.effects.join("\n")
    );
    let requested_schema = ElicitationSchema::builder()
        .required_string_property("name", |name| {
            name.title("Name of the instance").description("Type it exactly to confirm")
        })
        .build()
        .map_err(|error| Failure::new(code::INTERNAL, format!("the form: {error}")))?;
    Ok(ElicitRequestParams::FormElicitationParams { meta: None, message, requested_schema })
}

/// What a token stands for.
#[derive(PartialEq)]
struct Bound {
    caller: String,
    tool: &'static str,
    arguments: JsonObject,
    fingerprint: String,
}

impl Bound {
    fn new(call: &Call, plan: &Plan) -> Self {
        let mut arguments = call.arguments.clone();
        arguments.retain(|name, value| !UNBOUND.contains(&name.as_str()) && *value != Value::Null);
        Self {
            caller: call.caller.name().to_owned(),
            tool: plan.tool,
            arguments,
            fingerprint: plan.fingerprint.clone(),
        }
    }
}

#[derive(Default)]
pub(crate) struct Plans(Mutex<HashMap<String, (Instant, Bound)>>);

impl Plans {
    fn open(&self) -> MutexGuard<'_, HashMap<String, (Instant, Bound)>> {
        let mut plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        plans.retain(|_, (made, _)| made.elapsed() < LIFETIME);
        plans
    }

    fn keep(&self, bound: Bound) -> String {
        let mut plans = self.open();
        let own = || plans.iter().filter(|(_, (_, other))| other.caller == bound.caller);
        if own().count() >= PLANS_OF_A_CALLER {
            let oldest = own().min_by_key(|(_, (made, _))| *made).map(|(token, _)| token.clone());
            oldest.map(|token| plans.remove(&token));
        }
        let token = Uuid::new_v4().simple().to_string();
        plans.insert(token.clone(), (Instant::now(), bound));
        token
    }

    fn check(&self, token: &str, now: &Bound) -> Result<(), Failure> {
        let mut plans = self.open();
        match plans.get(token) {
            Some((_, bound)) if bound == now => Ok(()),
            Some((_, bound)) if bound.is_same_call(now) => {
                plans.remove(token);
                Err(stale())
            }
            Some((_, bound)) if bound.caller == now.caller => {
                Err(refused("the plan was made for another call or other arguments"))
            }
            _ => Err(refused("no such plan is open: it was used, has expired, or never was")),
        }
    }

    /// At most once: of two calls with one token, the second fails.
    fn take(&self, token: &str, now: &Bound) -> Result<(), Failure> {
        self.check(token, now)?;
        match self.open().remove(token) {
            Some(_) => Ok(()),
            None => Err(refused("the plan was used by another call")),
        }
    }

    fn forget(&self, token: &str) {
        self.open().remove(token);
    }
}

impl Bound {
    fn is_same_call(&self, other: &Self) -> bool {
        (&self.caller, self.tool, &self.arguments) == (&other.caller, other.tool, &other.arguments)
    }
}

pub(crate) fn stale() -> Failure {
    refused("what the plan was made for has changed since")
}

fn refused(why: &str) -> Failure {
    Failure::new(code::CONFIRMATION, format!("confirm_token: {why}; nothing was done"))
        .hint("call again without confirm_token to get the plan as it is now")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(caller: &str, name: &str, fingerprint: &str) -> Bound {
        let arguments = [(String::from("name"), Value::from(name))].into_iter().collect();
        let (caller, fingerprint) = (caller.to_owned(), fingerprint.to_owned());
        Bound { caller, tool: "t", arguments, fingerprint }
    }

    #[test]
    fn a_token_is_good_once_and_for_its_own_plan_only() {
        let plans = Plans::default();
        let token = plans.keep(bound("me", "x", "v1"));
        for other in [bound("you", "x", "v1"), bound("me", "y", "v1")] {
            assert!(plans.take(&token, &other).is_err());
        }
        plans.take(&token, &bound("me", "x", "v1")).unwrap();
        let again = plans.take(&token, &bound("me", "x", "v1")).unwrap_err();
        assert!(again.message().contains("used"), "{}", again.message());
    }

    #[test]
    fn a_changed_object_makes_the_plan_stale_for_good() {
        let plans = Plans::default();
        let token = plans.keep(bound("me", "x", "v1"));
        let stale = plans.take(&token, &bound("me", "x", "v2")).unwrap_err();
        assert!(stale.message().contains("changed"), "{}", stale.message());
        assert!(plans.take(&token, &bound("me", "x", "v1")).is_err());
    }

    #[test]
    fn plans_of_others_are_not_crowded_out() {
        let plans = Plans::default();
        let token = plans.keep(bound("you", "x", "v1"));
        for _ in 0..2 * PLANS_OF_A_CALLER {
            plans.keep(bound("me", "x", "v1"));
        }
        assert_eq!(plans.open().len(), PLANS_OF_A_CALLER + 1);
        plans.take(&token, &bound("you", "x", "v1")).unwrap();
    }
}
