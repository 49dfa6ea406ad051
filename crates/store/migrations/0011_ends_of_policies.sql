-- What the tokens of a policy come of: another one once it says of whom they are accepted in another way.
alter table federation_policies add column origin uuid not null default gen_random_uuid();
update federation_policies set origin = uid;
