-- Whose tokens of a trusted issuer are exchanged for tokens of ours: of one service principal, or, where
-- principal_id is null, of whoever the token names.
create table federation_policies (
    uid           uuid primary key,
    policy_id     text not null,
    principal_id  bigint references principals on delete cascade,
    issuer        text not null,
    -- Empty: what the operator has set for the issuer.
    audiences     text[] not null,
    subject       text,
    subject_claim text not null,
    description   text not null,
    created_at    timestamptz not null default now(),
    updated_at    timestamptz not null default now(),
    constraint federation_policies_id unique nulls not distinct (principal_id, policy_id),
    constraint federation_policies_subject check ((principal_id is null) = (subject is null))
);

-- Who has logged in as which user through an outside provider. Its subject is the person, whatever becomes
-- of the address.
create table outside_identities (
    issuer       text not null,
    subject      text not null,
    principal_id bigint not null references principals on delete cascade,
    created_at   timestamptz not null default now(),
    primary key (issuer, subject),
    constraint outside_identities_user unique (issuer, principal_id)
);
