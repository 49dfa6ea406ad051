//! PostgreSQL roles of an instance.

use lakeport_api::DatabaseInstanceRole;
use lakeport_client::Document;
use serde_json::json;

use super::{paging, wire_text};
use crate::args::{CreateRoleArgs, DeleteRoleArgs, ListRolesArgs, RoleArgs, RoleCommand};
use crate::body;
use crate::context::Context;
use crate::failure::Failure;
use crate::output;
use crate::positional::{assign, required};

pub(crate) async fn run(context: &Context, command: RoleCommand) -> Result<(), Failure> {
    match command {
        RoleCommand::CreateDatabaseInstanceRole(args) => create(context, args).await,
        RoleCommand::GetDatabaseInstanceRole(args) => {
            let (instance, role) = names(args)?;
            show(context, &context.client()?.get_database_instance_role(&instance, &role).await?)
        }
        RoleCommand::ListDatabaseInstanceRoles(args) => list(context, &args).await,
        RoleCommand::DeleteDatabaseInstanceRole(args) => delete(context, args).await,
    }
}

async fn create(context: &Context, args: CreateRoleArgs) -> Result<(), Failure> {
    let RoleArgs { positionals, instance_name, name } = args.role;
    let [instance, name] = assign(positionals, [instance_name, name])?;
    let instance = required(instance, "INSTANCE_NAME")?;
    let flags = json!({
        "name": name,
        "identity_type": args.identity_type,
        "membership_role": args.membership_role,
    });
    let body = body::merge(&flags, args.json.as_deref())?;
    body::required(&body, "name")?;
    show(context, &context.client()?.create_database_instance_role(&instance, &body).await?)
}

async fn delete(context: &Context, args: DeleteRoleArgs) -> Result<(), Failure> {
    let (instance, role) = names(args.role)?;
    let heir = args.reassign_owned_to.as_deref();
    context
        .client()?
        .delete_database_instance_role(&instance, &role, args.allow_missing, heir)
        .await?;
    context.output.note(&format!("role `{role}` of `{instance}` is deleted"));
    Ok(())
}

async fn list(context: &Context, args: &ListRolesArgs) -> Result<(), Failure> {
    let client = context.client()?;
    let instance = args.positional.as_deref().or(args.flag.as_deref()).unwrap_or_default();
    let roles = client.list_database_instance_roles(instance, &paging(&args.page)).await?;
    context.output.show(&roles, |roles| {
        output::columns(
            ["NAME", "IDENTITY", "MEMBER OF", "ATTRIBUTES"],
            roles.iter().map(|role| row(role)),
        )
    })
}

fn names(args: RoleArgs) -> Result<(String, String), Failure> {
    let [instance, role] = assign(args.positionals, [args.instance_name, args.name])?;
    Ok((required(instance, "INSTANCE_NAME")?, required(role, "NAME")?))
}

fn show(context: &Context, role: &Document<DatabaseInstanceRole>) -> Result<(), Failure> {
    context.output.show(role, |role| {
        let [name, identity, member, attributes] = row(role);
        output::fields([
            ("name", Some(name)),
            ("identity", Some(identity)),
            ("member of", Some(member).filter(|member| !member.is_empty())),
            ("attributes", Some(attributes).filter(|attributes| !attributes.is_empty())),
        ])
    })
}

fn row(role: &DatabaseInstanceRole) -> [String; 4] {
    let attributes = role.effective_attributes.or(role.attributes).unwrap_or_default();
    let named = [
        ("bypassrls", attributes.bypassrls),
        ("createdb", attributes.createdb),
        ("createrole", attributes.createrole),
    ];
    let has = named.into_iter().filter(|(_, has)| *has == Some(true)).map(|(name, _)| name);
    [
        role.name.clone(),
        wire_text(role.identity_type).unwrap_or_default(),
        wire_text(role.membership_role).unwrap_or_default(),
        has.collect::<Vec<_>>().join(" "),
    ]
}
