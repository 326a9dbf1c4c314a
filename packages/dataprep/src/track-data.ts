/**
 * Full-track overrides (`trackData`): sentinels stripped, lengths and characters checked, PAN compared.
 *
 * Invariant: a track that names another card number than `pan` is never accepted.
 */
import { isEncodedName } from './character-set.ts';

export interface Tracks {
  readonly track1?: string;
  readonly track2?: string;
  readonly track3?: string;
}
export type TrackName = keyof Tracks;

/** Longest content without sentinels and LRC (OD-3.7). */
export const trackLimits = { track1: 76, track2: 37, track3: 104 } as const;

const sentinels = { track1: ['%', '?'], track2: [';', '?'], track3: [';', '?'] } as const;
/** Track 1 admits the whole 6-bit set of the alphabet except its sentinels; tracks 2 and 3 digits and `=`. */
const characters = { track1: /^[ -$&->@-_]+$/, track2: /^[0-9=]+$/, track3: /^[0-9=]+$/ } as const;
/** ISO/IEC 7813: format code B, PAN, separator, name, separator. ISO/IEC 4909: two format digits first. */
const panPattern = { track1: /^B(\d{1,19})\^/, track2: /^(\d{1,19})=/, track3: /^\d{2}(\d{1,19})=/ } as const;

function stripSentinels(name: TrackName, text: string): string {
  const [start, end] = sentinels[name];
  const withoutStart = text.startsWith(start) ? text.slice(1) : text;
  return withoutStart.endsWith(end) ? withoutStart.slice(0, -1) : withoutStart;
}

function readTrack(name: TrackName, text: string, pan: string): string | undefined {
  const content = stripSentinels(name, text);
  if (content.length > trackLimits[name] || !characters[name].test(content)) return undefined;
  return panPattern[name].exec(content)?.[1] === pan ? content : undefined;
}

export type TracksResult =
  { readonly ok: true; readonly tracks: Tracks } | { readonly ok: false; readonly track: TrackName };

/** Checks all given tracks. A refusal names the first track in error. */
export function readTracks(
  given: { readonly [K in TrackName]?: string | undefined },
  pan: string,
): TracksResult {
  const tracks: { -readonly [K in TrackName]?: string } = {};
  for (const name of ['track1', 'track2', 'track3'] as const) {
    const text = given[name];
    if (text === undefined) continue;
    const content = readTrack(name, text, pan);
    if (content === undefined) return { ok: false, track: name };
    tracks[name] = content;
  }
  return { ok: true, tracks };
}

/** The name that track 1 carries, when it could stand on the chip as it is. */
export function nameOfTrack1(track1: string): string | undefined {
  const name = track1.split('^')[1]?.trimEnd();
  return name !== undefined && isEncodedName(name) ? name : undefined;
}
