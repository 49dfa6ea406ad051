//! `lakeport env NAME`: libpq's variables, for `eval` or a program's environment.

use serde_json::{Map, Value};

use super::Endpoint;
use crate::args::ConnectionArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::text::shell_quote;

pub(crate) async fn run(context: &Context, args: &ConnectionArgs) -> Result<(), Failure> {
    let client = context.client()?;
    let endpoint = Endpoint::find(&client, args.name.get()).await?;
    let token = client.mint(&endpoint.instance).await?;
    let (ssl_mode, ca_file) = endpoint.ssl_settings();
    let mut variables = vec![
        ("PGHOST", endpoint.host),
        ("PGPORT", args.port.to_string()),
        ("PGDATABASE", args.database.clone()),
        ("PGUSER", endpoint.user),
        ("PGSSLMODE", ssl_mode.to_owned()),
        ("PGPASSWORD", token.expose().to_owned()),
    ];
    variables.extend(ca_file.map(|path| ("PGSSLROOTCERT", path)));
    let json: Map<_, _> = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())))
        .collect();
    context.output.show_text(&json, |_| exports(&variables))
}

fn exports(variables: &[(&str, String)]) -> String {
    let lines =
        variables.iter().map(|(name, value)| format!("export {name}={}", shell_quote(value)));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_exports_back() {
        let text = exports(&[("A_X", String::from("it's $HOME")), ("B_X", String::from("b"))]);
        let script = format!("{text}\nprintf '%s|%s' \"$A_X\" \"$B_X\"");
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "it's $HOME|b");
    }
}
