//! `lakeport connection-string NAME`.

use lakeport_client::Token;
use serde_json::json;

use super::Endpoint;
use crate::args::ConnectionStringArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::text::percent_encode;

pub(crate) async fn run(context: &Context, args: &ConnectionStringArgs) -> Result<(), Failure> {
    let client = context.client()?;
    let endpoint = Endpoint::find(&client, args.connection.name.get()).await?;
    let token = match args.no_token {
        true => None,
        false => Some(client.mint(&endpoint.instance).await?),
    };
    let port = args.connection.port;
    let url = connection_string(&endpoint, token.as_ref(), port, &args.connection.database);
    context.output.show_text(&json!({ "connection_string": url }), |_| url.clone())
}

fn connection_string(
    endpoint: &Endpoint,
    token: Option<&Token>,
    port: u16,
    database: &str,
) -> String {
    let user = percent_encode(&endpoint.user);
    let password =
        token.map(|token| format!(":{}", percent_encode(token.expose()))).unwrap_or_default();
    let host = match &endpoint.host {
        address if address.contains(':') => format!("[{address}]"),
        name => name.clone(),
    };
    let database = percent_encode(database);
    let (ssl_mode, ca_file) = endpoint.ssl_settings();
    let ca_file =
        ca_file.map(|path| format!("&sslrootcert={}", percent_encode(&path))).unwrap_or_default();
    format!("postgresql://{user}{password}@{host}:{port}/{database}?sslmode={ssl_mode}{ca_file}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_encoded() {
        let mut endpoint = Endpoint {
            instance: String::from("x"),
            host: String::from("::1"),
            user: String::from("me@x"),
            ca_file: Some("/a b/ca.pem".into()),
        };
        let token = Token::new("t/k");
        assert_eq!(
            connection_string(&endpoint, Some(&token), 5432, "my db"),
            "postgresql://me%40x:t%2Fk@[::1]:5432/my%20db?sslmode=verify-full&sslrootcert=%2Fa%20b%2Fca.pem"
        );
        endpoint.ca_file = None;
        assert!(connection_string(&endpoint, None, 1, "d").starts_with("postgresql://me%40x@"));
    }
}
