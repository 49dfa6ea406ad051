//! The reconciler of a database instance.

use jiff::{SignedDuration, Timestamp};
use lakeport_api::InstanceState;
use lakeport_engine::{ClusterId, Observed, Process, Settings};
use lakeport_store::{Instance, InstanceStatus};
use uuid::Uuid;

use super::backoff;
use crate::instances::{spec_of, wire_name};
use crate::{Control, Error, Result};

/// A client that waits for an instance looks every ten seconds, and a little by chance. One that was
/// created stopped is available for longer than that, and then stops.
const SEEN_AVAILABLE: SignedDuration = SignedDuration::from_secs(15);

/// What should be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Desired {
    deleted: bool,
    stopped: bool,
    settings: Settings,
}

/// One thing to do. The order of a plan matters; each step is safe to run twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Tells waiting clients what is going on.
    Enter(InstanceState),
    Announce,
    Provision,
    Configure,
    Start,
    Own,
    Stop,
    Withdraw,
    Destroy,
}

/// What a pass has to do: nothing, steps, or wait until more can be seen.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    Steps(Vec<Step>),
    Wait(String),
}

/// What was seen of the world around an instance.
#[derive(Debug)]
struct Seen {
    cluster: Observed,
    announced: bool,
    /// Every step for the present spec was done before.
    settled: bool,
}

/// Decides; touches nothing.
fn plan(desired: &Desired, seen: &Seen) -> Plan {
    let (process, configured) = match &seen.cluster {
        Observed::Unknown { reason } => return Plan::Wait(reason.clone()),
        Observed::Absent => (Process::Down, false),
        Observed::Present { process, fingerprint } => {
            let wanted = desired.settings.to_conf();
            (*process, fingerprint.as_deref() == Some(wanted.as_str()))
        }
    };
    if desired.deleted {
        return Plan::Steps(vec![Step::Withdraw, Step::Destroy]);
    }
    let mut steps = Vec::new();
    if !seen.announced {
        steps.push(Step::Announce);
    }
    if seen.cluster == Observed::Absent {
        steps.push(Step::Provision);
    }
    if desired.stopped {
        if process != Process::Down {
            steps.extend([Step::Enter(InstanceState::Updating), Step::Stop]);
        }
        if !configured {
            steps.push(Step::Configure);
        }
        return Plan::Steps(steps);
    }
    match process {
        Process::Ready if configured && seen.settled => {}
        Process::Ready if configured => steps.push(Step::Own),
        Process::Ready => steps.extend([
            Step::Enter(InstanceState::Updating),
            Step::Stop,
            Step::Configure,
            Step::Start,
            Step::Own,
        ]),
        // Starting by itself, or what an earlier start has left: `Start` waits for it.
        Process::Busy => {
            steps.extend([Step::Enter(InstanceState::Starting), Step::Start, Step::Own]);
        }
        Process::Down => {
            steps.push(Step::Enter(InstanceState::Starting));
            if !configured {
                steps.push(Step::Configure);
            }
            steps.extend([Step::Start, Step::Own]);
        }
    }
    Plan::Steps(steps)
}

fn desired(control: &Control, instance: &Instance) -> Result<Desired> {
    let spec = spec_of(instance)?;
    let major = u32::try_from(instance.pg_version).unwrap_or_default();
    Ok(Desired {
        deleted: instance.deleted_at.is_some(),
        stopped: spec.stopped() && !is_to_be_seen(instance, Timestamp::now()),
        settings: Settings::for_instance(control.unit, spec.units(), major),
    })
}

/// Whether clients that wait for an instance that was created stopped may not have seen it yet: none takes
/// STOPPED for an end of its waiting.
fn is_to_be_seen(instance: &Instance, now: Timestamp) -> bool {
    let seen = |since: Timestamp| since.duration_until(now) >= SEEN_AVAILABLE;
    instance.created_stopped && !instance.available_at.is_some_and(seen)
}

async fn observe(control: &Control, instance: &Instance) -> Seen {
    Seen {
        cluster: control.engine.observe(&ClusterId::from(instance.uid)).await,
        announced: control.naming.announced(instance),
        settled: is_settled(instance),
    }
}

/// An interrupted or failed pass leaves a mark on the row: an old generation, a passing state, a message.
fn is_settled(instance: &Instance) -> bool {
    let resting = [InstanceState::Available, InstanceState::Stopped].map(wire_name);
    instance.observed_generation == instance.generation
        && resting.contains(&instance.state)
        && instance.message.is_none()
}

impl Control {
    /// At start-up: what a stopped machine has left as AVAILABLE is not, until it runs again.
    pub async fn settle_states(&self) -> Result<()> {
        for instance in self.store.instances_of_node(self.node).await? {
            let seen = observe(self, &instance).await.cluster;
            let ready = matches!(seen, Observed::Present { process: Process::Ready, .. });
            if !ready && instance.state == wire_name(InstanceState::Available) {
                let observed = instance.observed_generation;
                set_state(self, &instance, InstanceState::Starting, observed).await?;
            }
        }
        Ok(())
    }
}

/// A look that costs no lease: whether a pass would do anything.
pub(super) async fn needs_work(control: &Control, uid: Uuid) -> Result<bool> {
    let Some(instance) = control.store.instance(uid).await? else { return Ok(false) };
    let seen = observe(control, &instance).await;
    let nothing = Plan::Steps(Vec::new());
    Ok(!seen.settled || plan(&desired(control, &instance)?, &seen) != nothing)
}

pub(super) async fn reconcile(control: &Control, uid: Uuid) {
    let instance = match control.store.instance(uid).await {
        Ok(Some(instance)) => instance,
        Ok(None) => return,
        Err(error) => {
            tracing::warn!(instance.uid = %uid, %error, "reading an instance failed");
            return;
        }
    };
    if let Err(error) = pass(control, &instance).await {
        let message = error.message().to_owned();
        tracing::warn!(
            instance.name, instance.uid = %uid, error = message,
            source = ?std::error::Error::source(&error), "a pass over an instance failed"
        );
        let delay = backoff::delay(instance.attempts);
        if let Err(error) = control.store.postpone_instance(uid, &message, delay).await {
            tracing::warn!(instance.uid = %uid, %error, "recording a failed pass failed");
        }
        control.ready.changed();
    }
}

async fn pass(control: &Control, instance: &Instance) -> Result<()> {
    let desired = desired(control, instance)?;
    let seen = observe(control, instance).await;
    let steps = match plan(&desired, &seen) {
        Plan::Steps(steps) => steps,
        Plan::Wait(reason) => {
            return Err(Error::unavailable(format!(
                "the state of the server is not known: {reason}"
            )));
        }
    };
    if !steps.is_empty() {
        control.ready.set(instance.uid, false);
    }
    for step in &steps {
        tracing::debug!(instance.name, ?step, "step");
        apply(control, instance, &desired, *step).await?;
    }
    if desired.deleted {
        control.store.forget_instance(instance.uid).await?;
        control.ready.changed();
        tracing::info!(instance.name, instance.uid = %instance.uid, "deleted");
        return Ok(());
    }
    let state = if desired.stopped { InstanceState::Stopped } else { InstanceState::Available };
    set_state(control, instance, state, instance.generation).await?;
    control.ready.set(instance.uid, !desired.stopped);
    if !steps.is_empty() {
        tracing::info!(instance.name, instance.uid = %instance.uid, state = ?state, "reconciled");
    }
    Ok(())
}

async fn apply(
    control: &Control,
    instance: &Instance,
    desired: &Desired,
    step: Step,
) -> Result<()> {
    let id = ClusterId::from(instance.uid);
    let engine = &control.engine;
    match step {
        Step::Enter(state) if instance.state != wire_name(state) => {
            set_state(control, instance, state, instance.observed_generation).await?;
        }
        Step::Enter(_) => {}
        Step::Announce => {
            control.naming.announce(instance).await.map_err(Error::unavailable)?;
        }
        Step::Provision => {
            let major = u32::try_from(instance.pg_version).unwrap_or_default();
            engine.provision(&id, major).await.map_err(engine_error)?;
        }
        Step::Configure => {
            engine.configure(&id, &desired.settings).await.map_err(engine_error)?;
        }
        Step::Start => engine.start(&id).await.map_err(engine_error)?,
        Step::Own => {
            control.publish_identities_to(instance).await?;
            control.ensure_owner(instance).await?;
            control.hide_guards(instance).await?;
        }
        Step::Stop => {
            control.naming.close_sessions(instance);
            engine.stop(&id).await.map_err(engine_error)?;
        }
        Step::Withdraw => control.naming.withdraw(instance).await,
        Step::Destroy => engine.destroy(&id).await.map_err(engine_error)?,
    }
    Ok(())
}

/// An engine's errors are about this machine, and the owner of the instance needs them to help.
fn engine_error(error: lakeport_engine::Error) -> Error {
    Error::unavailable(error.to_string())
}

async fn set_state(
    control: &Control,
    instance: &Instance,
    state: InstanceState,
    observed_generation: i64,
) -> Result<()> {
    let status = InstanceStatus { state: wire_name(state), message: None, observed_generation };
    control.store.set_instance_status(instance.uid, instance.generation, &status).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use lakeport_engine::CapacityUnit;

    use super::*;
    use crate::instances::tests::sample;

    fn desired(stopped: bool, units: u32) -> Desired {
        let settings = Settings::for_instance(CapacityUnit::default(), units, 16);
        Desired { deleted: false, stopped, settings }
    }

    fn seen(process: Process, units: Option<u32>) -> Seen {
        let fingerprint =
            units.map(|units| Settings::for_instance(CapacityUnit::default(), units, 16).to_conf());
        let cluster = Observed::Present { process, fingerprint };
        Seen { cluster, announced: true, settled: true }
    }

    fn steps(desired: &Desired, seen: &Seen) -> Vec<Step> {
        match plan(desired, seen) {
            Plan::Steps(steps) => steps,
            Plan::Wait(reason) => panic!("waits: {reason}"),
        }
    }

    #[test]
    fn a_new_instance_is_made_from_nothing() {
        let seen = Seen { cluster: Observed::Absent, announced: false, settled: false };
        assert_eq!(
            steps(&desired(false, 1), &seen),
            [
                Step::Announce,
                Step::Provision,
                Step::Enter(InstanceState::Starting),
                Step::Configure,
                Step::Start,
                Step::Own,
            ]
        );
        assert_eq!(
            steps(&desired(true, 1), &seen),
            [Step::Announce, Step::Provision, Step::Configure]
        );
    }

    #[test]
    fn what_is_as_wanted_is_left_alone() {
        assert_eq!(steps(&desired(false, 1), &seen(Process::Ready, Some(1))), []);
        assert_eq!(steps(&desired(true, 1), &seen(Process::Down, Some(1))), []);
    }

    #[test]
    fn a_server_that_died_is_started_as_it_was() {
        assert_eq!(
            steps(&desired(false, 1), &seen(Process::Down, Some(1))),
            [Step::Enter(InstanceState::Starting), Step::Start, Step::Own]
        );
    }

    #[test]
    fn one_that_was_created_stopped_is_seen_by_every_waiting_client() {
        let now = Timestamp::now();
        let ago = |seconds| Some(now - SignedDuration::from_secs(seconds));
        let instance = |created_stopped, available_at| Instance {
            created_stopped,
            available_at,
            ..sample(InstanceState::Available)
        };
        for (since, to_be_seen) in [(None, true), (ago(0), true), (ago(11), true), (ago(15), false)]
        {
            assert_eq!(is_to_be_seen(&instance(true, since), now), to_be_seen, "{since:?}");
            assert!(!is_to_be_seen(&instance(false, since), now));
        }
    }

    #[test]
    fn a_resize_restarts() {
        assert_eq!(
            steps(&desired(false, 2), &seen(Process::Ready, Some(1))),
            [
                Step::Enter(InstanceState::Updating),
                Step::Stop,
                Step::Configure,
                Step::Start,
                Step::Own,
            ]
        );
        assert_eq!(
            steps(&desired(true, 2), &seen(Process::Ready, Some(1))),
            [Step::Enter(InstanceState::Updating), Step::Stop, Step::Configure]
        );
    }

    #[test]
    fn an_interrupted_pass_is_finished() {
        let mut half = seen(Process::Ready, Some(1));
        half.settled = false;
        assert_eq!(steps(&desired(false, 1), &half), [Step::Own]);
        assert_eq!(
            steps(&desired(false, 1), &seen(Process::Down, None)),
            [Step::Enter(InstanceState::Starting), Step::Configure, Step::Start, Step::Own]
        );
    }

    #[test]
    fn nothing_is_done_on_the_unknown() {
        let cluster = Observed::Unknown { reason: String::from("disk") };
        let seen = Seen { cluster, announced: true, settled: true };
        let mut gone = desired(false, 1);
        gone.deleted = true;
        for desired in [desired(false, 1), desired(true, 1), gone] {
            assert_eq!(plan(&desired, &seen), Plan::Wait(String::from("disk")));
        }
    }

    #[test]
    fn deletion_removes_whatever_is_there() {
        let mut gone = desired(false, 1);
        gone.deleted = true;
        for process in [Process::Ready, Process::Busy, Process::Down] {
            let seen = seen(process, None);
            assert_eq!(steps(&gone, &seen), [Step::Withdraw, Step::Destroy]);
        }
    }
}
