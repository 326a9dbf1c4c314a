/**
 * Service codes by ISO/IEC 7813: three digits that tell a terminal where a card works, how it is authorised and
 * what it may buy. Pure.
 */

/** Interchange (1, 2 international; 5, 6 national; 7 private; 9 test), authorisation, services and PIN. */
const assigned: readonly RegExp[] = [/^[125679]/, /^.[024]/, /^..[0-7]/];

/** Codes that select a verification value other than the stripe's: they never stand on a card. */
const reserved: readonly string[] = ['000', '999'];

/** True for three digits that ISO/IEC 7813 assigns a meaning to. */
export function isServiceCode(code: string): boolean {
  return /^\d{3}$/.test(code) && !reserved.includes(code) && assigned.every((digit) => digit.test(code));
}

/** True where the code announces a chip (first digit 2 or 6), so that a terminal refuses the stripe alone. */
export function announcesChip(code: string): boolean {
  return /^[26]/.test(code);
}
