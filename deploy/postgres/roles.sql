-- The roles of a shard. Run it once in the shard's new database, which the role terse_schema
-- owns, as a superuser. Then give terse_data a password.
--
--   terse_schema  for terse migrate: owns the tables
--   terse_data    for terse serve and the other commands: reads and writes rows
create role terse_data login;
revoke all on schema public from public;
grant usage on schema public to terse_data;
alter default privileges for role terse_schema in schema public grant select, insert, update, delete on tables to terse_data;
alter default privileges for role terse_schema in schema public grant usage, select on sequences to terse_data;
