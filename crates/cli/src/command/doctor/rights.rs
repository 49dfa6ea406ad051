//! What a role may do in a database, and the grants that it lacks.
//!
//! Owns: the questions to the catalog. Never: a change.

use lakeport_client::Endpoint;
use lakeport_pg::QuotedIdent;
use tokio_postgres::{Client, Row};

use super::report::Report;
use super::{Stop, login};
use crate::args::DoctorArgs;

const STEP: &str = "rights";

/// One row: absent privileges are NULL where the role or the schema is not there.
const PRIVILEGES: &str = "
    SELECT r.rolname IS NOT NULL AS role_exists,
           coalesce(r.rolcanlogin, false) AS can_login,
           n.nspname IS NOT NULL AS schema_exists,
           has_database_privilege(r.oid, d.oid, 'CONNECT') AS can_connect,
           has_database_privilege(r.oid, d.oid, 'CREATE') AS can_create_schemas,
           has_schema_privilege(r.oid, n.oid, 'USAGE') AS can_use_schema,
           has_schema_privilege(r.oid, n.oid, 'CREATE') AS can_create
      FROM pg_catalog.pg_database d
      LEFT JOIN pg_catalog.pg_roles r ON r.rolname = $1
      LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = $2
     WHERE d.datname = pg_catalog.current_database()";

const TABLES: &str = "
    SELECT count(*) AS tables,
           count(*) FILTER (WHERE NOT has_table_privilege(r.oid, c.oid, 'SELECT')) AS unreadable
      FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = $2
      JOIN pg_catalog.pg_roles r ON r.rolname = $1
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')";

pub(super) async fn examine(
    session: &Client,
    endpoint: &Endpoint,
    role: &str,
    args: &DoctorArgs,
    report: &mut Report,
) -> Result<(), Stop> {
    let names = Names::quote(role, &args.database, &args.schema, report)?;
    let row = ask(session, PRIVILEGES, role, &args.schema, report).await?;
    let has = |column: &str| row.get::<_, Option<bool>>(column).unwrap_or(false);
    if !has("role_exists") {
        return Err(report.stop(
            STEP,
            format!("there is no PostgreSQL role {role}"),
            login::create_role(endpoint.instance(), role),
        ));
    }
    if !has("can_login") {
        let mend = format!("ALTER ROLE {} LOGIN;", names.role);
        report.ill(STEP, format!("role {role} may not log in"), vec![mend]);
    }
    if !has("can_connect") {
        let mend = format!("GRANT CONNECT ON DATABASE {} TO {};", names.database, names.role);
        report.ill(STEP, format!("{role} may not connect to {}", args.database), vec![mend]);
    }
    schema(role, args, &names, &has, report);
    if has("can_use_schema") {
        tables(session, role, args, &names, report).await?;
    }
    if report.is_well() {
        let (database, schema) = (&args.database, &args.schema);
        report.well(STEP, format!("{role} may connect to {database}, create and read in {schema}"));
        // Not wrong: few applications make schemas of their own.
        if !has("can_create_schemas") {
            report.well(STEP, format!("{role} may not create schemas in {database}; if it shall:"));
            report.note(format!("GRANT CREATE ON DATABASE {} TO {};", names.database, names.role));
        }
    } else {
        let (instance, database) = (endpoint.instance(), &args.database);
        report.note(format!(
            "the owner, or an administrator, runs that in: lakeport psql {instance} -d {database}"
        ));
    }
    Ok(())
}

fn schema(
    role: &str,
    args: &DoctorArgs,
    names: &Names,
    has: &dyn Fn(&str) -> bool,
    report: &mut Report,
) {
    let schema = &args.schema;
    if !has("schema_exists") {
        let mend = match has("can_create_schemas") {
            true => format!("CREATE SCHEMA {};", names.schema),
            false => format!("CREATE SCHEMA {} AUTHORIZATION {};", names.schema, names.role),
        };
        report.ill(STEP, format!("there is no schema {schema}"), vec![mend]);
        return;
    }
    let missing: Vec<_> = [("can_use_schema", "USAGE"), ("can_create", "CREATE")]
        .into_iter()
        .filter(|(column, _)| !has(column))
        .map(|(_, privilege)| privilege)
        .collect();
    if missing.is_empty() {
        return;
    }
    let missing = missing.join(", ");
    let mut mend = vec![format!("GRANT {missing} ON SCHEMA {} TO {};", names.schema, names.role)];
    if has("can_create_schemas") && !has("can_create") {
        mend.push(String::from(
            "-- or create a schema of your own, which you may: CREATE SCHEMA …",
        ));
    }
    report.ill(STEP, format!("{role} lacks {missing} on schema {schema}"), mend);
}

async fn tables(
    session: &Client,
    role: &str,
    args: &DoctorArgs,
    names: &Names,
    report: &mut Report,
) -> Result<(), Stop> {
    let row = ask(session, TABLES, role, &args.schema, report).await?;
    let (tables, unreadable): (i64, i64) = (row.get("tables"), row.get("unreadable"));
    if unreadable > 0 {
        let Names { schema, role: quoted, .. } = names;
        report.ill(
            STEP,
            format!("{role} may not read {unreadable} of {tables} tables in {}", args.schema),
            vec![
                format!("GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {quoted};"),
                format!("ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {quoted};"),
            ],
        );
    }
    Ok(())
}

async fn ask(
    session: &Client,
    sql: &str,
    role: &str,
    schema: &str,
    report: &mut Report,
) -> Result<Row, Stop> {
    session.query_one(sql, &[&role, &schema]).await.map_err(|error| {
        report.ill(STEP, login::message(&error), Vec::new());
        Stop
    })
}

struct Names {
    role: QuotedIdent,
    database: QuotedIdent,
    schema: QuotedIdent,
}

impl Names {
    fn quote(role: &str, database: &str, schema: &str, report: &mut Report) -> Result<Self, Stop> {
        let mut quote = |name: &str| {
            QuotedIdent::new(name)
                .map_err(|error| report.stop(STEP, error.to_string(), "shorten it"))
        };
        Ok(Self { role: quote(role)?, database: quote(database)?, schema: quote(schema)? })
    }
}
