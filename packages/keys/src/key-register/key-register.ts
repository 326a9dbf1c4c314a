/**
 * The register of long-lived keys: what exists, existed and was destroyed, beside the key files or the token.
 *
 * Invariants: append-only; each entry's MAC covers the one before it, so that an entry cannot be changed, removed
 * from the middle or moved; an entry is durable before it is acted on; two processes see each other's entries, or,
 * opened exclusively, the second one is refused. A register and its keys put back together from an old backup are
 * not noticed: nothing here remembers better.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { KeyError } from '../key-port.ts';
import { applyKeyEvent, type KeyEvent, type KeyRecord } from './key-life.ts';

type ComponentKnown = Extract<KeyEvent, { type: 'component-known' }>;

export interface KeyRegisterOptions {
  readonly file: string;
  /** 32 bytes that only those who hold the keys have; copied. */
  readonly macKey: Uint8Array;
  readonly environment: 'test' | 'production';
  /** Holds the file against every other process until closed. */
  readonly isExclusive: boolean;
  readonly nowMs: number;
}

const macBytes = 32;

export class KeyRegister {
  readonly #database: DatabaseSync;
  readonly #macKey: Uint8Array;
  readonly #records = new Map<string, KeyRecord>();
  readonly #components: ComponentKnown[] = [];
  #lastSequence = 0;
  #lastMac: Uint8Array = new Uint8Array(macBytes);
  #environment: string | undefined;
  #isNew = false;

  /** @throws KeyError KEY_STORE when it is broken, of another environment or other keys, or in use */
  constructor({ file, macKey, environment, isExclusive, nowMs }: KeyRegisterOptions) {
    this.#macKey = Uint8Array.from(macKey);
    // SQLite would make it readable by everybody.
    closeSync(openSync(file, 'a', 0o600));
    this.#database = new DatabaseSync(file);
    try {
      this.#run(() => {
        this.#begin(environment, isExclusive, nowMs);
      });
      if (this.#environment !== environment)
        throw broken(`belongs to the ${String(this.#environment)} environment`);
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  #begin(environment: 'test' | 'production', isExclusive: boolean, nowMs: number): void {
    this.#database.exec(`PRAGMA busy_timeout = ${isExclusive ? 0 : 5000}; PRAGMA synchronous = EXTRA`);
    if (isExclusive) this.#database.exec('PRAGMA locking_mode = EXCLUSIVE');
    const lock = isExclusive ? 'EXCLUSIVE' : 'IMMEDIATE';
    this.#appendInTransaction(lock, () => {
      this.#database.exec(
        `CREATE TABLE IF NOT EXISTS key_event
         (sequence INTEGER PRIMARY KEY, body TEXT NOT NULL, mac BLOB NOT NULL) STRICT`,
      );
      this.#readNew();
      this.#isNew = this.#lastSequence === 0;
      return this.#isNew ? { type: 'begun', environment, atMs: nowMs } : undefined;
    });
  }

  /** Every key that ever was, destroyed ones too, in order of creation. */
  records(): readonly KeyRecord[] {
    this.#run(() => {
      this.#readNew();
    });
    return [...this.#records.values()];
  }

  find(name: string): KeyRecord | undefined {
    return this.#records.get(name);
  }

  /** Who has known which component of a family's keys, in all ceremonies. */
  componentsKnown(): readonly ComponentKnown[] {
    return [...this.#components];
  }

  /** Whether this opening began it. */
  get isNew(): boolean {
    return this.#isNew;
  }

  /**
   * Appends what `decide` returns, seeing all that other processes wrote; undefined appends nothing. Durable on return.
   * @throws KeyError KEY_STORE when the event does not fit its key's life
   */
  append(decide: () => KeyEvent | undefined): void {
    this.#run(() => {
      this.#appendInTransaction('IMMEDIATE', () => {
        this.#readNew();
        return decide();
      });
    });
  }

  close(): void {
    this.#macKey.fill(0);
    if (this.#database.isOpen) this.#database.close();
  }

  #run(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (error instanceof KeyError) throw error;
      const { errcode } = error as { errcode?: number };
      // SQLITE_BUSY and SQLITE_LOCKED
      if (errcode === 5 || errcode === 6) throw broken('is in use by another process');
      throw broken('cannot be used');
    }
  }

  #appendInTransaction(lock: 'IMMEDIATE' | 'EXCLUSIVE', decide: () => KeyEvent | undefined): void {
    this.#database.exec(`BEGIN ${lock}`);
    try {
      const event = decide();
      const written = event && this.#write(event);
      this.#database.exec('COMMIT');
      // What is known here changes only with what is on the disk.
      if (event && written) this.#take(event, written);
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw error;
    }
  }

  #readNew(): void {
    const rows = this.#database
      .prepare('SELECT sequence, body, mac FROM key_event WHERE sequence > ? ORDER BY sequence')
      .all(this.#lastSequence);
    for (const { sequence, body, mac } of rows) {
      const next = this.#lastSequence + 1;
      if (sequence !== next || typeof body !== 'string' || !(mac instanceof Uint8Array)) {
        throw broken('has a gap');
      }
      const right = this.#macOf(next, body);
      if (mac.length !== macBytes || !timingSafeEqual(mac, right)) {
        throw broken('was changed, or belongs to another master key');
      }
      // Read only after it proved authentic.
      this.#take(JSON.parse(body) as KeyEvent, right);
    }
  }

  #write(event: KeyEvent): Uint8Array {
    this.#recordAfter(event);
    const body = JSON.stringify(event);
    const sequence = this.#lastSequence + 1;
    const mac = this.#macOf(sequence, body);
    this.#database
      .prepare('INSERT INTO key_event (sequence, body, mac) VALUES (?, ?, ?)')
      .run(sequence, body, mac);
    return mac;
  }

  #macOf(sequence: number, body: string): Uint8Array {
    const mac = createHmac('sha256', this.#macKey).update(this.#lastMac).update(`${sequence}|${body}`);
    return new Uint8Array(mac.digest());
  }

  #take(event: KeyEvent, mac: Uint8Array): void {
    const after = this.#recordAfter(event);
    if (after) this.#records.set(after.name, after);
    if (event.type === 'begun') this.#environment = event.environment;
    if (event.type === 'component-known') this.#components.push(event);
    this.#lastSequence++;
    this.#lastMac = mac;
  }

  /** The record of the key that the event is about; undefined when it is about none. */
  #recordAfter(event: KeyEvent): KeyRecord | undefined {
    switch (event.type) {
      case 'begun':
        if (this.#lastSequence !== 0) throw broken('begins twice');
        return undefined;
      case 'component-known':
        return undefined;
      case 'created':
      case 'retired':
      case 'destroyed': {
        const name = event.type === 'created' ? event.record.name : event.name;
        const after = applyKeyEvent(this.#records.get(name), event);
        if (!after) throw broken(`has an entry that does not fit key ${name}`);
        return after;
      }
    }
  }
}

function broken(what: string): KeyError {
  return new KeyError('KEY_STORE', `the key register ${what}`);
}
