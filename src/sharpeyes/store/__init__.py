"""What must survive a restart: one schema for SQLite and PostgreSQL, and what reads and writes it."""

import sharpeyes.store.access_schema  # with these, schema.metadata holds every table
import sharpeyes.store.device_schema
import sharpeyes.store.discovery_schema
import sharpeyes.store.dossier_schema
import sharpeyes.store.faults_schema
import sharpeyes.store.quality_schema
import sharpeyes.store.rates_schema  # noqa: F401
