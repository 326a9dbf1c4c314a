/**
 * Dates on cards: two-digit years in 2000..2049, the window in which EMV terminals read them (Book 4, 6.7.3).
 * Pure; "today" always comes from outside, as UTC.
 */
import { type ExpiryOrder } from './product-profile.ts';

/** Certificates of the test CA and cards end at the latest here: a terminal reads `50` as 1950. */
export const lastEmvYear = 49;

/** `exp` as YYMM in the product's order, or undefined when month or year are impossible. Never swapped. */
export function readExpiry(exp: string, order: ExpiryOrder): string | undefined {
  if (!/^\d{4}$/.test(exp)) return undefined;
  const yymm = order === 'YYMM' ? exp : exp.slice(2) + exp.slice(0, 2);
  const month = Number(yymm.slice(2));
  if (month < 1 || month > 12 || Number(yymm.slice(0, 2)) > lastEmvYear) return undefined;
  return yymm;
}

/** Today as YYMMDD (UTC). */
export function yymmdd(today: Date): string {
  return today.toISOString().slice(2, 10).replaceAll('-', '');
}

/** Last day of the month, YYMMDD, as tag 5F24 wants it. */
export function lastDayOfMonth(yymm: string): string {
  const year = 2000 + Number(yymm.slice(0, 2));
  const day = new Date(Date.UTC(year, Number(yymm.slice(2)), 0)).getUTCDate();
  return yymm + String(day).padStart(2, '0');
}

/** True for six digits that name a day of the calendar in 2000..2049. */
export function isCardDate(date: string): boolean {
  if (!/^\d{6}$/.test(date)) return false;
  const yy = Number(date.slice(0, 2));
  const month = Number(date.slice(2, 4));
  const day = Number(date.slice(4));
  if (yy > lastEmvYear || month < 1 || month > 12 || day < 1) return false;
  return day <= new Date(Date.UTC(2000 + yy, month, 0)).getUTCDate();
}
