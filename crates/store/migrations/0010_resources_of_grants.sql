-- What the tokens of a grant are bound to (RFC 8707); null: the API.
alter table oauth_grants add column resource text;
