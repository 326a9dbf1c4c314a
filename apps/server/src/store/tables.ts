/**
 * The tables of db/migrations as TypeScript sees them: rows in snake_case exactly as SQL names them, times in
 * epoch milliseconds, JSON as text, truth values as 0 and 1.
 */
import {
  type HandOverState,
  type JobState,
  type NotificationState,
  type OrderState,
} from '@cardwright/domain';
import { type Generated, type Selectable } from 'kysely';

export type Machine = 'order' | 'job' | 'hand_over' | 'notification';
export type Flag = 0 | 1;

interface IssuersTable {
  issuer_id: string;
  is_active: Flag;
  updated_at: number;
}

interface ProductsTable {
  product_id: string;
  is_active: Flag;
  updated_at: number;
}

interface StationsTable {
  station_id: string;
  is_active: Flag;
  client_thumbprint: string;
  boot_id: string | null;
  agent_version: string | null;
  last_seen_at: number | null;
  updated_at: number;
}

interface TransitionsTable {
  machine: Machine;
  from_state: string;
  to_state: string;
}

interface InitialStatesTable {
  machine: Machine;
  state: string;
}

interface HistoryTable {
  operation_id: string;
  sequence: number;
  at: number;
  event: string;
  job_id: string | null;
  machine: Machine | null;
  subject_id: string | null;
  change_number: number | null;
  prior_number: number | null;
  born_as: string | null;
  from_state: string | null;
  to_state: string | null;
  data: string;
}

interface OrdersTable {
  operation_id: string;
  issuer_id: string;
  card_id: string;
  issuer_request_id: string | null;
  station_id: string;
  product_id: string;
  content: string;
  encrypted_data: string | null;
  encrypted_data_sha256: string;
  fingerprint: string | null;
  sealed_plan: string | null;
  masked_pan: string | null;
  pan_token: string | null;
  machine: Generated<'order'>;
  state: OrderState;
  state_number: number;
  hand_over_machine: Generated<'hand_over'>;
  hand_over: HandOverState;
  hand_over_number: number;
  error_code: string | null;
  error_text: string | null;
  correlation_id: string;
  created_at: number;
  ended_at: number | null;
}

interface JobsTable {
  job_id: string;
  operation_id: string;
  station_id: string;
  attempt: number;
  epoch: number;
  machine: Generated<'job'>;
  state: JobState;
  state_number: number;
  queued_at: number;
  lease_until: number | null;
  armed_at: number | null;
  chip_identity: string | null;
  script_released_at: number | null;
  fault: string | null;
  personalization_sent: Flag | null;
  terminated: Flag | null;
  blanks_picked: Flag | null;
  evidence: string | null;
  ended_at: number | null;
}

interface StationMessagesTable {
  job_id: string;
  message_id: string;
  received_at: number;
}

interface NotificationsTable {
  notification_id: string;
  operation_id: string;
  issuer_id: string;
  card_id: string;
  card_sequence: number;
  body: string;
  machine: Generated<'notification'>;
  state: NotificationState;
  state_number: number;
  attempts: number;
  created_at: number;
}

interface UsedAssertionsTable {
  issuer_id: string;
  jti: string;
  expires_at: number;
}

export type WorkKind = 'prepare' | 'notify' | 'lease_expiry' | 'wait_limit' | 'purge';

interface DueWorkTable {
  kind: WorkKind;
  subject_id: string;
  due_at: number;
  lease_until: number | null;
  lease_owner: number | null;
  attempts: number;
}

export interface Tables {
  issuers: IssuersTable;
  products: ProductsTable;
  stations: StationsTable;
  transitions: TransitionsTable;
  initial_states: InitialStatesTable;
  history: HistoryTable;
  orders: OrdersTable;
  jobs: JobsTable;
  station_messages: StationMessagesTable;
  notifications: NotificationsTable;
  used_assertions: UsedAssertionsTable;
  due_work: DueWorkTable;
}

export type OrderRow = Selectable<OrdersTable>;
export type JobRow = Selectable<JobsTable>;
export type NotificationRow = Selectable<NotificationsTable>;
export type HistoryRow = Selectable<HistoryTable>;
