//! `lakeport models serve`: an identity with the databases that the model declares, a token file, and the
//! model server.
//!
//! The identity is that of an app, named after the model: its rights, its secret and its removal are an
//! app's.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lakeport_api::app::{App, AppDatabase, AppFields, AppResource, AppRun, AppRunReport};
use lakeport_client::{Client, Token};

use super::credentials::Credentials;
use super::mlmodel::{Lakebase, instances};
use crate::args::ServeModelArgs;
use crate::child::{Process, Seen, free_port, inherited, until_signal};
use crate::context::Context;
use crate::failure::Failure;

const DATABASE: &str = "databricks_postgres";
const PERMISSION: &str = "CAN_CONNECT_AND_CREATE";
const TICK: Duration = Duration::from_millis(200);
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// What an app's name has room for, after its prefix.
const MAX_NAME_CHARACTERS: usize = 24;

pub(super) async fn serve(context: &Context, args: &ServeModelArgs) -> Result<(), Failure> {
    let model = args.model.canonicalize().map_err(|error| {
        Failure::usage(format!("the folder {} cannot be used: {error}", args.model.display()))
    })?;
    let instances = instances(&model)?;
    let name = endpoint_name(args, &model)?;
    let port = free_port(args.port).await?;
    let client = context.client()?;
    ensure_identity(&client, &name, &instances).await?;
    let mut credentials = Credentials::new(args.credentials_dir.as_deref())?;
    if instances.iter().any(|instance| instance.on_behalf_of_user == Some(true)) {
        credentials.write_invoker(&client.access_token().await?.token)?;
    }
    let run = client.begin_app_run(&name).await?;
    let mut server = ModelServer {
        context,
        client: &client,
        args,
        name: &name,
        secret: Token::new(run.client_secret.clone()),
        run: &run,
        port,
        process: None,
        up: false,
        reported: None,
    };
    let ended = until_signal(server.drive(&mut credentials, &model)).await;
    if let Some(process) = server.process.take() {
        process.stop().await;
    }
    if let Err(error) = client.end_app_run(&name, &run.run_id).await {
        context.output.note(&format!("the server does not know that the run has ended: {error}"));
    }
    ended
}

fn endpoint_name(args: &ServeModelArgs, model: &Path) -> Result<String, Failure> {
    let folder = model.file_name().map(|name| name.to_string_lossy().into_owned());
    let text = args.name.clone().or(folder).unwrap_or_default().to_lowercase();
    let slug: String = text
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(MAX_NAME_CHARACTERS)
        .collect();
    match slug.trim_matches('-') {
        "" => Err(Failure::usage("the model has no name").hint("give one with --name")),
        slug => Ok(format!("model-{slug}")),
    }
}

/// Makes the identity, or gives the one that is there what this version of the model declares.
async fn ensure_identity(
    client: &Client,
    name: &str,
    instances: &[Lakebase],
) -> Result<(), Failure> {
    let resources: Vec<_> = instances.iter().enumerate().map(resource).collect();
    match client.get_app(name).await {
        Ok(app) if app.resources.as_ref() == Some(&resources) => {}
        Ok(_) => {
            let body = AppFields { resources: Some(resources), ..AppFields::default() };
            client.update_app(name, &body).await?;
        }
        Err(error) if error.is_not_found() => {
            let body = App {
                name: name.to_owned(),
                description: Some(String::from("the identity of a served model")),
                resources: Some(resources),
                ..App::default()
            };
            client.create_app(&body, false).await?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn resource((at, instance): (usize, &Lakebase)) -> AppResource {
    AppResource {
        name: format!("lakebase-{}", at + 1),
        database: Some(AppDatabase {
            instance_name: instance.name.clone(),
            database_name: DATABASE.to_owned(),
            permission: PERMISSION.to_owned(),
        }),
        ..AppResource::default()
    }
}

struct ModelServer<'a> {
    context: &'a Context,
    client: &'a Client,
    args: &'a ServeModelArgs,
    name: &'a str,
    secret: Token,
    run: &'a AppRun,
    port: u16,
    process: Option<Process>,
    up: bool,
    reported: Option<Instant>,
}

impl ModelServer<'_> {
    async fn drive(&mut self, credentials: &mut Credentials, model: &Path) -> Result<(), Failure> {
        credentials.renew_if_due(self.client, &self.run.client_id, &self.secret).await?;
        let command = self.command(model);
        self.context.output.note(&format!("starting: {}", command.join(" ")));
        let environment = self.environment(credentials)?;
        let started = Process::start(&command, model, &environment, self.port);
        self.process = Some(started.map_err(|failure| match self.args.command.as_slice() {
            [] => failure.hint("pip install mlflow, or say after `--` what serves the model"),
            _ => failure,
        })?);
        loop {
            self.watch().await?;
            self.report().await?;
            let renewed =
                credentials.renew_if_due(self.client, &self.run.client_id, &self.secret).await;
            if let Err(failure) = renewed {
                // The token at hand is good for as long again; the next tick tries anew.
                self.context.output.note(&format!("no new token: {}", failure.message()));
            }
            tokio::time::sleep(TICK).await;
        }
    }

    fn command(&self, model: &Path) -> Vec<String> {
        let usual =
            ["mlflow", "models", "serve", "--model-uri", "$MODEL", "--env-manager", "local"];
        let usual = usual.into_iter().chain(["--host", "127.0.0.1", "--port", "$PORT"]);
        let words: Vec<String> = match self.args.command.as_slice() {
            [] => usual.map(str::to_owned).collect(),
            words => words.to_vec(),
        };
        let (port, model) = (self.port.to_string(), model.display().to_string());
        words.iter().map(|word| word.replace("$PORT", &port).replace("$MODEL", &model)).collect()
    }

    /// As in Model Serving: where the server is, and that there is a file with a token.
    fn environment(
        &self,
        credentials: &Credentials,
    ) -> Result<BTreeMap<OsString, OsString>, Failure> {
        let profile = self.client.profile();
        let host = profile.host.as_str().trim_end_matches('/');
        let mut environment = inherited();
        let mut set = |name: &str, value: OsString| environment.insert(name.into(), value);
        set("IS_IN_DB_MODEL_SERVING_ENV", "true".into());
        set("IS_IN_DATABRICKS_MODEL_SERVING_ENV", "true".into());
        set("DATABRICKS_MODEL_SERVING_HOST_URL", host.into());
        set("DB_MODEL_SERVING_HOST_URL", host.into());
        set("SERVING_CREDENTIALS_DIR", credentials.folder().into());
        if let Some(path) = &profile.ca_file {
            set("PGSSLROOTCERT", path.into());
        }
        let mut python = vec![credentials.python_path()];
        if let Some(path) = std::env::var_os("PYTHONPATH") {
            python.extend(std::env::split_paths(&path).collect::<Vec<PathBuf>>());
        }
        let joined = std::env::join_paths(python)
            .map_err(Failure::while_doing("put together PYTHONPATH"))?;
        set("PYTHONPATH", joined);
        Ok(environment)
    }

    async fn watch(&mut self) -> Result<(), Failure> {
        let Some(process) = &mut self.process else { return Ok(()) };
        let age = process.started.elapsed();
        match process.look().await {
            Seen::Ended(how) if self.up => {
                Err(Failure::new(format!("the model server has ended: {how}")))
            }
            Seen::Ended(how) => Err(Failure::new(format!(
                "the model server ended before it listened on port {}: {how}",
                self.port
            ))
            .hint("its output is above")),
            Seen::Silent if !self.up && age > self.args.start_timeout => {
                Err(Failure::new(format!(
                    "the model server did not listen on port {} within {} s",
                    self.port,
                    self.args.start_timeout.as_secs()
                )))
            }
            Seen::Listens if !self.up => {
                self.up = true;
                self.reported = None;
                self.context.output.note(&format!("model `{}` is up: {}", self.name, self.url()));
                Ok(())
            }
            Seen::Listens | Seen::Silent => Ok(()),
        }
    }

    fn url(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// A server that does not answer for a while is no reason to end; one that says no, is.
    async fn report(&mut self) -> Result<(), Failure> {
        if self.reported.is_some_and(|at| at.elapsed() < REPORT_EVERY) {
            return Ok(());
        }
        self.reported = Some(Instant::now());
        let (state, message) = match self.up {
            true => ("RUNNING", "the model is served"),
            false => ("STARTING", "the model server is being started"),
        };
        let report = AppRunReport {
            state: state.to_owned(),
            message: message.to_owned(),
            url: self.up.then(|| self.url()),
            deployment: None,
        };
        match self.client.report_app_run(self.name, &self.run.run_id, &report).await {
            Err(error) if matches!(error.status(), Some(403 | 404 | 409)) => Err(error.into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, ClientCommand, Command, ModelsCommand};

    fn named(arguments: &[&str]) -> Result<String, Failure> {
        let cli = Cli::parse_from([&["lakeport", "models", "serve"], arguments].concat());
        let Command::Client(ClientCommand::Models(ModelsCommand::Serve(args))) = cli.command else {
            panic!("not models serve")
        };
        endpoint_name(&args, &args.model)
    }

    #[test]
    fn an_endpoint_has_a_name_that_an_app_can_have() {
        assert_eq!(named(&["/x/My_Model.v2"]).unwrap(), "model-my-model-v2");
        assert_eq!(named(&["/x/m", "--name", "chat"]).unwrap(), "model-chat");
        assert_eq!(named(&[&"a".repeat(60)]).unwrap().len(), 30);
        assert!(named(&["/x/___"]).is_err());
    }
}
