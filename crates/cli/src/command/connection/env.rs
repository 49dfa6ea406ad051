//! `lakeport env NAME`: variables, for `eval`, an .env file or a program's environment.

use lakeport_client::{Endpoint, Token};
use serde_json::{Map, Value};

use super::{endpoint, url};
use crate::args::{EnvArgs, EnvStyle};
use crate::context::Context;
use crate::failure::Failure;
use crate::text::shell_quote;

type Variables = Vec<(&'static str, String)>;

pub(crate) async fn run(context: &Context, args: &EnvArgs) -> Result<(), Failure> {
    let endpoint = endpoint(context, &args.connection).await?;
    let token = match args.no_token {
        true => None,
        false => Some(endpoint.passwords().get().await?),
    };
    let database = &args.connection.database;
    let variables = match args.style {
        EnvStyle::Libpq => libpq(&endpoint, token.as_ref(), database),
        EnvStyle::Lakebase => lakebase(&endpoint, token.as_ref(), database),
    };
    let json: Map<_, _> = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())))
        .collect();
    let prefix = if args.dotenv { "" } else { "export " };
    context.output.show_text(&json, |_| lines(prefix, &variables))
}

/// The six that Databricks Apps inject; beside them what these leave to the program.
fn libpq(endpoint: &Endpoint, token: Option<&Token>, database: &str) -> Variables {
    let (ssl_mode, ca_file) = endpoint.ssl_settings();
    let mut variables = vec![
        ("PGAPPNAME", endpoint.instance().to_owned()),
        ("PGHOST", endpoint.target().host.clone()),
        ("PGPORT", endpoint.target().port.to_string()),
        ("PGDATABASE", database.to_owned()),
        ("PGUSER", endpoint.user().to_owned()),
        ("PGSSLMODE", ssl_mode.to_owned()),
    ];
    variables.extend(ca_file.map(|path| ("PGSSLROOTCERT", path)));
    variables.extend(token.map(|token| ("PGPASSWORD", token.expose().to_owned())));
    variables
}

fn lakebase(endpoint: &Endpoint, token: Option<&Token>, database: &str) -> Variables {
    let mut variables = vec![
        ("LAKEBASE_INSTANCE_NAME", endpoint.instance().to_owned()),
        ("LAKEBASE_DATABASE_NAME", database.to_owned()),
        ("LAKEBASE_HOST", endpoint.target().host.clone()),
        ("LAKEBASE_USERNAME", endpoint.user().to_owned()),
    ];
    let with_token = |token: &Token| url(endpoint, Some(token.expose()), database);
    variables.extend(token.map(|token| ("LAKEBASE_PG_URL", with_token(token))));
    variables
}

fn lines(prefix: &str, variables: &[(&str, String)]) -> String {
    let lines =
        variables.iter().map(|(name, value)| format!("{prefix}{name}={}", shell_quote(value)));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_exports_back() {
        let text =
            lines("export ", &[("A_X", String::from("it's $HOME")), ("B_X", String::from("b"))]);
        let script = format!("{text}\nprintf '%s|%s' \"$A_X\" \"$B_X\"");
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "it's $HOME|b");
    }
}
