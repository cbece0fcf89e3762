-- All tables of klartext live in one database: what may read it may read everything that was stored, and nothing else.
CREATE DATABASE IF NOT EXISTS klartext
