"""The tables of a client's journal, version 3. Not where they are written: that is ``execution.journal``."""

from __future__ import annotations

__all__ = ["SCHEMA", "VERSION"]

VERSION = "3"
"""A run that began with an earlier one cannot be gone on with: 1 had no seal, no legs and no orders of other hands, 2
did not know which tickets were given before a kill."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orders (
  n INTEGER PRIMARY KEY, client_order_id TEXT NOT NULL UNIQUE, intent BLOB NOT NULL, sent_ns INTEGER NOT NULL,
  origin TEXT NOT NULL, order_group TEXT NOT NULL, price_nano INTEGER NOT NULL, seal BLOB NOT NULL, ticket BLOB);
CREATE TABLE IF NOT EXISTS order_events (
  seq INTEGER PRIMARY KEY, client_order_id TEXT NOT NULL, kind TEXT NOT NULL, body BLOB NOT NULL, seal BLOB NOT NULL,
  unasked INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS tickets (
  ticket_id TEXT PRIMARY KEY, purpose TEXT NOT NULL, used_ns INTEGER NOT NULL, first_seq INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settled (now_ns INTEGER PRIMARY KEY, seqs BLOB NOT NULL, last_seq INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS waters (client_order_id TEXT PRIMARY KEY, water_nano INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alarms (n INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL, text TEXT NOT NULL)
"""
