/**
 * The issuer application data (9F10) of a card as its profile lays it out.
 *
 * Invariants: what stands before the card verification results is the same in every cryptogram of a card, so that
 * one prefix tells its own IAD from any other; parts that the card fills in are zeros when it is loaded.
 */
import { type IadPart, type ProfileFile } from './profile-file.ts';

export type IadLayout = readonly IadPart[];

/** Length of one part in bytes. */
export function iadPartBytes(part: IadPart): number {
  switch (part.field) {
    case 'constant':
      return (part.value ?? '').length / 2;
    case 'dki':
      return 1;
    default:
      return part.bytes ?? 0;
  }
}

export function iadBytes(layout: IadLayout): number {
  return layout.reduce((sum, part) => sum + iadPartBytes(part), 0);
}

function partHex(part: IadPart, dki: string): string {
  switch (part.field) {
    case 'constant':
      return part.value ?? '';
    case 'dki':
      return dki;
    default:
      return '00'.repeat(part.bytes ?? 0);
  }
}

/** The IAD as it is loaded, hexadecimal. `dki`: derivation key index, two hexadecimal digits. */
export function defaultIad(layout: IadLayout, dki: string): string {
  return layout.map((part) => partHex(part, dki)).join('');
}

/** What every IAD of this card begins with: all before the card verification results. */
export function iadPrefix(layout: IadLayout, dki: string): string {
  const cvr = layout.findIndex(({ field }) => field === 'cvr');
  return defaultIad(layout.slice(0, Math.max(cvr, 0)), dki);
}

/** True when the fixed parts of `iad` (hexadecimal) are those of the layout. */
export function isIadOfLayout(layout: IadLayout, dki: string, iad: string): boolean {
  if (iad.length !== iadBytes(layout) * 2) return false;
  let at = 0;
  return layout.every((part) => {
    const end = at + iadPartBytes(part) * 2;
    const isFixed = part.field === 'constant' || part.field === 'dki' || part.field === 'cvr';
    const fits = !isFixed || iad.slice(at, end) === partHex(part, dki);
    at = end;
    return fits;
  });
}

/** The part names in order, to tell people what a layout must look like. */
export const iadForms: Readonly<Record<ProfileFile['cryptogram']['version'], string>> = {
  'CCI-A5': 'constant 0FA5, dki, cvr 5, counters 8, constant 0F, discretionary 15',
  'CVN-18': 'constant 06, dki, constant 1203, cvr 3, then discretionary data if any',
};

/** Whether a layout is one that cards of this cryptogram version word their results in. */
export function isIadForm(version: ProfileFile['cryptogram']['version'], layout: IadLayout): boolean {
  const form = layout
    .map((part) =>
      part.field === 'constant' ? (part.value ?? '?') : `${part.field}${String(iadPartBytes(part))}`,
    )
    .join(' ');
  switch (version) {
    case 'CCI-A5':
      return form === '0FA5 dki1 cvr5 counters8 0F discretionary15';
    case 'CVN-18':
      return /^06 dki1 1203 cvr3( .*)?$/.test(form) && iadBytes(layout) <= 32;
  }
}
