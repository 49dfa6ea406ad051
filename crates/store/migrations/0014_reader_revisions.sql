-- The revision of the reader that has loaded a synced table, or found that older ones have loaded it well.
alter table synced_tables add column reader_revision integer not null default 0;
