/** Random identifiers. */
import { randomUUID } from 'node:crypto';

/** A random UUID in lower case: 122 random bits, opaque to everybody. */
export function newId(): string {
  return randomUUID();
}
