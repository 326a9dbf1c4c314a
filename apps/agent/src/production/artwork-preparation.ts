/**
 * Draws the card before anything moves: a text that cannot be printed must not cost a blank.
 *
 * Invariant: after this step nobody needs the print fields any more; only pixels live on, until they are printed
 * and wiped.
 */
import { ArtworkError, renderCard, unprintableFields } from '@cardwright/artwork';
import { type DeviceProfile, type Raster } from '@cardwright/devices';
import { type StationPayload } from '@cardwright/protocol';
import { wipe } from '@cardwright/runtime';

export interface CardSides {
  readonly front: Raster;
  readonly back: Raster;
}

export type PreparedArtwork =
  | { readonly ok: true; readonly sides: CardSides }
  /** `field` names the field or design at fault, never its text. */
  | { readonly ok: false; readonly reason: string; readonly field: string };

/** Checks every text and draws both sides in the device's resolution. */
export async function prepareArtwork(
  payload: Pick<StationPayload, 'design' | 'isTestCard' | 'print'>,
  profile: Pick<DeviceProfile, 'widthPx' | 'heightPx' | 'dpi'>,
): Promise<PreparedArtwork> {
  const { design, isTestCard, print: fields } = payload;
  try {
    const [unprintable] = await unprintableFields({ design, fields });
    if (unprintable !== undefined) {
      return { ok: false, reason: unprintable.reason, field: unprintable.field };
    }
    const size = { widthPx: profile.widthPx, heightPx: profile.heightPx, dotsPerInch: profile.dpi };
    return { ok: true, sides: await renderCard({ design, fields, isTestCard, size }) };
  } catch (error) {
    if (error instanceof ArtworkError) return { ok: false, reason: error.code, field: error.subject };
    throw error;
  }
}

/** Blackens the pictures of a card: they show its number. */
export function wipeArtwork(sides: CardSides): void {
  wipe(sides.front.rgb, sides.back.rgb);
}
