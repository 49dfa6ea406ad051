-- When an update's first run has succeeded. A full refresh is not repeated afterwards, although the update
-- of a continuous pipeline goes on.
alter table pipeline_updates add column refreshed_at timestamptz;
