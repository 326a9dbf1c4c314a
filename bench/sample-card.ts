/** Card data as an issuer would send it, with a number of the test range that differs at every call. */
import { luhnCheckDigit } from '@cardwright/domain';

let serial = 0;

export function sampleCardData(): Readonly<Record<string, string>> {
  serial += 1;
  const body = `999900${String(serial).padStart(9, '0')}`;
  return { pan: body + luhnCheckDigit(body), exp: '2911', name: 'BENCH SAMPLE', cvv2: '123' };
}
