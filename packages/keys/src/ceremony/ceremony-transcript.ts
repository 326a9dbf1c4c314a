/**
 * The transcript of a ceremony: one line per event, each signed by the witness and chained to the line before.
 *
 * Invariants: a line is durable before the ceremony goes on; a transcript is never overwritten; no line holds a
 * component or a key. `ceremony-verification.ts` reads it and shares no code with this file on purpose.
 *
 * A line is `{"entry": TEXT, "signature": BASE64}`: Ed25519 over the bytes of TEXT, itself JSON with `format`, `sequence`,
 * `at` (ISO 8601), `previous` (SHA-256 of the TEXT before, base64; empty in the first) and `event`.
 */
import { createPrivateKey, hash, type KeyObject, sign } from 'node:crypto';
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { type CeremonyEvent } from './ceremony-machine.ts';

export class CeremonyTranscript {
  readonly #witnessKey: KeyObject;
  readonly #now: () => number;
  readonly #file: number;
  #sequence = 0;
  #previous = '';

  /**
   * Begins a new file.
   * @param witnessKeyPem PKCS#8 PEM of an Ed25519 key
   * @throws RangeError for another kind of key; Error EEXIST when the file exists
   */
  constructor(path: string, witnessKeyPem: string, now: () => number) {
    this.#witnessKey = createPrivateKey(witnessKeyPem);
    if (this.#witnessKey.asymmetricKeyType !== 'ed25519')
      throw new RangeError('the witness key is not Ed25519');
    this.#now = now;
    this.#file = openSync(path, 'wx', 0o600);
    const folder = openSync(dirname(path), 'r');
    fsyncSync(folder);
    closeSync(folder);
  }

  /** Durable on return. */
  append(event: CeremonyEvent): void {
    const entry = JSON.stringify({
      format: 'cardwright-key-ceremony/1',
      sequence: this.#sequence + 1,
      at: new Date(this.#now()).toISOString(),
      previous: this.#previous,
      event,
    });
    const signature = sign(null, Buffer.from(entry, 'utf8'), this.#witnessKey).toString('base64');
    writeSync(this.#file, `${JSON.stringify({ entry, signature })}\n`);
    fsyncSync(this.#file);
    this.#sequence++;
    this.#previous = hash('sha256', entry, 'base64');
  }

  close(): void {
    closeSync(this.#file);
  }
}
