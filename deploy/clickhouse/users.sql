-- Who may do what: run by an administrator, once, with passwords of their own in place of the question marks.
-- The writer runs on every node: it can add rows and read them, and nothing else. SELECT lets it see the schema.
CREATE USER IF NOT EXISTS tollgate_writer IDENTIFIED BY '?';
GRANT INSERT, SELECT ON tollgate.* TO tollgate_writer;

-- The reader serves dashboards and `tollgate audit --store clickhouse`; readonly = 2 lets it set query settings only.
CREATE USER IF NOT EXISTS tollgate_reader IDENTIFIED BY '?' SETTINGS readonly = 2;
GRANT SELECT ON tollgate.* TO tollgate_reader;

-- The migrator is used by `tollgate migrate` and is on no node. Retention (the TTL) is its to change.
CREATE USER IF NOT EXISTS tollgate_migrator IDENTIFIED BY '?';
GRANT CREATE DATABASE, CREATE TABLE, CREATE VIEW, ALTER TABLE, INSERT, SELECT ON tollgate.* TO tollgate_migrator;
