-- The schema after all migrations. Written by `node apps/server/src/store/write-schema-snapshot.ts`.

CREATE TABLE due_work (
  kind TEXT NOT NULL,
  subject_id TEXT NOT NULL,
  due_at BIGINT NOT NULL,
  lease_until BIGINT,
  attempts INTEGER NOT NULL, lease_owner INTEGER,
  PRIMARY KEY (kind, subject_id)
);

CREATE TABLE history (
  operation_id TEXT NOT NULL,
  sequence BIGINT NOT NULL,
  at BIGINT NOT NULL,
  event TEXT NOT NULL,
  job_id TEXT,
  machine TEXT,
  subject_id TEXT,
  change_number BIGINT,
  prior_number BIGINT,
  born_as TEXT,
  from_state TEXT,
  to_state TEXT,
  data TEXT NOT NULL,
  PRIMARY KEY (operation_id, sequence),
  UNIQUE (machine, subject_id, change_number),
  UNIQUE (machine, subject_id, change_number, to_state),
  FOREIGN KEY (machine, from_state, to_state) REFERENCES transitions (machine, from_state, to_state),
  FOREIGN KEY (machine, born_as) REFERENCES initial_states (machine, state),
  FOREIGN KEY (machine, subject_id, prior_number, from_state)
    REFERENCES history (machine, subject_id, change_number, to_state),
  CHECK (
    (machine IS NULL AND subject_id IS NULL AND change_number IS NULL AND to_state IS NULL AND from_state IS NULL
      AND born_as IS NULL AND prior_number IS NULL)
    OR (machine IS NOT NULL AND subject_id IS NOT NULL AND to_state IS NOT NULL AND change_number = 1
      AND born_as IS NOT NULL AND born_as = to_state AND prior_number IS NULL AND from_state IS NULL)
    OR (machine IS NOT NULL AND subject_id IS NOT NULL AND to_state IS NOT NULL AND change_number > 1
      AND born_as IS NULL AND from_state IS NOT NULL AND prior_number IS NOT NULL
      AND prior_number = change_number - 1)
  )
);

CREATE TABLE initial_states (
  machine TEXT NOT NULL PRIMARY KEY,
  state TEXT NOT NULL,
  UNIQUE (machine, state)
);

CREATE TABLE issuers (
  issuer_id TEXT NOT NULL PRIMARY KEY,
  is_active INTEGER NOT NULL CHECK (is_active IN (0, 1)),
  updated_at BIGINT NOT NULL
);

CREATE TABLE jobs (
  job_id TEXT NOT NULL PRIMARY KEY,
  operation_id TEXT NOT NULL REFERENCES orders (operation_id),
  station_id TEXT NOT NULL REFERENCES stations (station_id),
  attempt INTEGER NOT NULL CHECK (attempt >= 1),
  -- Fencing number: grows with every lease and over all jobs of an order (I5).
  epoch INTEGER NOT NULL CHECK (epoch >= 0),
  machine TEXT NOT NULL DEFAULT 'job' CHECK (machine = 'job'),
  state TEXT NOT NULL,
  state_number BIGINT NOT NULL,
  queued_at BIGINT NOT NULL,
  lease_until BIGINT,
  armed_at BIGINT,
  -- The one chip that the script of this job was released to, recorded before the release (I11).
  chip_identity TEXT,
  script_released_at BIGINT,
  fault TEXT,
  personalization_sent INTEGER CHECK (personalization_sent IN (0, 1)),
  terminated INTEGER CHECK (terminated IN (0, 1)),
  blanks_picked INTEGER CHECK (blanks_picked IN (0, 1)),
  evidence TEXT,
  ended_at BIGINT,
  UNIQUE (operation_id, attempt),
  FOREIGN KEY (machine, job_id, state_number, state)
    REFERENCES history (machine, subject_id, change_number, to_state),
  CHECK (armed_at IS NOT NULL OR state IN ('queued', 'leased', 'withdrawn')),
  CHECK ((lease_until IS NOT NULL) = (state = 'leased')),
  CHECK ((chip_identity IS NULL) = (script_released_at IS NULL)),
  CHECK (script_released_at IS NULL OR armed_at IS NOT NULL)
);

CREATE TABLE notifications (
  notification_id TEXT NOT NULL PRIMARY KEY,
  operation_id TEXT NOT NULL REFERENCES orders (operation_id),
  issuer_id TEXT NOT NULL REFERENCES issuers (issuer_id),
  card_id TEXT NOT NULL,
  card_sequence BIGINT NOT NULL,
  body TEXT NOT NULL,
  machine TEXT NOT NULL DEFAULT 'notification' CHECK (machine = 'notification'),
  state TEXT NOT NULL,
  state_number BIGINT NOT NULL,
  attempts INTEGER NOT NULL CHECK (attempts >= 0),
  created_at BIGINT NOT NULL,
  UNIQUE (issuer_id, card_id, card_sequence),
  FOREIGN KEY (machine, notification_id, state_number, state)
    REFERENCES history (machine, subject_id, change_number, to_state)
);

CREATE TABLE orders (
  operation_id TEXT NOT NULL PRIMARY KEY,
  issuer_id TEXT NOT NULL REFERENCES issuers (issuer_id),
  card_id TEXT NOT NULL,
  issuer_request_id TEXT,
  station_id TEXT NOT NULL REFERENCES stations (station_id),
  product_id TEXT NOT NULL REFERENCES products (product_id),
  -- Canonical clear body without encryptedData (OD-3.10).
  content TEXT NOT NULL,
  -- The issuer's JWE: gone as soon as the plan is prepared.
  encrypted_data TEXT,
  encrypted_data_sha256 TEXT NOT NULL,
  -- Keyed hash of the decrypted card data, made by the vault.
  fingerprint TEXT,
  sealed_plan TEXT,
  masked_pan TEXT,
  pan_token TEXT,
  machine TEXT NOT NULL DEFAULT 'order' CHECK (machine = 'order'),
  state TEXT NOT NULL,
  state_number BIGINT NOT NULL,
  hand_over_machine TEXT NOT NULL DEFAULT 'hand_over' CHECK (hand_over_machine = 'hand_over'),
  hand_over TEXT NOT NULL,
  hand_over_number BIGINT NOT NULL,
  error_code TEXT,
  error_text TEXT,
  correlation_id TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  ended_at BIGINT,
  UNIQUE (issuer_id, card_id, issuer_request_id),
  -- The current state is the last change in the history, or the row is refused (I9).
  FOREIGN KEY (machine, operation_id, state_number, state)
    REFERENCES history (machine, subject_id, change_number, to_state),
  FOREIGN KEY (hand_over_machine, operation_id, hand_over_number, hand_over)
    REFERENCES history (machine, subject_id, change_number, to_state),
  CHECK ((ended_at IS NOT NULL) = (state IN ('done', 'production_failed', 'data_failed', 'canceled'))),
  CHECK ((error_code IS NOT NULL) = (state IN ('production_failed', 'data_failed', 'canceled'))),
  CHECK ((encrypted_data IS NOT NULL) = (state = 'requested')),
  -- Card data ends with the order, even in sealed form (I7).
  CHECK ((sealed_plan IS NOT NULL) = (state IN ('ready', 'in_production', 'in_doubt')))
);

CREATE TABLE products (
  product_id TEXT NOT NULL PRIMARY KEY,
  is_active INTEGER NOT NULL CHECK (is_active IN (0, 1)),
  updated_at BIGINT NOT NULL
);

CREATE TABLE schema_migrations (name TEXT NOT NULL PRIMARY KEY, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL);

CREATE TABLE station_messages (
  job_id TEXT NOT NULL REFERENCES jobs (job_id),
  message_id TEXT NOT NULL,
  received_at BIGINT NOT NULL,
  PRIMARY KEY (job_id, message_id)
);

CREATE TABLE stations (
  station_id TEXT NOT NULL PRIMARY KEY,
  is_active INTEGER NOT NULL CHECK (is_active IN (0, 1)),
  client_thumbprint TEXT NOT NULL,
  boot_id TEXT,
  agent_version TEXT,
  last_seen_at BIGINT,
  updated_at BIGINT NOT NULL
);

CREATE TABLE transitions (
  machine TEXT NOT NULL,
  from_state TEXT NOT NULL,
  to_state TEXT NOT NULL,
  PRIMARY KEY (machine, from_state, to_state)
);

CREATE TABLE used_assertions (
  issuer_id TEXT NOT NULL REFERENCES issuers (issuer_id),
  jti TEXT NOT NULL,
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (issuer_id, jti)
);

CREATE INDEX due_work_by_time ON due_work (kind, due_at);

CREATE UNIQUE INDEX jobs_one_good ON jobs (operation_id) WHERE state = 'produced';

CREATE UNIQUE INDEX jobs_one_held ON jobs (station_id)
  WHERE state IN ('leased', 'armed', 'feeding', 'chip', 'stripe', 'print', 'verify');

CREATE UNIQUE INDEX jobs_one_live ON jobs (operation_id)
  WHERE state IN ('queued', 'leased', 'armed', 'feeding', 'chip', 'stripe', 'print', 'verify', 'in_doubt');

CREATE INDEX jobs_queue ON jobs (station_id, queued_at, job_id) WHERE state = 'queued';

CREATE INDEX notifications_by_order ON notifications (operation_id);

CREATE INDEX notifications_waiting ON notifications (issuer_id, card_id, card_sequence)
  WHERE state = 'pending';

CREATE INDEX orders_by_age ON orders (created_at);

CREATE INDEX orders_by_card ON orders (issuer_id, card_id, created_at);

CREATE UNIQUE INDEX orders_one_live ON orders (issuer_id, card_id)
  WHERE state IN ('requested', 'ready', 'in_production', 'in_doubt');

CREATE INDEX used_assertions_by_expiry ON used_assertions (expires_at);
