//! Logs, to stderr: the client commands' when asked, the server's always.
//!
//! Owns: filters. Never: other libraries' client logs, which may show headers.

use tracing_subscriber::EnvFilter;

pub(crate) fn init(verbose: u8) {
    let level = match verbose {
        0 => return,
        1 => "info",
        _ => "debug",
    };
    let filter = EnvFilter::new(format!(
        "off,audit={level},lakeport_client={level},lakeport_mcp={level},lakeport_sync={level}"
    ));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

/// The server's log, to stderr: ours at `info`, that of libraries where something is wrong.
#[cfg(feature = "server")]
pub(crate) fn server(filter: Option<&str>) -> Result<(), crate::failure::Failure> {
    const DEFAULT: &str =
        "warn,deadpool=error,lakeport_server=info,lakeport_control=info,lakeport_gateway=info";
    let text = filter.unwrap_or(DEFAULT);
    let filter = EnvFilter::try_new(text).map_err(|error| {
        crate::failure::Failure::usage(format!("log_filter \"{text}\": {error}"))
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_writer(std::io::stderr)
        .init();
    Ok(())
}
