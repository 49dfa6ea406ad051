//! `lakeport apps run`: keeps the app's process as its deployment says, tells the server how it is, and
//! does what the server says.
//!
//! Until the app was up once, what goes wrong ends the run: somebody is looking. Afterwards a crash is
//! followed by a restart, and a deployment that fails by the one before.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lakeport_api::app::{AppDeployment, AppRun, AppRunOrders, AppRunReport, DeploymentReport};
use lakeport_client::{Client, Error};

use super::deploy::folder;
use super::environment::{Surroundings, compose, fill_port};
use super::manifest::Manifest;
use crate::args::RunAppArgs;
use crate::child::{Process, Seen, free_port, until_signal};
use crate::context::Context;
use crate::failure::Failure;

const TICK: Duration = Duration::from_millis(200);
const REPORT_EVERY: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A process that has lived for so long begins again with the shortest pause.
const SOUND: Duration = Duration::from_secs(60);

pub(super) async fn run(context: &Context, args: RunAppArgs) -> Result<(), Failure> {
    let source = args.source.as_deref().map(folder).transpose()?;
    if let Some(source) = &source {
        // What is wrong with it is found before anything else is done.
        Manifest::read(Path::new(source))?;
    }
    let port = free_port(args.port).await?;
    let client = context.client()?;
    let run = client.begin_app_run(&args.name).await.map_err(begin_failure)?;
    let mut runner = Runner::new(context, &client, &args, &run, port);
    let ended = match deploy(&client, &args.name, source).await {
        Ok(()) => until_signal(runner.drive()).await,
        Err(failure) => Err(failure),
    };
    runner.stop().await;
    if let Err(error) = client.end_app_run(&args.name, &run.run_id).await {
        context.output.note(&format!("the server does not know that the run has ended: {error}"));
    }
    ended
}

/// A workspace has no such call: there, the platform itself runs apps.
fn begin_failure(error: Error) -> Failure {
    let unknown =
        matches!(&error, Error::Api { error_code, .. } if error_code == "ENDPOINT_NOT_FOUND");
    let failure = Failure::from(error);
    if unknown { failure.hint("apps run needs a Lakeport server") } else { failure }
}

async fn deploy(client: &Client, app: &str, source: Option<String>) -> Result<(), Failure> {
    let Some(source) = source else { return Ok(()) };
    let body = AppDeployment { source_code_path: Some(source), ..AppDeployment::default() };
    client.deploy_app(app, &body).await?;
    Ok(())
}

/// A deployment's process.
struct Current {
    deployment: AppDeployment,
    process: Process,
    up: bool,
}

struct Runner<'a> {
    context: &'a Context,
    client: &'a Client,
    args: &'a RunAppArgs,
    run: &'a AppRun,
    port: u16,
    orders: AppRunOrders,
    reported: Option<Instant>,
    has_news: bool,
    server_is_silent: bool,
    current: Option<Current>,
    state: &'static str,
    message: String,
    /// The end of a deployment that the server does not know yet.
    outcome: Option<DeploymentReport>,
    /// Whether the app was up in this run.
    was_up: bool,
    pause: Duration,
    next_start: Instant,
}

impl<'a> Runner<'a> {
    fn new(
        context: &'a Context,
        client: &'a Client,
        args: &'a RunAppArgs,
        run: &'a AppRun,
        port: u16,
    ) -> Self {
        Self {
            context,
            client,
            args,
            run,
            port,
            orders: AppRunOrders::default(),
            reported: None,
            has_news: true,
            server_is_silent: false,
            current: None,
            state: "STARTING",
            message: String::from("the app is being started"),
            outcome: None,
            was_up: false,
            pause: FIRST_PAUSE,
            next_start: Instant::now(),
        }
    }

    async fn drive(&mut self) -> Result<(), Failure> {
        loop {
            if let Err(failure) = self.step().await {
                if self.outcome.is_some() {
                    // Whoever waits for the deployment learns why; the failure itself is what counts.
                    let _ = self.report().await;
                }
                return Err(failure);
            }
            tokio::time::sleep(TICK).await;
        }
    }

    async fn step(&mut self) -> Result<(), Failure> {
        self.watch().await?;
        if self.report_is_due() {
            self.report().await?;
        }
        self.follow_orders().await
    }

    // --- The server ------------------------------------------------------------------------------

    fn report_is_due(&self) -> bool {
        self.has_news || self.reported.is_none_or(|at| at.elapsed() > REPORT_EVERY)
    }

    /// A server that does not answer is no reason to end an app that works.
    async fn report(&mut self) -> Result<(), Failure> {
        let up = self.current.as_ref().is_some_and(|current| current.up);
        let report = AppRunReport {
            state: self.state.to_owned(),
            message: self.message.clone(),
            url: up.then(|| self.url()),
            deployment: self.outcome.clone(),
        };
        match self.client.report_app_run(&self.args.name, &self.run.run_id, &report).await {
            Ok(orders) => {
                self.orders = orders;
                self.outcome = None;
                self.server_is_silent = false;
            }
            Err(error) if is_final(&error) || self.reported.is_none() => return Err(error.into()),
            Err(error) => {
                if !self.server_is_silent {
                    self.context.output.note(&format!("the app runs on; {error}"));
                }
                self.server_is_silent = true;
            }
        }
        self.has_news = false;
        self.reported = Some(Instant::now());
        Ok(())
    }

    fn url(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    async fn follow_orders(&mut self) -> Result<(), Failure> {
        if self.orders.stopped {
            if self.state != "STOPPED" {
                self.stop().await;
                self.say("STOPPED", String::from("the app is stopped"));
            }
            return Ok(());
        }
        let Some(deployment) = self.orders.deployment.clone() else {
            return Err(Failure::usage(format!("app `{}` has no deployment", self.args.name))
                .hint("give its folder: --source DIR"));
        };
        let same = |current: &Current| current.deployment.deployment_id == deployment.deployment_id;
        match &self.current {
            Some(current) if same(current) => Ok(()),
            // Its outcome is not reported yet: what the server wants after it is not known.
            _ if self.outcome.is_some() => Ok(()),
            Some(_) => {
                self.stop().await;
                self.next_start = Instant::now();
                self.start(deployment).await
            }
            None if Instant::now() < self.next_start => Ok(()),
            None => self.start(deployment).await,
        }
    }

    // --- The process -----------------------------------------------------------------------------

    async fn start(&mut self, deployment: AppDeployment) -> Result<(), Failure> {
        let path = deployment.source_code_path.clone().unwrap_or_default();
        self.say("STARTING", format!("the app is being started from {path}"));
        match self.launch(&deployment, PathBuf::from(path)) {
            Ok(process) => {
                self.current = Some(Current { deployment, process, up: false });
                Ok(())
            }
            Err(failure) => self.failed(&deployment, failure),
        }
    }

    fn launch(&self, deployment: &AppDeployment, path: PathBuf) -> Result<Process, Failure> {
        let source = PathBuf::from(folder(&path)?);
        let manifest = Manifest::read(&source)?;
        let mut variables = manifest.variables;
        variables.extend(deployment.env_vars.clone().unwrap_or_default());
        let profile = self.client.profile();
        let around = Surroundings {
            host: profile.host.as_str().trim_end_matches('/'),
            port: self.port,
            ca_file: profile.ca_file.as_deref(),
        };
        let environment = compose(&self.orders, self.run, &around, &variables)?;
        let command = deployment.command.clone().filter(|command| !command.is_empty());
        let command: Vec<_> = command
            .unwrap_or(manifest.command)
            .iter()
            .map(|word| fill_port(word, self.port))
            .collect();
        self.context.output.note(&format!("starting: {}", command.join(" ")));
        Process::start(&command, &source, &environment, self.port)
    }

    /// Looks at the process, and draws the conclusions.
    async fn watch(&mut self) -> Result<(), Failure> {
        let Some(current) = &mut self.current else { return Ok(()) };
        let age = current.process.started.elapsed();
        match current.process.look().await {
            Seen::Ended(how) if current.up => {
                self.pause = if age > SOUND { FIRST_PAUSE } else { self.pause };
                self.stop().await;
                self.restart_later(&format!("the app has crashed: {how}"));
                Ok(())
            }
            Seen::Ended(how) => {
                let problem =
                    format!("the app ended before it listened on port {}: {how}", self.port);
                self.not_up(problem).await
            }
            Seen::Silent if !current.up && age > self.args.start_timeout => {
                let problem = format!(
                    "the app did not listen on port {} within {} s",
                    self.port,
                    self.args.start_timeout.as_secs()
                );
                self.not_up(problem).await
            }
            Seen::Listens if !current.up => {
                current.up = true;
                let deployment = current.deployment.clone();
                self.is_up(&deployment);
                Ok(())
            }
            Seen::Listens | Seen::Silent => Ok(()),
        }
    }

    fn is_up(&mut self, deployment: &AppDeployment) {
        self.was_up = true;
        self.conclude(deployment, true, "the app is up");
        self.say("RUNNING", String::from("the app is up"));
        self.context.output.note(&format!("app `{}` is up: {}", self.args.name, self.url()));
    }

    async fn not_up(&mut self, problem: String) -> Result<(), Failure> {
        let Some(current) = self.current.take() else { return Ok(()) };
        let deployment = current.deployment.clone();
        current.process.stop().await;
        let failure = Failure::new(problem)
            .hint("it must listen on the port that DATABRICKS_APP_PORT names; its output is above");
        self.failed(&deployment, failure)
    }

    /// The first time it is the user's to see; later there is what ran before.
    fn failed(&mut self, deployment: &AppDeployment, failure: Failure) -> Result<(), Failure> {
        let problem = failure.message().to_owned();
        let pending = self.conclude(deployment, false, &problem);
        if !self.was_up {
            self.say("CRASHED", problem);
            return Err(failure);
        }
        if pending {
            self.next_start = Instant::now();
            self.say("CRASHED", problem.clone());
            self.context.output.note(&format!("{problem}; going back to the deployment before"));
        } else {
            self.restart_later(&problem);
        }
        Ok(())
    }

    /// Notes what the server is to be told of a deployment that it waits for. False if it does not wait.
    fn conclude(&mut self, deployment: &AppDeployment, succeeded: bool, message: &str) -> bool {
        let waits = deployment.status.as_ref().is_some_and(|status| status.state == "IN_PROGRESS");
        if waits {
            self.outcome = Some(DeploymentReport {
                deployment_id: deployment.deployment_id.clone().unwrap_or_default(),
                succeeded,
                message: message.to_owned(),
            });
        }
        waits
    }

    fn restart_later(&mut self, problem: &str) {
        self.next_start = Instant::now() + self.pause;
        let seconds = self.pause.as_secs();
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.context.output.note(&format!("{problem}; it is started again in {seconds} s"));
        self.say("CRASHED", problem.to_owned());
    }

    async fn stop(&mut self) {
        if let Some(current) = self.current.take() {
            current.process.stop().await;
        }
    }

    fn say(&mut self, state: &'static str, message: String) {
        self.state = state;
        self.message = message;
        self.has_news = true;
    }
}

/// The run was taken over, the app is gone, or the caller may no longer.
fn is_final(error: &Error) -> bool {
    matches!(error, Error::Api { status: 403 | 404 | 409, .. })
}
