/**
 * Finds the card's own number in bytes that a chip returned, under whatever tag: a broken or hostile chip may put
 * it where no mask expects it.
 *
 * The agent knows the number as a hash only (VerificationFacts.panSha256, over the value of tag 5A), so candidates
 * are hashed: digit runs of 12 to 19 with a valid check digit, packed or as text.
 */
import { createHash } from 'node:crypto';
import { isLuhnValid } from '@cardwright/domain';
import { hex } from '@cardwright/emv';

const shortest = 12;
const longest = 19;

/** Hash of a number as tag 5A holds it: packed digits, F-padded to whole bytes. */
function hashOf(digits: string): string {
  const packed = digits.length % 2 === 0 ? digits : `${digits}F`;
  return createHash('sha256').update(Buffer.from(packed, 'hex')).digest('hex').toUpperCase();
}

function runHolds(run: string, panSha256: string): boolean {
  for (let from = 0; from + shortest <= run.length; from++) {
    for (let length = shortest; length <= longest && from + length <= run.length; length++) {
      const candidate = run.slice(from, from + length);
      if (isLuhnValid(candidate) && hashOf(candidate) === panSha256) return true;
    }
  }
  return false;
}

/** True when `value` holds the card number whose hash is given. */
export function holdsCardNumber(value: Uint8Array, panSha256: string): boolean {
  const texts = [hex(value), Buffer.from(value).toString('latin1')];
  return texts.some((text) => (text.match(/\d{12,}/g) ?? []).some((run) => runHolds(run, panSha256)));
}
