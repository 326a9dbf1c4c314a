/**
 * A value that must not be printed: it shows as `[sensitive]` in logs, JSON, string templates and inspection.
 * Only `reveal()` gives the value, so that every use is visible in review.
 */
import { inspect } from 'node:util';

const shown = '[sensitive]';

export class Sensitive<T> {
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  reveal(): T {
    return this.#value;
  }

  toString(): string {
    return shown;
  }

  toJSON(): string {
    return shown;
  }

  [inspect.custom](): string {
    return shown;
  }
}

/** Overwrites bytes with zeros. Strings cannot be wiped: keep secrets in bytes. */
export function wipe(...buffers: (Uint8Array | undefined)[]): void {
  for (const buffer of buffers) buffer?.fill(0);
}
