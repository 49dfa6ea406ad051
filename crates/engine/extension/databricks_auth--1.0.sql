\echo Use "CREATE EXTENSION databricks_auth" to load this file. \quit

-- Runs with the rights of the installation's superuser, so it trusts nothing of its caller: names are
-- resolved in pg_catalog, text becomes SQL by %I and %L only, and the list of identities is a file whose
-- place is fixed here. It gives no membership and no attribute but LOGIN.
create function databricks_create_role(identity_name pg_catalog.text, identity_type pg_catalog.text)
    returns pg_catalog.text
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
    as $function$
declare
    kind constant text := upper(identity_type);
    identities jsonb;
begin
    if not exists (
        select from pg_catalog.pg_roles r
        where r.rolname = session_user
          and (r.rolcreaterole or pg_has_role(r.oid, 'databricks_superuser', 'USAGE'))
    ) then
        raise exception using
            errcode = 'insufficient_privilege',
            message = 'permission denied to create role',
            hint = 'Only roles with CREATEROLE and members of databricks_superuser may create roles.';
    end if;
    if identity_name is null or identity_name = '' then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = 'the identity has no name';
    end if;
    if kind is null or kind not in ('USER', 'SERVICE_PRINCIPAL', 'GROUP') then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format('identity type "%s" is unknown', identity_type),
            hint = 'Use one of USER, SERVICE_PRINCIPAL, GROUP.';
    end if;
    if octet_length(identity_name) > 63
        or identity_name ~ '^(lakeport_|lb_|pg_|databricks_)'
        or identity_name ~ '[/#?[:cntrl:]]'
        or identity_name in ('public', 'none')
    then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format('"%s" cannot be the name of a role', identity_name);
    end if;
    if exists (select from pg_catalog.pg_roles r where r.rolname = identity_name) then
        raise exception using
            errcode = 'duplicate_object',
            message = format('role "%s" already exists', identity_name);
    end if;
    identities := pg_read_file('../identities.json');
    if not coalesce(jsonb_exists(identities -> kind, identity_name), false) then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format('%s "%s" does not exist', lower(replace(kind, '_', ' ')), identity_name),
            hint = 'Create the identity in the workspace first.';
    end if;
    execute format('create role %I login', identity_name);
    execute format('comment on role %I is %L', identity_name, 'databricks_auth: ' || kind);
    -- As if the caller had made the role itself. Before 16 CREATEROLE is nobody's.
    if current_setting('server_version_num')::integer >= 160000
        and (select r.rolcreaterole from pg_catalog.pg_roles r where r.rolname = session_user)
    then
        execute format('grant %I to %I with admin true, inherit false, set false',
                       identity_name, session_user);
    end if;
    return identity_name;
end
$function$;
